import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, load, runToEnd, store } from "../../src/arena/mem.ts";
import { Violation } from "../../src/base/errors.ts";
import { noStaleTranslation } from "../../src/check/pages.ts";
import { userStore } from "../../src/mm/fault.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import {
  MAX_GATHER_BATCH,
  MAX_GATHER_BATCH_COUNT,
  MMU_GATHER_BUNDLE,
  MmuGather,
  tlbFinishMmu,
  tlbFlushMmu,
  tlbFlushMmuTlbonly,
  tlbGatherMmu,
  tlbRemoveTable,
} from "../../src/mm/mmu-gather.ts";
import { Frame, folioRemoveRmap, linkOwner, linkType, PAGE_TYPE_GATHER } from "../../src/mm/page.ts";
import { putPage } from "../../src/mm/page-alloc.ts";
import { findPteTable, PageTable, PTE_LOCK, PTE_SHIFT, pteLockOf, tableIndex } from "../../src/mm/page-table.ts";
import { CpuTlb, flushTlbMm, tlbActivate } from "../../src/mm/tlb.ts";
import { unmapPageRange, ZAP_WAIT } from "../../src/mm/zap.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import {
  buildMm,
  countStep,
  emptyMm,
  endMm,
  everySeed,
  faultsOf,
  firstViolation,
  frameOf,
  full,
  gatherAt,
  inUse,
  liveEntries,
  type MmMachine,
  mmMachine,
  type Op,
  pagesInUse,
  readPtes,
  refs,
  tableAt,
  tlbAt,
  watchingPort,
  whileShort,
  zap,
} from "./mm-machine.ts";

const SEEDS = 1000;
const MOST = MMU_GATHER_BUNDLE + MAX_GATHER_BATCH_COUNT * MAX_GATHER_BATCH;

const gather = (m: MmMachine, field: number, id = 0): number => m.words[gatherAt(m, id) + field] as number;
const generation = (m: MmMachine, id: number): number => m.words[tlbAt(m, id) + CpuTlb.generation] as number;

describe("a gather", () => {
  it("is one per CPU, and counts on the mm while it is open", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    runToEnd(tlbGatherMmu(m.cpu, mm));
    expect(() => runToEnd(tlbGatherMmu(m.cpu, mm))).toThrow("tlbGatherMmu: CPU 0 has a gather open");
    runToEnd(tlbGatherMmu(m.handle(1), mm));
    expect(m.words[mm + Mm.tlbFlushPending]).toBe(2);
    runToEnd(tlbFinishMmu(m.cpu));
    runToEnd(tlbFinishMmu(m.handle(1)));
    expect(m.words[mm + Mm.tlbFlushPending]).toBe(0);
    expect([gather(m, MmuGather.mm), gather(m, MmuGather.mm, 1)]).toEqual([0, 0]);
  });

  it("has the kernel's sizes: 8 pages, 510 to a batch page, 19 batch pages", () => {
    expect([MMU_GATHER_BUNDLE, MAX_GATHER_BATCH, MAX_GATHER_BATCH_COUNT]).toEqual([8, 510, 19]);
  });

  it("takes batch pages up to its limit, marks them as its own, and gives them all back", () => {
    const m = mmMachine({ frames: 13_000, tables: 40 });
    const pages = MOST + 100;
    const mm = buildMm(m, [full(0, pages)]);
    const inUseBefore = pagesInUse(m);
    const flushes = gather(m, MmuGather.flushes);
    runToEnd(tlbGatherMmu(m.cpu, mm));
    runToEnd(unmapPageRange(m.cpu, mm, 0, MOST - 1, ZAP_WAIT));
    expect(gather(m, MmuGather.flushes)).toBe(flushes);
    expect(gather(m, MmuGather.used)).toBe(MOST - 1);
    expect(gather(m, MmuGather.batchCount)).toBe(MAX_GATHER_BATCH_COUNT);
    const batchPages = Array.from({ length: MAX_GATHER_BATCH_COUNT }, (_, i) => gather(m, MmuGather.batchPfns + i));
    expect(new Set(batchPages).size).toBe(MAX_GATHER_BATCH_COUNT);
    for (const pfn of batchPages) {
      const link = m.words[frameOf(m, pfn) + Frame.link] as number;
      expect([linkType(link), linkOwner(link), refs(m, pfn)]).toEqual([PAGE_TYPE_GATHER, 0, 1]);
    }
    runToEnd(unmapPageRange(m.cpu, mm, MOST - 1, MOST, ZAP_WAIT));
    expect(gather(m, MmuGather.flushes)).toBe(flushes + 1);
    expect([gather(m, MmuGather.used), gather(m, MmuGather.capacity)]).toEqual([0, MMU_GATHER_BUNDLE]);
    // The batch pages stay with the gather and are used again.
    runToEnd(unmapPageRange(m.cpu, mm, MOST, pages, ZAP_WAIT));
    expect(gather(m, MmuGather.batchPfns)).toBe(batchPages[0]);
    expect(gather(m, MmuGather.batchCount)).toBe(MAX_GATHER_BATCH_COUNT);
    runToEnd(tlbFinishMmu(m.cpu));
    expect(pagesInUse(m)).toBe(inUseBefore - pages);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("flushes every 8 pages while batch pages cannot be had", () => {
    const m = mmMachine({ minFreePages: 200, frames: 400 });
    const mm = buildMm(m, [full(0, 40)]);
    const flushes = gather(m, MmuGather.flushes);
    const room: number[] = [];
    const cpu = m.handle(
      0,
      watchingPort(() => room.push(gather(m, MmuGather.capacity))),
    );
    whileShort(m, () => runToEnd(zap(cpu, mm, 0, 40)));
    expect(gather(m, MmuGather.flushes) - flushes).toBe(5);
    expect(gather(m, MmuGather.batchFailures)).toBe(5);
    expect(Math.max(...room)).toBe(MMU_GATHER_BUNDLE);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("has room for a run that begins at its last word", () => {
    const m = mmMachine({ minFreePages: 200, frames: 400 });
    const mm = buildMm(m, [full(0, 7), full(8, 4, { folioOrder: 2 }), full(16, 8, { folioOrder: 2 })]);
    const before = pagesInUse(m);
    const used: number[] = [];
    const cpu = m.handle(
      0,
      watchingPort(() => used.push(gather(m, MmuGather.used))),
    );
    whileShort(m, () => runToEnd(zap(cpu, mm, 0, 24)));
    expect(Math.max(...used)).toBe(MMU_GATHER_BUNDLE + 1);
    expect(before - pagesInUse(m)).toBe(19);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("does not flush when nothing was unmapped and nobody else unmaps", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 2)]);
    const before = generation(m, 0);
    runToEnd(zap(m.cpu, mm, 0x100, 0x200));
    expect(generation(m, 0)).toBe(before);
    runToEnd(zap(m.cpu, mm, 0, 1));
    expect(generation(m, 0)).toBe(before + 1);
  });

  it("flushes once for tlb-only flush and free together", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 2)]);
    const pfn = readPtes(m, mm).get(0) as number;
    runToEnd(tlbGatherMmu(m.cpu, mm));
    runToEnd(unmapPageRange(m.cpu, mm, 0, 1, ZAP_WAIT));
    const before = generation(m, 0);
    runToEnd(tlbFlushMmuTlbonly(m.cpu));
    expect([generation(m, 0), refs(m, pfn)]).toEqual([before + 1, 1]);
    runToEnd(tlbFlushMmu(m.cpu));
    expect([generation(m, 0), refs(m, pfn)]).toEqual([before + 1, 0]);
    runToEnd(tlbFinishMmu(m.cpu));
    expect(generation(m, 0)).toBe(before + 1);
  });

  it("flushes first, then frees tables, then pages", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 2), full(512, 1)]);
    const table = tableAt(m, mm, 0);
    const events: string[] = [];
    const anon = new Set(readPtes(m, mm).values());
    const tablePfn = m.words[table + PageTable.pfn] as number;
    const seen = (op: Op): void => {
      const step = countStep(m, op);
      if (op.word === tlbAt(m, 0) + CpuTlb.generation) events.push("flush");
      else if (step?.by === -1 && step.pfn === tablePfn) events.push("table");
      else if (step?.by === -1 && anon.has(step.pfn)) events.push("page");
    };
    const cpu = m.handle(0, watchingPort(seen));
    runToEnd(tlbGatherMmu(cpu, mm));
    runToEnd(unmapPageRange(cpu, mm, 0, 2, ZAP_WAIT));
    // As freePgtables leaves it: unreachable, and accounted for.
    m.words[tableAt(m, mm, 0, 1) + PageTable.entries] = 0;
    m.words[mm + Mm.pgtablesBytes] = (m.words[mm + Mm.pgtablesBytes] as number) - 4096;
    tlbRemoveTable(cpu, table);
    expect(inUse(m, MmGlobals.tables)).toBe(5);
    runToEnd(tlbFinishMmu(cpu));
    expect(events).toEqual(["flush", "table", "page", "page"]);
    expect(inUse(m, MmGlobals.tables)).toBe(4);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });
});

/** The finish without the rule about others' gathers (B6). */
function* finishAlone(cpu: Cpu): Steps<void> {
  const mm = load(cpu, cpu.gather + MmuGather.mm);
  const others = (yield* atomicLoad(cpu, mm + Mm.tlbFlushPending)) - 1;
  cpu.words[mm + Mm.tlbFlushPending] = 1;
  yield* tlbFinishMmu(cpu);
  cpu.words[mm + Mm.tlbFlushPending] = others;
}

describe("two gathers on one mm (B6)", () => {
  /** CPU 1 has a live translation of page 0 when CPU 0 has cleared its PTE and not flushed yet. */
  function halfUnmapped(): { m: MmMachine; mm: number } {
    const m = mmMachine({ cpus: 3 });
    const mm = buildMm(m, [full(0, 1)]);
    runToEnd(tlbActivate(m.handle(1), mm));
    runToEnd(userStore(m.handle(1), mm, 0, 7));
    runToEnd(tlbGatherMmu(m.cpu, mm));
    runToEnd(unmapPageRange(m.cpu, mm, 0, 1, ZAP_WAIT));
    expect(liveEntries(m, 1)).toHaveLength(1);
    return { m, mm };
  }

  it("make the one that found nothing flush too", () => {
    const { m, mm } = halfUnmapped();
    runToEnd(zap(m.handle(2), mm, 0, 1));
    expect(liveEntries(m, 1)).toEqual([]);
    expect(runToEnd(userStore(m.handle(1), mm, 0, 8))).toBe(false);
  });

  it("would leave a stale translation behind without that rule", () => {
    const { m, mm } = halfUnmapped();
    const second = m.handle(2);
    runToEnd(tlbGatherMmu(second, mm));
    runToEnd(unmapPageRange(second, mm, 0, 1, ZAP_WAIT));
    runToEnd(finishAlone(second));
    expect(liveEntries(m, 1)).toHaveLength(1);
  });

  /** After a zap returned, no CPU may use the page any more, whoever cleared its PTE. */
  function* zapAndLook(cpu: Cpu, m: MmMachine, mm: number, stale: { seen: number }): Steps<void> {
    yield* zap(cpu, mm, 0, 1);
    stale.seen += liveEntries(m, 2).length;
  }

  it("leave nobody with a translation once either has finished", () => {
    const m = mmMachine({ cpus: 3 });
    const mm = buildMm(m, [full(0, 1)]);
    runToEnd(tlbActivate(m.handle(2), mm));
    const stale = { seen: 0 };
    everySeed(m, {
      programs: [
        (cpu) => zapAndLook(cpu, m, mm, stale),
        (cpu) => zapAndLook(cpu, m, mm, stale),
        (cpu) => userStore(cpu, mm, 0, 3),
      ],
      seeds: SEEDS,
      look: () => expect(stale.seen).toBe(0),
    });
  });
});

/** A zap that drops the page before it flushes (B31): as it must not be. */
function* zapFreeingFirst(cpu: Cpu, mm: number, vpn: number): Steps<void> {
  const table = yield* findPteTable(cpu, mm, vpn);
  const entry = table + PageTable.entries + tableIndex(vpn, 0);
  const lock = pteLockOf(cpu, mm, table, tableIndex(vpn, 0));
  yield* spinLock(cpu, lock, PTE_LOCK);
  const pfn = load(cpu, entry) >>> PTE_SHIFT;
  store(cpu, entry, 0);
  yield* folioRemoveRmap(cpu, pfn, 1);
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  yield* putPage(cpu, pfn);
  yield* flushTlbMm(cpu, mm);
}

describe("no page is free while a CPU can reach it (I4)", () => {
  function toucher(): { m: MmMachine; mm: number; check: () => void } {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 1), full(0x200, 1)]);
    runToEnd(tlbActivate(m.handle(1), mm));
    const check = (): void => {
      const stale = noStaleTranslation.check(m.words, m.map);
      if (stale.length > 0) throw new Violation("I4", stale.join("; "));
    };
    return { m, mm, check };
  }
  function* touchTwice(cpu: Cpu, mm: number): Steps<void> {
    if (yield* userStore(cpu, mm, 0, 1)) yield* userStore(cpu, mm, 0, 2);
  }

  it("holds after every step of a zap and a user who writes", () => {
    const { m, mm, check } = toucher();
    everySeed(m, {
      programs: [(cpu) => zap(cpu, mm, 0, 1), (cpu) => touchTwice(cpu, mm)],
      seeds: SEEDS,
      afterStep: check,
    });
  });

  it("breaks when the page goes before the flush", () => {
    const { m, mm, check } = toucher();
    const run = (afterStep?: () => void): string | undefined =>
      firstViolation(m, {
        programs: [(cpu) => zapFreeingFirst(cpu, mm, 0), (cpu) => touchTwice(cpu, mm)],
        seeds: SEEDS,
        ...(afterStep && { afterStep }),
      });
    expect(run(check)).toMatch(/^I4: CPU \d still translates to page \d+, which is free/);
    // Without the look at the TLBs the user's own write gives it away, where it comes late enough.
    expect(run()).toMatch(/^I1: use after free by CPU 1: frames/);
  });
});
