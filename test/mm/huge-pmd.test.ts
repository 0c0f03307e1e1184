import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { hugeStart, hugetlbFault } from "../../src/mm/huge-pmd.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_UNSTABLE, Mm } from "../../src/mm/mm-struct.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { findPmd, findPteTable, PageTable, PMD_LOCK, pmdAlloc, pteAlloc } from "../../src/mm/page-table.ts";
import { forward } from "../../src/mm/traversal/forward.ts";
import { reapVmas } from "../../src/mm/unmap.ts";
import { faultInPage, getUser, putUser } from "../../src/mm/user-fault.ts";
import { VM_FAULT_DONE, VM_FAULT_SIGBUS } from "../../src/mm/vm-fault.ts";
import { VM_HUGEPAGE, VM_HUGETLB, VM_PFNMAP, VM_WRITE } from "../../src/mm/vma.ts";
import { ZAP_TRY } from "../../src/mm/zap.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import { counters, endAll, hugeMachine, pmdOf, readKinds } from "./kinds.ts";
import {
  buildMm,
  emptyMm,
  everySeed,
  full,
  inUse,
  type MmMachine,
  pagesInUse,
  refs,
  rmaps,
  tableAt,
  whileShort,
  zap,
} from "./mm-machine.ts";

const SEEDS = 1000;
const T = 512;
const NONE = { present: [] } as const;

function tables(m: MmMachine): number {
  return inUse(m, MmGlobals.tables);
}

/** One mapping of three huge ranges from page T on, of which the second is there. */
function stage(m: MmMachine): number {
  return buildMm(m, [full(T, 3 * T, { ...NONE, huge: [T, T], flags: VM_WRITE | VM_HUGEPAGE })]);
}

/** Reaps after some work on empty ranges. */
function* reapLate(cpu: Cpu, mm: number): Steps<void> {
  for (let i = 0; i < 4; i++) yield* zap(cpu, mm, 0, 1);
  yield* reapVmas(cpu, mm, forward, 0);
}

describe("a huge page", () => {
  it("is one entry: a folio with one reference and one mapping, and a table put aside", () => {
    const m = hugeMachine();
    const mm = stage(m);
    const { entry, pfn } = pmdOf(m, tableAt(m, mm, 2 * T, 1), 2 * T);
    expect(entry).toBeLessThan(0);
    expect([refs(m, pfn), rmaps(m, pfn), pfn % T]).toEqual([1, 1, 0]);
    expect([counters(m, mm).anon, m.words[mm + Mm.pgtablesBytes]]).toEqual([T, 3 * 4096]);
    expect([tables(m), pagesInUse(m)]).toEqual([4, T + 4]);
    expect([...readKinds(m, mm).keys()]).toEqual(Array.from({ length: T }, (_, i) => 2 * T + i));
    expect(endAll(m, mm)).toEqual({});
  });

  it("is found by the MMU, and by no one who looks for a table", () => {
    const m = hugeMachine();
    const mm = stage(m);
    expect(runToEnd(putUser(m.cpu, mm, 2 * T + 5, 9))).toBe(VM_FAULT_DONE);
    expect(runToEnd(getUser(m.cpu, mm, 2 * T + 5))).toBe(9);
    expect(runToEnd(findPteTable(m.cpu, mm, 2 * T + 5))).toBe(0);
    expect(runToEnd(pteAlloc(m.cpu, mm, 2 * T + 5))).toBeLessThan(0);
    expect(runToEnd(findPmd(m.cpu, mm, 2 * T + 5))).toBeLessThan(0);
    expect(runToEnd(faultInPage(m.cpu, mm, 2 * T + 5, true))).toBe(VM_FAULT_DONE);
    expect(readKinds(m, mm).size).toBe(T);
  });

  it("is made by a fault where the mapping has room and memory a block; else a single page is", () => {
    const m = hugeMachine();
    const mm = emptyMm(m);
    runToEnd(mmapRegion(m.cpu, mm, T, T + 8, VM_WRITE | VM_HUGEPAGE));
    expect(runToEnd(putUser(m.cpu, mm, T + 7, 1))).toBe(VM_FAULT_DONE);
    expect(runToEnd(putUser(m.cpu, mm, 2 * T + 1, 1))).toBe(VM_FAULT_DONE);
    expect(counters(m, mm).anon).toBe(T + 1);
    expect(hugeStart(T + 7)).toBe(T);
    expect(endAll(m, mm)).toEqual({});
    const small = hugeMachine({ frames: 400 });
    const other = emptyMm(small);
    runToEnd(mmapRegion(small.cpu, other, T, T, VM_WRITE | VM_HUGEPAGE));
    expect(runToEnd(putUser(small.cpu, other, T + 7, 1))).toBe(VM_FAULT_DONE);
    expect(counters(small, other).anon).toBe(1);
    expect(endAll(small, other)).toEqual({});
  });

  it("is not made in an unstable mm, and leaves nothing of itself", () => {
    const m = hugeMachine();
    const mm = stage(m);
    runToEnd(setMmFlag(m.cpu, mm, MMF_UNSTABLE));
    const before = [tables(m), pagesInUse(m)];
    expect(runToEnd(faultInPage(m.cpu, mm, T, true))).toBe(VM_FAULT_SIGBUS);
    expect([tables(m), pagesInUse(m)]).toEqual(before);
    expect(endAll(m, mm)).toEqual({});
  });

  it("goes with one zap, and its table with it", () => {
    const m = hugeMachine();
    const mm = stage(m);
    runToEnd(zap(m.cpu, mm, T, 4 * T));
    expect([readKinds(m, mm).size, counters(m, mm).anon]).toEqual([0, 0]);
    expect([tables(m), pagesInUse(m), m.words[mm + Mm.pgtablesBytes]]).toEqual([3, 3, 2 * 4096]);
    expect(endAll(m, mm)).toEqual({});
  });

  it("goes when the gather has room for eight", () => {
    const m = hugeMachine({ frames: 8192, minFreePages: 1000 });
    const mm = buildMm(m, [full(T, 10 * T, { ...NONE, huge: [0, 10 * T] })]);
    whileShort(m, () => runToEnd(zap(m.cpu, mm, T, 11 * T)));
    expect([readKinds(m, mm).size, counters(m, mm).anon]).toEqual([0, 0]);
    expect(endAll(m, mm)).toEqual({});
  });

  it("is split where part of it goes: the rest stays, without any memory", () => {
    const m = hugeMachine({ minFreePages: 200 });
    const mm = stage(m);
    const { pfn } = pmdOf(m, tableAt(m, mm, 2 * T, 1), 2 * T);
    whileShort(m, () => runToEnd(zap(m.cpu, mm, 2 * T + 10, 2 * T + 20)));
    expect([readKinds(m, mm).size, counters(m, mm).anon]).toEqual([T - 10, T - 10]);
    expect([refs(m, pfn), rmaps(m, pfn), tables(m)]).toEqual([T - 10, T - 10, 4]);
    const table = tableAt(m, mm, 2 * T);
    expect(m.words[table + PageTable.present]).toBe(T - 10);
    expect(endAll(m, mm)).toEqual({});
  });

  it("is left by a zap that only tries while its lock is held", () => {
    const m = hugeMachine();
    const mm = stage(m);
    const lock = tableAt(m, mm, 2 * T, 1) + PageTable.lock;
    const other = m.handle(1);
    runToEnd(spinLock(other, lock, PMD_LOCK));
    expect(runToEnd(zap(m.cpu, mm, T, 4 * T, ZAP_TRY))).toBe(false);
    expect(readKinds(m, mm).size).toBe(T);
    runToEnd(spinUnlock(other, lock, PMD_LOCK));
    expect(runToEnd(zap(m.cpu, mm, T, 4 * T, ZAP_TRY))).toBe(true);
    expect(readKinds(m, mm).size).toBe(0);
  });

  it("is taken by one of two zappers, whole or in part", () => {
    for (const lockGranularity of ["mm", "table"] as const) {
      const m = hugeMachine({ lockGranularity, frames: 2048 });
      const mm = stage(m);
      everySeed(m, {
        programs: [(cpu) => zap(cpu, mm, T, 4 * T), (cpu) => zap(cpu, mm, 2 * T, 3 * T)],
        seeds: SEEDS / 2,
        look: (_outcome, seed) => {
          expect([counters(m, mm).anon, readKinds(m, mm).size]).toEqual([0, 0]);
          if (seed % 50 === 0) expect(endAll(m, mm)).toEqual({});
        },
      });
    }
  });

  it("is refused, reaped, or was there in time where a fault meets a reaper", () => {
    const m = hugeMachine({ frames: 2048 });
    const mm = emptyMm(m);
    runToEnd(mmapRegion(m.cpu, mm, T, T, VM_WRITE | VM_HUGEPAGE));
    runToEnd(pmdAlloc(m.cpu, mm, T));
    const results = new Set<string>();
    everySeed(m, {
      programs: [(cpu) => faultInPage(cpu, mm, T + 1, true), (cpu) => reapLate(cpu, mm)],
      seeds: SEEDS,
      look: (outcome) => {
        const result = outcome.state === "finished" && outcome.results[0];
        results.add(`${result}, ${counters(m, mm).anon} pages`);
        expect(readKinds(m, mm).size).toBe(counters(m, mm).anon);
      },
    });
    const [done, refused] = [VM_FAULT_DONE, VM_FAULT_SIGBUS];
    // What was installed after the reaper's look and before its flag was known is no refill; see `installHuge`.
    expect([...results].sort()).toEqual([`${done}, 0 pages`, `${done}, ${T} pages`, `${refused}, 0 pages`]);
  });
});

describe("memory that the reaper leaves alone", () => {
  it("hugetlb pages count outside rss and go with the victim", () => {
    const m = hugeMachine();
    const mm = buildMm(m, [full(T, 2 * T, { ...NONE, huge: [T, T], flags: VM_WRITE | VM_HUGETLB })]);
    expect(counters(m, mm)).toMatchObject({ anon: 0, hugetlb: T });
    expect(tables(m)).toBe(3);
    runToEnd(hugetlbFault(m.cpu, mm, T + 4));
    runToEnd(reapVmas(m.cpu, mm, forward, VM_HUGETLB | VM_PFNMAP));
    expect([counters(m, mm).hugetlb, readKinds(m, mm).get(T)]).toEqual([2 * T, "hugetlb"]);
    expect(endAll(m, mm)).toEqual({});
  });

  it("device memory has entries and nothing else; user stores go to the device", () => {
    const m = hugeMachine();
    const mm = buildMm(m, [full(0x10, 600, { present: [0, 600], flags: VM_WRITE | VM_PFNMAP })]);
    expect([readKinds(m, mm).get(0x10), counters(m, mm).anon, pagesInUse(m)]).toEqual(["device", 0, 5]);
    expect(runToEnd(putUser(m.cpu, mm, 0x20, 3))).toBe(VM_FAULT_DONE);
    expect(runToEnd(getUser(m.cpu, mm, 0x30))).toBe(3);
    runToEnd(reapVmas(m.cpu, mm, forward, VM_HUGETLB | VM_PFNMAP));
    expect(readKinds(m, mm).size).toBe(600);
    runToEnd(zap(m.cpu, mm, 0x10, 0x11));
    expect(runToEnd(putUser(m.cpu, mm, 0x10, 3))).toBe(VM_FAULT_SIGBUS);
    expect(endAll(m, mm)).toEqual({});
  });
});
