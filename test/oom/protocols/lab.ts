/** Processes that die while somebody reaps them, watched step by step. */

import { readFigures } from "../../../src/machine/race.ts";
import { findOrder } from "../../../src/machine/roles.ts";
import { mmput } from "../../../src/mm/mm.ts";
import { MMF_OOM_SKIP, Mm } from "../../../src/mm/mm-struct.ts";
import { VM_LOCKED, VM_WRITE } from "../../../src/mm/vma.ts";
import { mreleaseFind, mreleaseReap } from "../../../src/oom/process-mrelease.ts";
import type { Protocol } from "../../../src/oom/protocols/protocol.ts";
import { oomReapTask } from "../../../src/oom/reaper.ts";
import { markOomVictim } from "../../../src/oom/victim.ts";
import { RWSEM_WRITER_LOCKED, Rwsem } from "../../../src/sync/rwsem/state.ts";
import { doExit } from "../../../src/task/exit.ts";
import { killTask } from "../../../src/task/task.ts";
import { putOomMm } from "../../../src/task/tasklist.ts";
import { OomLab, type Process, type Program } from "../lab.ts";

export const SEEDS = 1000;
export const VICTIM = 0;
export const REAPER = 1;
export const OTHER = 2;

export const UNLOCKED_PAGES = 4;
export const LOCKED_PAGES = 2;
/** The mlocked VMA lies between two that a reaper may take. */
export const MAPPINGS = [
  { startVpn: 0x10, pages: 2, flags: VM_WRITE, present: "all" },
  { startVpn: 0x300, pages: LOCKED_PAGES, flags: VM_WRITE | VM_LOCKED, present: "all" },
  { startVpn: 0x800, pages: 2, flags: VM_WRITE, present: "all" },
] as const;
const forward = findOrder("forward");

/** One process in task slot 0, killed, and what the CPUs may run. */
export interface Death {
  readonly lab: OomLab;
  readonly process: Process;
  readonly exits: Program;
  /** The last user, when it is not the victim: a process that read its /proc files, say. */
  readonly lastMmput: Program;
  /** By the kthread, or, for a process that the OOM killer did not choose, by process_mrelease. */
  readonly reaps: Program;
  /** exit_mmap holds the write lock. */
  writeLocked(): boolean;
  /** MMF_OOM_SKIP, looked at from the last mmput on. */
  skipped(): boolean;
  /** Pages still mapped. */
  rss(): number;
  /** Pages that a CPU unmapped. */
  unmapped(cpu: number): number;
  /** What is wrong once all of them are done. */
  bury(): string[];
}

/** `chosen`: by the OOM killer. `users`: of the address space, the process itself included. */
export function death(protocol: Protocol, chosen: boolean, users = 1): Death {
  const listed = /^(hocko-)?v\d+(\.\d+)?/.exec(protocol.name)![0];
  const lab = new OomLab({ protocol: listed, cpus: 3 }, protocol.exitMmap);
  const process = lab.spawn(VICTIM, MAPPINGS);
  const { mm, task } = process;
  lab.alone(REAPER, (cpu) => killTask(cpu, task));
  if (chosen) lab.alone(REAPER, (cpu) => markOomVictim(cpu, task));
  else lab.alone(REAPER, (cpu) => mreleaseFind(cpu, VICTIM, 0));
  lab.words[lab.sync(VICTIM)] = 0;
  lab.words[mm + Mm.mmUsers] = users;
  lab.keep();
  return {
    lab,
    process,
    exits: (cpu) => doExit(cpu, task),
    lastMmput: (cpu) => mmput(cpu, mm),
    reaps: (cpu) => (chosen ? oomReapTask(cpu, task, protocol, forward) : mreleaseReap(cpu, mm, protocol, forward)),
    writeLocked: () =>
      lab.word(mm + Mm.mmUsers) === 0 && (lab.word(mm + Mm.mmapLock + Rwsem.count) & RWSEM_WRITER_LOCKED) !== 0,
    skipped: () => lab.word(mm + Mm.mmUsers) === 0 && (lab.word(mm + Mm.flags) & MMF_OOM_SKIP) !== 0,
    rss: () => lab.rss(mm),
    unmapped: (cpu) => readFigures(lab.words, lab.map, cpu).ptes,
    bury: () => {
      lab.alone(VICTIM, (cpu) => putOomMm(cpu, task));
      return lab.broken();
    },
  };
}
