/** Each invariant by a machine that was clean and is then broken in one way: that name is reported, and no other. */

import { beforeAll, describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { POISON, runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { findViolations, INVARIANTS } from "../../src/check/index.ts";
import { cpuOf } from "../../src/machine/boot.ts";
import { elementOf, type MachineMap } from "../../src/machine/memory-map.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { MMAP_LOCK, Mm } from "../../src/mm/mm-struct.ts";
import { MmuGather } from "../../src/mm/mmu-gather.ts";
import { Frame, PageGlobals } from "../../src/mm/page.ts";
import { allocPages, GFP_KERNEL } from "../../src/mm/page-alloc.ts";
import { PageTable } from "../../src/mm/page-table.ts";
import { SLAB_LOCK, Slab, SlabObject, slabAlloc } from "../../src/mm/slab.ts";
import { CpuTlb, TlbEntry } from "../../src/mm/tlb.ts";
import { Vma } from "../../src/mm/vma.ts";
import { ZONE_LOCK, Zone } from "../../src/mm/zone.ts";
import { OOM_LOCK, OomGlobals } from "../../src/oom/globals.ts";
import { type Kernel, loadKernel } from "../../src/run/kernel-variant.ts";
import { CpuSync } from "../../src/sync/cpu-sync.ts";
import { mutexLock } from "../../src/sync/mutex.ts";
import { downRead, initRwsem, upRead } from "../../src/sync/rwsem.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import { ALLOC_LOCK, Task } from "../../src/task/task.ts";
import { runToy, stageToy, TOY_MAPPINGS, type ToyStage } from "../helpers/race.ts";

const RACE = { protocol: "v6.1", order: "forward", reaper: "mrelease" } as const;

/** A machine after a clean race. */
class Wreck {
  readonly #stage: ToyStage;
  readonly words: Int32Array;
  readonly map: MachineMap;
  readonly mm: number;

  constructor() {
    this.#stage = stageToy(RACE);
    expect(runToy(RACE, this.#stage, 7).state).toBe("finished");
    this.words = this.#stage.words;
    this.map = this.#stage.map;
    this.mm = this.#stage.staged.mm;
  }

  run<T>(program: (cpu: Cpu) => Steps<T>): T {
    return runToEnd(program(cpuOf(this.words, this.map, 0, soloPort())));
  }

  get zone(): number {
    return this.words[this.map.root + PageGlobals.zonesBase] as number;
  }

  /** A page that is free, as every page but the reserved one is by now. */
  get freeFrame(): number {
    return (this.words[this.map.root + PageGlobals.framesBase] as number) + 200 * Frame.WORDS;
  }

  set(at: number, value: number): void {
    this.words[at] = value;
  }
}

type Break = (wreck: Wreck) => void;

/** Takes `first` and then `second`, and gives both back. */
function* nest(cpu: Cpu, first: number, firstClass: number, second: number, secondClass: number): Steps<void> {
  yield* spinLock(cpu, first, firstClass);
  yield* spinLock(cpu, second, secondClass);
  yield* spinUnlock(cpu, second, secondClass);
  yield* spinUnlock(cpu, first, firstClass);
}

/** Takes the same rwsem twice for reading: a writer that comes between would stop the second. */
function* readTwice(cpu: Cpu, sem: number): Steps<void> {
  yield* downRead(cpu, sem, MMAP_LOCK);
  yield* downRead(cpu, sem, MMAP_LOCK);
  yield* upRead(cpu, sem, MMAP_LOCK);
  yield* upRead(cpu, sem, MMAP_LOCK);
}

/** Words of a page table that was never handed out. */
function scratch({ map }: Wreck): number {
  return elementOf(map.tables, map.tables.count - 1) + PageTable.entries;
}

const BREAKS: readonly (readonly [name: string, what: string, message: RegExp, brk: Break])[] = [
  [
    "I1",
    "a freed VMA is written to",
    /written after free: object at word \d+, generation 1, freed by/,
    (w) => w.set(elementOf(w.map.vmas, 0) + Vma.flags, 2),
  ],
  [
    "I1",
    "a freed page table is written to",
    /written after free/,
    (w) => w.set(elementOf(w.map.tables, 1) + PageTable.entries + 511, 0),
  ],
  ["I1", "a freed mm is written to", /written after free/, (w) => w.set(w.mm + Mm.totalVm, 1)],
  [
    "I1",
    "a freed maple node is written to",
    /written after free/,
    (w) => w.set(elementOf(w.map.nodes, 0) + SlabObject.WORDS, 1),
  ],
  [
    "I1",
    "a freed anon_vma is written to",
    /written after free/,
    (w) => w.set(elementOf(w.map.anonVmas, 0) + SlabObject.WORDS, 1),
  ],
  ["I2", "a page is never freed", /1 pages are still in use/, (w) => w.run((cpu) => allocPages(cpu, 0, GFP_KERNEL))],
  ["I2", "a free page has a reference", /is free, but has 1 references/, (w) => w.set(w.freeFrame + Frame.count, 1)],
  ["I2", "the zone counts a page too many", /nrFreePages says/, (w) => w.words[w.zone + Zone.nrFreePages]!++],
  [
    "I3",
    "a VMA is never freed",
    /1 VMAs were never freed/,
    (w) => w.run((cpu) => slabAlloc(cpu, cpu.machine + MmGlobals.vmas)),
  ],
  [
    "I3",
    "promised pages are not given back",
    /vm_committed_as is 3/,
    (w) => w.set(w.map.root + MmGlobals.committed, 3),
  ],
  [
    "I4",
    "a TLB still leads to a freed page",
    /CPU 1 still translates to page 200, which is free/,
    (w) => {
      const tlb = elementOf(w.map.cpuMm, 1) + CpuMm.tlb;
      const entry = tlb + CpuTlb.entries + 9 * TlbEntry.WORDS;
      w.set(entry + TlbEntry.pfn, 200);
      w.set(entry + TlbEntry.generation, w.words[tlb + CpuTlb.generation] as number);
    },
  ],
  [
    "I7",
    "a zone's lock is not given back",
    /zone_lock of zone 0 is still held by CPU 0/,
    (w) => w.run((cpu) => spinLock(cpu, w.zone + Zone.lock, ZONE_LOCK)),
  ],
  [
    "I7",
    "a slab's lock is not given back",
    /slab lock of anonVmas is still held by CPU 0/,
    (w) => w.run((cpu) => spinLock(cpu, w.map.root + MmGlobals.anonVmas + Slab.lock, SLAB_LOCK)),
  ],
  [
    "I7",
    "oom_lock is not given back",
    /oom_lock is still held by CPU 0/,
    (w) => w.run((cpu) => mutexLock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK)),
  ],
  [
    "I7",
    "a task's lock is not given back",
    /alloc_lock of task 0 is still held by CPU 0/,
    (w) => w.run((cpu) => spinLock(cpu, elementOf(w.map.tasks, 0) + Task.allocLock, ALLOC_LOCK)),
  ],
  [
    "I7",
    "a CPU ends with a lock of a freed object",
    /CPU 1 still holds mmap_lock/,
    (w) => {
      const sync = elementOf(w.map.cpuSync, 1);
      w.set(sync + CpuSync.held, w.mm + Mm.mmapLock);
      w.set(sync + CpuSync.held + 1, MMAP_LOCK);
      w.set(sync + CpuSync.heldCount, 1);
    },
  ],
  [
    "I8",
    "a CPU still waits",
    /CPU 1 still waits for mmap_lock/,
    (w) => {
      w.set(elementOf(w.map.cpuSync, 1) + CpuSync.awaited, w.mm + Mm.mmapLock);
      w.set(elementOf(w.map.cpuSync, 1) + CpuSync.awaitedClass, MMAP_LOCK);
    },
  ],
  [
    "I8",
    "two locks were nested both ways, one after the other",
    /inversion: /,
    (w) => {
      const [one, other] = [w.zone + Zone.lock, elementOf(w.map.tasks, 0) + Task.allocLock];
      w.run((cpu) => nest(cpu, one, ZONE_LOCK, other, ALLOC_LOCK));
      w.run((cpu) => nest(cpu, other, ALLOC_LOCK, one, ZONE_LOCK));
    },
  ],
  [
    "I8",
    "a reader took its rwsem again",
    /recursion: mmap_lock/,
    (w) => {
      initRwsem(w.words, scratch(w), 0);
      w.run((cpu) => readTwice(cpu, scratch(w)));
    },
  ],
  [
    "I10",
    "the reaper has a gather open",
    /CPU 1 has a gather open/,
    (w) => w.set(elementOf(w.map.cpuMm, 1) + CpuMm.gather + MmuGather.mm, w.mm),
  ],
];

describe("in a checked build", () => {
  it("a clean race breaks nothing", () => {
    const wreck = new Wreck();
    expect(findViolations(wreck.words, wreck.map)).toEqual([]);
  });

  it.each(BREAKS)("%s alone: %s", (name, _what, message, brk) => {
    const wreck = new Wreck();
    brk(wreck);
    const found = findViolations(wreck.words, wreck.map);
    expect([...new Set(found.map(({ invariant }) => invariant))]).toEqual([name]);
    expect(found[0]?.message).toMatch(message);
    expect(found[0]?.message.startsWith(`${name}: `)).toBe(true);
  });

  it("I10, with what it drags along: a reaper that never drops its pin keeps the struct", () => {
    const race = { ...RACE, reaper: "mrelease" } as const;
    const stage = stageToy(race);
    stage.snapshot[stage.staged.mm + Mm.mmCount]!++;
    expect(runToy(race, stage, 7).state).toBe("finished");
    const found = findViolations(stage.words, stage.map).map(({ message }) => message);
    expect(found).toContain("I10: mm_users 0, mm_count 1 after teardown");
    // The top-level table and its frame go with the struct.
    expect(found.map((message) => message.split(":")[0])).toEqual(["I2", "I3", "I3", "I10"]);
  });

  it("a freed mm is filled with poison, so I10 and I11 look at living ones here", () => {
    const wreck = new Wreck();
    expect(wreck.words[wreck.mm + Mm.tlbFlushPending]).toBe(POISON);
  });
});

describe("in a measured build", () => {
  let kernel: Kernel;

  beforeAll(async () => {
    kernel = await loadKernel("parallel");
  });

  /** One victim on its own, run to its end; freed objects keep their words here. */
  function afterKill(): { words: Int32Array; map: MachineMap; mm: number } {
    const { map, words } = kernel.bootMachine(kernel.TOY_SHAPE);
    const cpu = kernel.cpuOf(words, map, 0, kernel.soloPort());
    const setup = { protocol: "v6.1", mappings: TOY_MAPPINGS, frames: "sequential", seed: 1, reaper: "none" } as const;
    const { mm } = kernel.runToEnd(kernel.stageRace(cpu, setup));
    kernel.runToEnd(kernel.roles.victim(cpu, {}));
    expect(kernel.findViolations(words, map)).toEqual([]);
    return { words, map, mm };
  }

  it.each([
    ["I11", "tlb_flush_pending is 1", "tlbFlushPending"],
    ["I10", "mm_users 1, mm_count 0 after teardown", "mmUsers"],
    ["I10", "mm_users 0, mm_count 1 after teardown", "mmCount"],
  ] as const)("%s alone: %s", (name, message, field) => {
    const { words, map, mm } = afterKill();
    words[mm + kernel.Mm[field]]!++;
    expect(kernel.findViolations(words, map).map((found) => found.message)).toEqual([`${name}: ${message}`]);
  });
});

it("lists the invariants that are code, each with its sentence", () => {
  expect(INVARIANTS.map(({ name }) => name)).toEqual([
    "I1",
    "I2",
    "I3",
    "I4",
    "I5",
    "I6",
    "I7",
    "I8",
    "I10",
    "I11",
    "I9",
    "I12",
  ]);
  for (const { text } of INVARIANTS) expect(text).not.toBe("");
});
