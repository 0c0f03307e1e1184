/** Bringing a machine up in a new arena, and the handles of its CPUs. */

import { ARENA_START, attachArena, createArena } from "../arena/arena.ts";
import type { Cpu, Port, Steps, Upcalls } from "../arena/cpu.ts";
import type { Region } from "../arena/region.ts";
import { CpuMm } from "../mm/cpu-mm.ts";
import { MmGlobals } from "../mm/globals.ts";
import { CHARGE_FAIL } from "../mm/memcg-charge.ts";
import { OVERCOMMIT_ALWAYS } from "../mm/overcommit.ts";
import { PageGlobals } from "../mm/page.ts";
import { initPageAllocator } from "../mm/page-init.ts";
import { explainUseAfterFree, initSlab } from "../mm/slab.ts";
import { initTlb } from "../mm/tlb.ts";
import { OomGlobals } from "../oom/globals.ts";
import { memcgChargeFailed } from "../oom/memcg-oom.ts";
import { allocPagesMayOom } from "../oom/out-of-memory.ts";
import type { Protocol } from "../oom/protocols/protocol.ts";
import { currentTask, TaskGlobals, tskIsOomVictim } from "../task/task.ts";
import { initTraceRing } from "../trace/ring.ts";
import { elementOf, type MachineMap, pageShapeOf, planMachine } from "./memory-map.ts";
import { findProtocol } from "./roles.ts";
import { granularityNumber, type MachineShape } from "./shape.ts";

/** A new arena with a booted machine: all memory free, no process. */
export function bootMachine(shape: MachineShape): { map: MachineMap; words: Int32Array } {
  const map = planMachine(shape);
  const words = createArena(map.memory);
  bootInto(words, map);
  return { map, words };
}

/** Boots the machine of an arena anew, whatever it held. While no CPU runs. */
export function rebootMachine(words: Int32Array, map: MachineMap): void {
  words.fill(0, ARENA_START);
  bootInto(words, map);
}

function bootInto(words: Int32Array, map: MachineMap): void {
  const { shape } = map;
  const pool = (slab: number, region: Region): void =>
    initSlab(words, map.root + slab, region.base, region.struct.WORDS, region.count);
  pool(MmGlobals.tables, map.tables);
  pool(MmGlobals.vmas, map.vmas);
  pool(MmGlobals.nodes, map.nodes);
  pool(MmGlobals.anonVmas, map.anonVmas);
  pool(MmGlobals.mms, map.mms);
  pool(MmGlobals.files, map.files);
  words[map.root + MmGlobals.fileSlots] = map.fileSlots.base;
  words[map.root + MmGlobals.fileSlotCount] = shape.filePages ?? 0;
  words[map.root + MmGlobals.memcgs] = map.memcgs?.base ?? 0;
  words[map.root + MmGlobals.memcgCount] = map.memcgs?.count ?? 0;
  words[map.root + PageGlobals.pageMemcgs] = map.pageMemcgs?.base ?? 0;
  words[map.root + MmGlobals.lockGranularity] = granularityNumber(shape.lockGranularity);
  words[map.root + MmGlobals.vmaStore] = findProtocol(shape.protocol).vmaStore;
  words[map.root + MmGlobals.levels] = shape.levels;
  words[map.root + MmGlobals.overcommitMemory] = shape.overcommitMemory ?? OVERCOMMIT_ALWAYS;
  words[map.root + MmGlobals.reschedEvery] = shape.reschedEvery;
  words[map.root + TaskGlobals.tasks] = map.tasks.base;
  words[map.root + TaskGlobals.taskCount] = map.tasks.count;
  words[map.root + TaskGlobals.signals] = map.signals.base;
  words[map.root + TaskGlobals.cpusets] = map.cpusets?.base ?? 0;
  words[map.root + TaskGlobals.cpusetCount] = map.cpusets?.count ?? 0;
  words[map.root + OomGlobals.panicOnOom] = shape.panicOnOom ?? 0;
  words[map.root + OomGlobals.oomKillAllocatingTask] = shape.oomKillAllocatingTask ? 1 : 0;
  words[map.root + OomGlobals.killerPresent] = shape.oomKiller ? 1 : 0;
  words[map.root + OomGlobals.reaperPresent] = (shape.oomReaper ?? true) ? 1 : 0;
  const cpuMms = Array.from({ length: shape.cpus }, (_, id) => elementOf(map.cpuMm, id));
  initPageAllocator(words, map.memory, pageShapeOf(shape), map.root, cpuMms);
  for (let id = 0; id < shape.cpus; id++) bootCpu(words, map, id);
}

function bootCpu(words: Int32Array, map: MachineMap, id: number): void {
  const mm = elementOf(map.cpuMm, id);
  initTlb(words, mm + CpuMm.tlb);
  words[mm + CpuMm.reschedIn] = map.shape.reschedEvery;
  if (map.rings) initTraceRing(words, elementOf(map.rings, id), map.shape.traceEvents);
}

/** The allocator's way up to the OOM killer, and the last mmput's to the protocol. */
function upcallsOf(protocol: Protocol): Upcalls {
  return {
    exitMmap: protocol.exitMmap,
    *outOfMemory(cpu: Cpu, order: number, gfp: number): Steps<boolean> {
      if (cpu.words[cpu.machine + OomGlobals.killerPresent] === 0) return false;
      return yield* allocPagesMayOom(cpu, order, gfp, protocol);
    },
    *memcgOutOfMemory(cpu: Cpu, memcg: number, order: number, passedOom: boolean): Steps<number> {
      if (cpu.words[cpu.machine + OomGlobals.killerPresent] === 0) return CHARGE_FAIL;
      return yield* memcgChargeFailed(cpu, memcg, order, passedOom, protocol);
    },
    *currentIsVictim(cpu: Cpu): Steps<boolean> {
      if (cpu.words[cpu.machine + OomGlobals.killerPresent] === 0) return false;
      return yield* tskIsOomVictim(cpu, currentTask(cpu));
    },
  };
}

/** The handle of CPU `id` of the machine at `map`. */
export function cpuOf(words: Int32Array, map: MachineMap, id: number, port: Port): Cpu {
  const mm = elementOf(map.cpuMm, id);
  return {
    words,
    id,
    port,
    sync: elementOf(map.cpuSync, id),
    syncBase: map.cpuSync.base,
    syncStride: map.cpuSync.struct.WORDS,
    lockOrder: map.shape.lockOrder ? map.lockOrder.base : 0,
    trace: map.rings ? elementOf(map.rings, id) : 0,
    machine: map.root,
    mm,
    mmStride: map.cpuMm.struct.WORDS,
    tlb: mm + CpuMm.tlb,
    gather: mm + CpuMm.gather,
    upcalls: upcallsOf(findProtocol(map.shape.protocol)),
    describe: (word) => explainUseAfterFree(words, map.memory, word),
  };
}

/** CPU `id` of a machine that another thread booted. Throws UsageError when the arena does not fit the shape. */
export function attachCpu(buffer: SharedArrayBuffer, machine: unknown, id: number, port: Port): Cpu {
  const map = planMachine(machine as MachineShape);
  return cpuOf(attachArena(buffer, map.memory), map, id, port);
}
