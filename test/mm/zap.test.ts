import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { readFigures } from "../../src/machine/race.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { MmuGather, tlbFinishMmu, tlbGatherMmu } from "../../src/mm/mmu-gather.ts";
import { getPage } from "../../src/mm/page.ts";
import { putPage } from "../../src/mm/page-alloc.ts";
import { PageTable, PTE_LOCK, PTE_PRESENT, PTE_SHIFT, PTRS_PER_TABLE } from "../../src/mm/page-table.ts";
import { CpuTlb } from "../../src/mm/tlb.ts";
import { unmapPageRange, ZAP_TRY, ZAP_WAIT } from "../../src/mm/zap.ts";
import { SPIN_OWNER_MASK, spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import {
  acquired,
  balances,
  buildMm,
  countStep,
  endMm,
  everySeed,
  faultsOf,
  full,
  gatherAt,
  type MmMachine,
  mappedPages,
  mmMachine,
  type Op,
  pagesInUse,
  presentPages,
  readPtes,
  refs,
  rmaps,
  rss,
  tableAt,
  tlbAt,
  watchingPort,
  whileShort,
  zap,
} from "./mm-machine.ts";

const figures = (m: MmMachine, id = 0) => readFigures(m.words, m.map, id);
const SEEDS = 1000;
/** One seed in so many is torn down and looked at by every invariant. */
const THOROUGH = 4;

describe("unmapPageRange", () => {
  it.each(["mm", "table", "pte"] as const)(
    "takes an emptied table's lock and reads none of its entries: %s",
    (unit) => {
      const m = mmMachine({ lockGranularity: unit, reschedEvery: 10_000 });
      const mm = buildMm(m, [full(512, 100)]);
      const counts = unit !== "pte";
      const present = (): number => m.words[tableAt(m, mm, 512) + PageTable.present] as number;
      // Entries that are looked at count against the tick.
      const spent = (): number => 10_000 - (m.words[m.cpu.mm + CpuMm.reschedIn] as number);
      expect(present()).toBe(counts ? 100 : 0);
      runToEnd(zap(m.cpu, mm, 512, 572));
      expect([present(), spent()]).toEqual([counts ? 40 : 0, 60]);
      runToEnd(zap(m.cpu, mm, 512, 612));
      expect([present(), spent()]).toEqual([0, 160]);
      const locked = acquired(m, "pte_lock");
      runToEnd(zap(m.cpu, mm, 512, 612));
      expect([acquired(m, "pte_lock") - locked, spent()]).toEqual(counts ? [1, 160] : [100, 260]);
      endMm(m, mm);
    },
  );

  it("clears exactly the pages asked for, with any lock granularity", () => {
    const spans = fc.tuple(fc.nat(1100), fc.integer({ min: 1, max: 1100 }));
    const runs = fc.uniqueArray(fc.nat(1099), { maxLength: 40 });
    const granularities = fc.constantFrom("mm", "table", "pte" as const);
    const machines = Object.fromEntries(
      (["mm", "table", "pte"] as const).map((lockGranularity) => [lockGranularity, mmMachine({ lockGranularity })]),
    ) as Record<"mm" | "table" | "pte", MmMachine>;
    fc.assert(
      fc.property(granularities, runs, spans, fc.nat(60), (granularity, pages, [from, length], reschedEvery) => {
        const m = machines[granularity];
        const start = m.words.slice();
        m.words[m.map.root + MmGlobals.reschedEvery] = reschedEvery;
        m.words[m.cpu.mm + CpuMm.reschedIn] = reschedEvery;
        const base = 0x7fff_0123_0;
        const present = [...pages].sort((a, b) => a - b).flatMap((page) => [page, 1]);
        const mapping = full(base, 1100, { present });
        const mm = buildMm(m, [mapping]);
        const to = Math.min(from + length, 1100);
        if (from < to) runToEnd(zap(m.cpu, mm, base + from, base + to));
        const left = presentPages([mapping]).filter((vpn) => vpn < base + from || vpn >= base + to);
        expect(mappedPages(m, mm)).toEqual(left);
        expect(rss(m, mm)).toBe(left.length);
        expect(figures(m).ptes).toBe(pages.length - left.length);
        endMm(m, mm);
        expect(faultsOf(m)).toEqual([]);
        m.words.set(start);
      }),
      { seed: 1, numRuns: 150 },
    );
  });

  it("takes the lock of each table once, one at a time, and passes by tables that are not there", () => {
    for (const levels of [4, 5] as const) {
      const m = mmMachine({ levels, frames: 2000 });
      const top = levels === 4 ? 2 ** 35 : 2 ** 44;
      const mapping = full(top - 40 * PTRS_PER_TABLE, 40 * PTRS_PER_TABLE, {
        present: [0, 512, 3 * 512 + 7, 1, 39 * 512, 512],
      });
      const mm = buildMm(m, [mapping]);
      const held: number[] = [];
      let most = 0;
      const cpu = m.handle(
        0,
        watchingPort(() => {
          const locks = [0, 3, 39].map((i) => tableAt(m, mm, mapping.startVpn + i * 512) + PageTable.lock);
          most = Math.max(most, locks.filter((lock) => ((m.words[lock] as number) & SPIN_OWNER_MASK) === 1).length);
        }),
      );
      const before = acquired(m, "pte_lock");
      runToEnd(zap(cpu, mm, mapping.startVpn, top));
      held.push(acquired(m, "pte_lock") - before);
      expect(held).toEqual([3]);
      expect(most).toBe(1);
      expect(figures(m).tables).toBe(3);
      expect(mappedPages(m, mm)).toEqual([]);
    }
  });

  it("takes one lock per table with one lock for the mm, and one per PTE with one for each", () => {
    const counts = (["mm", "table", "pte"] as const).map((lockGranularity) => {
      const m = mmMachine({ lockGranularity });
      const mm = buildMm(m, [full(0x200, 5), full(0x400, 7)]);
      const before = acquired(m, "pte_lock");
      runToEnd(unmapGathered(m.cpu, mm, [0x200, 0x205, 0x400, 0x407]));
      return acquired(m, "pte_lock") - before;
    });
    expect(counts).toEqual([2, 2, 12]);
  });

  it("lets the lock go when a reschedule is due, and takes it again", () => {
    const m = mmMachine({ reschedEvery: 100, frames: 700 });
    const mm = buildMm(m, [full(0, PTRS_PER_TABLE)]);
    const lock = tableAt(m, mm, 0) + PageTable.lock;
    const free: number[] = [];
    let held = false;
    const cpu = m.handle(
      0,
      watchingPort(() => {
        const now = (m.words[lock] as number) !== 0;
        if (held && !now) free.push(figures(m).ptes);
        held = now;
      }),
    );
    runToEnd(zap(cpu, mm, 0, PTRS_PER_TABLE));
    expect(free).toEqual([100, 200, 300, 400, 500, 512]);
    expect(figures(m).resched).toBe(5);
    expect(m.words[m.cpu.mm + CpuMm.reschedIn]).toBe(88);
  });

  it("counts empty entries against the tick too, and carries what is left to the next table", () => {
    const m = mmMachine({ reschedEvery: 300 });
    const mm = buildMm(m, [full(0, 1024, { present: [511, 1, 1023, 1] })]);
    const before = acquired(m, "pte_lock");
    runToEnd(zap(m.cpu, mm, 0, 1024));
    // 300 | 212, 88 | 300, 124: the first table takes two locks, the second three.
    expect(acquired(m, "pte_lock") - before).toBe(5);
    expect(figures(m).resched).toBe(3);
    expect(mappedPages(m, mm)).toEqual([]);
  });

  it("leaves a table whose lock is held when it only tries, and what lies behind", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 3 * PTRS_PER_TABLE, { present: [0, 2, 512, 2, 1024, 2] })]);
    const other = m.handle(1);
    const lock = tableAt(m, mm, 512) + PageTable.lock;
    runToEnd(spinLock(other, lock, PTE_LOCK));
    expect(runToEnd(zap(m.cpu, mm, 0, 3 * PTRS_PER_TABLE, ZAP_TRY))).toBe(false);
    expect(mappedPages(m, mm)).toEqual([512, 513, 1024, 1025]);
    runToEnd(spinUnlock(other, lock, PTE_LOCK));
    expect(runToEnd(zap(m.cpu, mm, 0, 3 * PTRS_PER_TABLE, ZAP_TRY))).toBe(true);
    expect(mappedPages(m, mm)).toEqual([]);
  });

  it("has each page cleared by one CPU when two zap the same range", () => {
    for (const lockGranularity of ["mm", "table", "pte"] as const) {
      const m = mmMachine({ lockGranularity, reschedEvery: 2 });
      const mm = buildMm(m, [full(0x1fe, 5)]);
      const before = figures(m).ptes;
      everySeed(m, {
        programs: [(cpu) => zap(cpu, mm, 0x1fe, 0x203), (cpu) => zap(cpu, mm, 0x1fe, 0x203)],
        seeds: SEEDS,
        look: (_outcome, seed) => {
          expect(figures(m, 0).ptes + figures(m, 1).ptes - before).toBe(5);
          expect(rss(m, mm)).toBe(0);
          if (seed % THOROUGH !== 0) return;
          endMm(m, mm);
          expect(faultsOf(m)).toEqual([]);
        },
      });
    }
  });
});

/** Zaps the ranges [start, end), [start, end) ... in one gather. */
function* unmapGathered(cpu: Cpu, mm: number, ranges: readonly number[]): Steps<void> {
  yield* tlbGatherMmu(cpu, mm);
  for (let i = 0; i < ranges.length; i += 2) {
    yield* unmapPageRange(cpu, mm, ranges[i] as number, ranges[i + 1] as number, ZAP_WAIT);
  }
  yield* tlbFinishMmu(cpu);
}

describe("folios", () => {
  /** What is added to counts of mapped frames while [start, end) is zapped: [head's distance to the first frame, sum]. */
  function frameSteps(m: MmMachine, mm: number, start: number, end: number): [number, number][] {
    const mapped = new Set(readPtes(m, mm).values());
    const first = Math.min(...mapped);
    const steps: [number, number][] = [];
    const seen = (op: Op): void => {
      const step = countStep(m, op);
      if (step !== undefined && mapped.has(step.pfn)) steps.push([step.pfn - first, step.by]);
    };
    runToEnd(zap(m.handle(0, watchingPort(seen)), mm, start, end));
    return steps;
  }
  const RMAP = 1 << 16;

  it("take one rmap step and one put for all pages of a folio that a table maps in a row", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0x10, 16, { folioOrder: 2 })]);
    const heads = [0, 4, 8, 12].map((i) => [...readPtes(m, mm).values()][i] as number);
    const first = heads[0] as number;
    const steps = frameSteps(m, mm, 0x10, 0x20);
    expect(steps.filter(([, a]) => a < -RMAP)).toEqual(heads.map((head) => [head - first, -4 * RMAP]));
    expect(steps.filter(([, a]) => a > -RMAP)).toEqual(heads.map((head) => [head - first, -4]));
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("take one for the part that is asked for, and are freed with the rest", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0x10, 16, { folioOrder: 4 })]);
    expect(frameSteps(m, mm, 0x13, 0x15)).toEqual([
      [0, -2 * RMAP],
      [0, -2],
    ]);
    expect(pagesInUse(m)).toBe(16 + 4);
    expect(frameSteps(m, mm, 0x10, 0x20)).toEqual([
      [0, -3 * RMAP],
      [0, -11 * RMAP],
      [0, -3],
      [0, -11],
    ]);
    expect(pagesInUse(m)).toBe(4);
  });

  it("go whole with the last page that was mapped, the head or another", () => {
    for (const last of [0x10, 0x12, 0x13]) {
      const m = mmMachine();
      const mm = buildMm(m, [full(0x10, 4, { folioOrder: 2 })]);
      const head = readPtes(m, mm).get(0x10) as number;
      for (const vpn of [0x10, 0x11, 0x12, 0x13]) if (vpn !== last) runToEnd(zap(m.cpu, mm, vpn, vpn + 1));
      expect([refs(m, head), rmaps(m, head), pagesInUse(m)]).toEqual([1, 1, 4 + 4]);
      runToEnd(zap(m.cpu, mm, 0x10, 0x14));
      expect(pagesInUse(m)).toBe(4);
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });

  it("are not taken for a run where their pages are mapped out of order", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0x10, 4, { folioOrder: 2 })]);
    const entries = tableAt(m, mm, 0) + PageTable.entries;
    const [second, third] = [m.words[entries + 0x11] as number, m.words[entries + 0x12] as number];
    m.words[entries + 0x11] = third;
    m.words[entries + 0x12] = second;
    const rmapSteps = frameSteps(m, mm, 0x10, 0x14).filter(([, a]) => a <= -RMAP);
    expect(rmapSteps.map(([, a]) => a / -RMAP)).toEqual([1, 1, 1, 1]);
  });

  it("end where the next folio begins, though its frames follow", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0x10, 4)]);
    const [, second = 0, third, fourth] = readPtes(m, mm).values();
    expect([third, fourth]).toEqual([second + 1, second + 2]);
    expect(frameSteps(m, mm, 0x11, 0x14).filter(([, a]) => a <= -RMAP)).toHaveLength(3);
  });

  it("are split by a lock per PTE", () => {
    const m = mmMachine({ lockGranularity: "pte" });
    const mm = buildMm(m, [full(0x10, 4, { folioOrder: 2 })]);
    expect(frameSteps(m, mm, 0x10, 0x14).filter(([, a]) => a <= -RMAP)).toHaveLength(4);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });
});

describe("a page that somebody else holds too", () => {
  it("is unmapped like the others, among them, and lives until the last reference goes", () => {
    for (const minFreePages of [0, 200]) {
      const m = mmMachine({ minFreePages, frames: 450 });
      const mm = buildMm(m, [full(0, 30), full(32, 8, { folioOrder: 2 })]);
      const before = pagesInUse(m);
      const held = [3, 4, 7, 8, 15, 29].map((vpn) => readPtes(m, mm).get(vpn) as number);
      for (const pfn of held) runToEnd(getPage(m.cpu, pfn));
      whileShort(m, () => runToEnd(zap(m.cpu, mm, 0, 40)));
      expect([mappedPages(m, mm), rss(m, mm)]).toEqual([[], 0]);
      expect(pagesInUse(m)).toBe(before - 38 + held.length);
      for (const pfn of held) {
        expect([refs(m, pfn), rmaps(m, pfn)]).toEqual([1, 0]);
        runToEnd(putPage(m.cpu, pfn));
      }
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });
});

describe("a full gather", () => {
  it("is flushed under the lock, and its pages are freed after it", () => {
    // Too short of memory for a batch page: the gather holds 8 pages.
    const m = mmMachine({ minFreePages: 200, frames: 400 });
    const mm = buildMm(m, [full(0, 20)]);
    const lock = tableAt(m, mm, 0) + PageTable.lock;
    m.words[gatherAt(m, 0) + MmuGather.flushes] = 0;
    const events: string[] = [];
    const seen = (op: Op): void => {
      const locked = m.words[lock] === 0 ? "unlocked" : "locked";
      const step = countStep(m, op);
      if (op.word === tlbAt(m, 0) + CpuTlb.generation) events.push(`flush ${locked}`);
      else if (step !== undefined) events.push(`${step.by <= -(1 << 16) ? "rmap" : "put"} ${locked}`);
    };
    whileShort(m, () => runToEnd(zap(m.handle(0, watchingPort(seen)), mm, 0, 20)));
    const bundle = [...Array(8).fill("rmap locked"), "flush locked", ...Array(8).fill("put unlocked")];
    const rest = [...Array(4).fill("rmap locked"), "flush unlocked", ...Array(4).fill("put unlocked")];
    expect(events).toEqual([...bundle, ...bundle, ...rest]);
    expect(m.words[gatherAt(m, 0) + MmuGather.flushes]).toBe(3);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("is kept over several tables and flushed once, at the end, when batch pages can be had", () => {
    const m = mmMachine({ frames: 700 });
    const pages = PTRS_PER_TABLE + 40;
    const mm = buildMm(m, [full(0, pages)]);
    const before = balances(m);
    let batches = 0;
    const cpu = m.handle(
      0,
      watchingPort(() => {
        batches = Math.max(batches, m.words[gatherAt(m, 0) + MmuGather.batchCount] as number);
      }),
    );
    const flushes = m.words[gatherAt(m, 0) + MmuGather.flushes] as number;
    runToEnd(zap(cpu, mm, 0, pages));
    expect(m.words[gatherAt(m, 0) + MmuGather.flushes]).toBe(flushes + 1);
    expect(batches).toBe(2);
    expect(balances(m)).toEqual({ ...before, pages: (before.pages as number) - pages });
  });
});

describe("what a zapped page leaves", () => {
  it("is nothing in the table, whatever other bits the PTE had", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 2)]);
    const entry = tableAt(m, mm, 0) + PageTable.entries;
    expect((m.words[entry] as number) & PTE_PRESENT).toBe(PTE_PRESENT);
    expect((m.words[entry] as number) >>> PTE_SHIFT).toBe(readPtes(m, mm).get(0));
    runToEnd(zap(m.cpu, mm, 0, 1));
    expect(m.words[entry]).toBe(0);
    expect(m.words[mm + Mm.tlbFlushPending]).toBe(0);
  });
});
