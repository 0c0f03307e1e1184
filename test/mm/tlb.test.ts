import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, fetchAdd, runToEnd } from "../../src/arena/mem.ts";
import { userStore } from "../../src/mm/fault.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { folioRemoveRmap } from "../../src/mm/page.ts";
import { putPage } from "../../src/mm/page-alloc.ts";
import { findPteTable, PageTable, PTE_LOCK, PTE_SHIFT, pteLockOf } from "../../src/mm/page-table.ts";
import { CpuTlb, flushTlbMm, TLB_ENTRIES, tlbActivate, tlbFill, tlbGeneration, tlbLookup } from "../../src/mm/tlb.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import {
  acquired,
  buildMm,
  emptyMm,
  everySeed,
  firstViolation,
  full,
  liveEntries,
  type MmMachine,
  mmMachine,
  readPtes,
  tlbAt,
} from "./mm-machine.ts";

const SEEDS = 1000;

const word = (m: MmMachine, id: number, field: number): number => m.words[tlbAt(m, id) + field] as number;
const generationOf = (m: MmMachine, id: number): number => word(m, id, CpuTlb.generation);

describe("entries", () => {
  it("are found by mm, page and generation, all bits of them", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    const high = 0xfff_ffff_ff40;
    const generation = runToEnd(tlbGeneration(m.cpu));
    tlbFill(m.cpu, mm, high, 99, generation);
    expect(tlbLookup(m.cpu, mm, high, generation)).toBe(99);
    expect(tlbLookup(m.cpu, mm + 192, high, generation)).toBe(0);
    expect(tlbLookup(m.cpu, mm, high, generation + 1)).toBe(0);
    for (const bit of [6, 12, 29, 30, 35, 43]) {
      expect(tlbLookup(m.cpu, mm, high - 2 ** bit, generation), `bit ${bit}`).toBe(0);
    }
    expect(liveEntries(m, 0)).toEqual([[high, 99]]);
  });

  it("are evicted by a page that falls on the same place", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    const generation = runToEnd(tlbGeneration(m.cpu));
    tlbFill(m.cpu, mm, 5, 50, generation);
    tlbFill(m.cpu, mm, 6, 60, generation);
    tlbFill(m.cpu, mm, 5 + TLB_ENTRIES, 70, generation);
    expect([5, 6, 5 + TLB_ENTRIES].map((vpn) => tlbLookup(m.cpu, mm, vpn, generation))).toEqual([0, 60, 70]);
  });

  it("are none after boot, though all words are zero", () => {
    const m = mmMachine();
    expect(liveEntries(m, 0)).toEqual([]);
    expect(tlbLookup(m.cpu, 0, 0, generationOf(m, 0))).toBe(0);
  });
});

describe("flushTlbMm", () => {
  it("reaches the CPUs that ran threads of the mm, its own among them, and no others", () => {
    const m = mmMachine({ cpus: 4 });
    const [one, two] = [emptyMm(m, 1), emptyMm(m, 2)];
    runToEnd(tlbActivate(m.handle(0), one));
    runToEnd(tlbActivate(m.handle(2), one));
    runToEnd(tlbActivate(m.handle(3), two));
    const before = [0, 1, 2, 3].map((id) => generationOf(m, id));
    runToEnd(flushTlbMm(m.cpu, one));
    expect([0, 1, 2, 3].map((id) => generationOf(m, id) - (before[id] as number))).toEqual([1, 0, 1, 0]);
    expect([word(m, 0, CpuTlb.flushes), word(m, 0, CpuTlb.remoteFlushes)]).toEqual([1, 1]);
    expect(m.words[one + Mm.cpumask]).toBe(0b101);
  });

  it("outdates every entry of a CPU it reaches, and nothing of the mm's own", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0x10, 3)]);
    expect(liveEntries(m, 0)).toHaveLength(3);
    const ptes = readPtes(m, mm);
    runToEnd(flushTlbMm(m.handle(1), mm));
    expect(liveEntries(m, 0)).toEqual([]);
    expect(readPtes(m, mm)).toEqual(ptes);
  });

  it("reaches CPU 30", () => {
    const m = mmMachine({ cpus: 31 });
    const mm = emptyMm(m);
    runToEnd(tlbActivate(m.handle(30), mm));
    const before = generationOf(m, 30);
    runToEnd(flushTlbMm(m.cpu, mm));
    expect(generationOf(m, 30)).toBe(before + 1);
  });
});

describe("a user's store", () => {
  it("walks the tables once, then finds its translation, until a flush", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0x10, 1)]);
    runToEnd(flushTlbMm(m.cpu, mm));
    const walks: number[] = [];
    for (let i = 0; i < 3; i++) {
      const before = acquired(m, "mmu_walk");
      expect(runToEnd(userStore(m.cpu, mm, 0x10, i))).toBe(true);
      walks.push(acquired(m, "mmu_walk") - before);
      if (i === 1) runToEnd(flushTlbMm(m.handle(1), mm));
    }
    expect(walks).toEqual([1, 0, 1]);
    expect(word(m, 0, CpuTlb.accessSeq) % 2).toBe(0);
  });
});

/** Clears the PTE of page 0 and frees its page, with a flush of the caller's choosing in between. */
function* unmapOne(cpu: Cpu, mm: number, waits: boolean): Steps<void> {
  const table = yield* findPteTable(cpu, mm, 0);
  const lock = pteLockOf(cpu, mm, table, 0);
  yield* spinLock(cpu, lock, PTE_LOCK);
  const pfn = (cpu.words[table + PageTable.entries] as number) >>> PTE_SHIFT;
  cpu.words[table + PageTable.entries] = 0;
  yield* folioRemoveRmap(cpu, pfn, 1);
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  if (waits) yield* flushTlbMm(cpu, mm);
  else yield* flushWithoutWaiting(cpu);
  yield* putPage(cpu, pfn);
}

/** Outdates CPU 1's entries, and does not care whether it is in the middle of an access. */
function* flushWithoutWaiting(cpu: Cpu): Steps<void> {
  yield* fetchAdd(cpu, cpu.tlb + cpu.mmStride + CpuTlb.generation, 1);
}

function* storeUntilUnmapped(cpu: Cpu, mm: number): Steps<number> {
  let stores = 0;
  while (stores < 3 && (yield* userStore(cpu, mm, 0, stores))) stores++;
  return stores;
}

describe("the bracket round a user access", () => {
  function twoCpus(): { m: MmMachine; mm: number } {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 1)]);
    m.words[mm + Mm.cpumask] = 0;
    runToEnd(tlbActivate(m.handle(1), mm));
    return { m, mm };
  }
  const programs = (mm: number, waits: boolean): ((cpu: Cpu) => Steps<unknown>)[] => [
    (cpu) => unmapOne(cpu, mm, waits),
    (cpu) => storeUntilUnmapped(cpu, mm),
  ];

  it("keeps a page until every store to it has ended; a flusher that goes to sleep is woken", () => {
    const { m, mm } = twoCpus();
    const stores = new Set<unknown>();
    let slept = 0;
    let asleep = false;
    everySeed(m, {
      programs: programs(mm, true),
      seeds: SEEDS,
      afterStep: () => {
        if (word(m, 1, CpuTlb.flushWaiter) === 1) asleep = true;
      },
      look: (outcome) => {
        if (outcome.state === "finished") stores.add(outcome.results[1]);
        if (asleep) slept++;
        asleep = false;
      },
    });
    expect([...stores].sort()).toEqual([0, 1, 2, 3]);
    expect(slept).toBeGreaterThan(SEEDS / 20);
  });

  it("lets a store hit a freed page when the flusher does not wait for it", () => {
    const { m, mm } = twoCpus();
    const fault = firstViolation(m, { programs: programs(mm, false), seeds: SEEDS });
    expect(fault).toMatch(/^I1: use after free by CPU 1: frames\[\d+\]\.data/);
  });

  it("is left by the time a flush has ended, if it was open when the flush began", () => {
    const { m, mm } = twoCpus();
    let open = 0;
    everySeed(m, {
      programs: [(cpu) => flushAndLook(cpu, mm, 4), (cpu) => storeUntilUnmapped(cpu, mm)],
      seeds: SEEDS,
      look: (outcome) => {
        if (outcome.state !== "finished") return;
        for (const [before, after] of outcome.results[0] as [number, number][]) {
          if (before % 2 === 0) continue;
          open++;
          expect(after).toBeGreaterThan(before);
        }
      },
    });
    expect(open).toBeGreaterThan(SEEDS / 20);
  });
});

/** CPU 1's access word right before a flush, and right after it, of several flushes. */
function* flushAndLook(cpu: Cpu, mm: number, times: number): Steps<[number, number][]> {
  const seq = cpu.tlb + cpu.mmStride + CpuTlb.accessSeq;
  const seen: [number, number][] = [];
  for (let i = 0; i < times; i++) {
    const before = yield* atomicLoad(cpu, seq);
    yield* flushTlbMm(cpu, mm);
    seen.push([before, cpu.words[seq] as number]);
  }
  return seen;
}
