/**
 * Collecting pages between clearing their PTEs and freeing them (mm/mmu_gather.c, include/asm-generic/tlb.h; v6.14).
 *
 * Order that must hold: PTE cleared, rmap removed, TLB flushed, only then the page reference dropped.
 *
 * A gather starts with room for MMU_GATHER_BUNDLE pages. Each extra batch needs a page of its own, asked for with
 * GFP_NOWAIT; under OOM that fails, and then a flush happens every 8 pages. A batch page's pointers lie in the
 * CPU's own words (the emulated page has no room for them); the page itself is really allocated.
 *
 * Thread safety: a gather belongs to its CPU; one at a time. Only `mm->tlb_flush_pending` is shared.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchAdd, load, store } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { beginWork, endWork } from "../sync/cpu-speed.ts";
import { MM_PAGES_FREED } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { Mm } from "./mm-struct.ts";
import { PAGE_TYPE_GATHER, pageSetOwner } from "./page.ts";
import { allocPages, GFP_NOWAIT, putPage, releasePages } from "./page-alloc.ts";
import { freeTable, PageTable } from "./page-table.ts";
import { pagesFreed } from "./pcp.ts";
import { flushTlbMm, waitForTableWalks } from "./tlb.ts";

/** Pages a gather holds without a batch page. */
export const MMU_GATHER_BUNDLE = 8;
/** Pointers in one batch page: (4096 - 16) / 8. */
export const MAX_GATHER_BATCH = 510;
/** Extra batches: at most 10,000 pages of soft-lockup budget. */
export const MAX_GATHER_BATCH_COUNT = Math.floor(10_000 / MAX_GATHER_BATCH);

/** A page of order 0 takes one word; a run of pages of a larger folio two: minus their number, then the first. */
const RUN_WORDS = 2;

export const MmuGather = struct(
  "mmuGather",
  {
    /** The mm being unmapped; 0 when no gather is open. */
    mm: 1,
    /** Words used and usable in `pages`. */
    used: 1,
    capacity: 1,
    /** PTEs were cleared since the last flush. */
    needFlush: 1,
    /** Tables queued for freeing, linked through PageTable.nextFree. */
    tables: 1,
    /** Frames of batch pages, `batchCount` of them. */
    batchCount: 1,
    batchPfns: MAX_GATHER_BATCH_COUNT,
    /** Flushes of this CPU's gathers, and batch pages that could not be had. */
    flushes: 1,
    batchFailures: 1,
    pages: { words: MMU_GATHER_BUNDLE + MAX_GATHER_BATCH_COUNT * MAX_GATHER_BATCH + RUN_WORDS, align: CACHE_PAIR },
  },
  CACHE_PAIR,
);

/** `tlb_gather_mmu`: opens this CPU's gather on `mm`. */
export function* tlbGatherMmu(cpu: Cpu, mm: number): Steps<void> {
  const tlb = cpu.gather;
  assert(load(cpu, tlb + MmuGather.mm) === 0, `tlbGatherMmu: CPU ${cpu.id} has a gather open`);
  store(cpu, tlb + MmuGather.mm, mm);
  store(cpu, tlb + MmuGather.used, 0);
  store(cpu, tlb + MmuGather.capacity, MMU_GATHER_BUNDLE);
  store(cpu, tlb + MmuGather.needFlush, 0);
  store(cpu, tlb + MmuGather.tables, 0);
  yield* fetchAdd(cpu, mm + Mm.tlbFlushPending, 1);
}

/**
 * `tlb_next_batch`: makes room for another batch; false when the gather has to be flushed first, because the
 * batch limit is reached or memory is too short for a batch page.
 */
export function* tlbNextBatch(cpu: Cpu): Steps<boolean> {
  const tlb = cpu.gather;
  const capacity = load(cpu, tlb + MmuGather.capacity);
  const count = load(cpu, tlb + MmuGather.batchCount);
  const inUse = Math.floor((capacity - MMU_GATHER_BUNDLE) / MAX_GATHER_BATCH);
  if (inUse === count) {
    if (count === MAX_GATHER_BATCH_COUNT) return false;
    const pfn = yield* allocPages(cpu, 0, GFP_NOWAIT);
    if (pfn === 0) {
      store(cpu, tlb + MmuGather.batchFailures, (load(cpu, tlb + MmuGather.batchFailures) + 1) | 0);
      return false;
    }
    pageSetOwner(cpu, pfn, PAGE_TYPE_GATHER, cpu.id);
    store(cpu, tlb + MmuGather.batchPfns + count, pfn);
    store(cpu, tlb + MmuGather.batchCount, count + 1);
  }
  store(cpu, tlb + MmuGather.capacity, capacity + MAX_GATHER_BATCH);
  return true;
}

/** No room is left: the next page needs `tlbNextBatch`, or a flush. */
export function gatherIsFull(cpu: Cpu): boolean {
  return load(cpu, cpu.gather + MmuGather.used) >= load(cpu, cpu.gather + MmuGather.capacity);
}

/** `tlb_remove_table`: the table is freed after the next flush. No walker may reach it any more. */
export function tlbRemoveTable(cpu: Cpu, table: number): void {
  const tlb = cpu.gather;
  store(cpu, table + PageTable.nextFree, load(cpu, tlb + MmuGather.tables));
  store(cpu, tlb + MmuGather.tables, table);
  store(cpu, tlb + MmuGather.needFlush, 1);
}

/** `tlb_flush_mmu_tlbonly`: no CPU can use what was unmapped so far. May run under a PTE lock. */
export function* tlbFlushMmuTlbonly(cpu: Cpu): Steps<void> {
  const tlb = cpu.gather;
  if (load(cpu, tlb + MmuGather.needFlush) === 0) return;
  yield* flushTlbMm(cpu, load(cpu, tlb + MmuGather.mm));
  store(cpu, tlb + MmuGather.needFlush, 0);
  store(cpu, tlb + MmuGather.flushes, (load(cpu, tlb + MmuGather.flushes) + 1) | 0);
}

/** `tlb_flush_mmu`: flush, then free queued tables, then drop the page references. Not under a PTE lock. */
export function* tlbFlushMmu(cpu: Cpu): Steps<void> {
  yield* tlbFlushMmuTlbonly(cpu);
  yield* freeQueuedTables(cpu);
  const tlb = cpu.gather;
  const used = load(cpu, tlb + MmuGather.used);
  store(cpu, tlb + MmuGather.used, 0);
  store(cpu, tlb + MmuGather.capacity, MMU_GATHER_BUNDLE);
  const freed = pagesFreed(cpu);
  const began = beginWork(cpu);
  yield* releasePages(cpu, tlb + MmuGather.pages, used);
  endWork(cpu, began);
  trace(cpu, MM_PAGES_FREED, load(cpu, tlb + MmuGather.mm), (pagesFreed(cpu) - freed) | 0);
}

function* freeQueuedTables(cpu: Cpu): Steps<void> {
  const tlb = cpu.gather;
  let table = load(cpu, tlb + MmuGather.tables);
  store(cpu, tlb + MmuGather.tables, 0);
  if (table !== 0) yield* waitForTableWalks(cpu, load(cpu, tlb + MmuGather.mm));
  while (table !== 0) {
    const next = load(cpu, table + PageTable.nextFree);
    yield* freeTable(cpu, table);
    table = next;
  }
}

/**
 * `tlb_finish_mmu`: flushes and closes. When another gather is open on the same mm, its PTEs may be cleared but not
 * flushed yet, so this one flushes even if it unmapped nothing (B6).
 */
export function* tlbFinishMmu(cpu: Cpu): Steps<void> {
  const tlb = cpu.gather;
  const mm = load(cpu, tlb + MmuGather.mm);
  if ((yield* atomicLoad(cpu, mm + Mm.tlbFlushPending)) > 1) store(cpu, tlb + MmuGather.needFlush, 1);
  yield* tlbFlushMmu(cpu);
  const count = load(cpu, tlb + MmuGather.batchCount);
  for (let i = 0; i < count; i++) yield* putPage(cpu, load(cpu, tlb + MmuGather.batchPfns + i));
  store(cpu, tlb + MmuGather.batchCount, 0);
  store(cpu, tlb + MmuGather.mm, 0);
  yield* fetchAdd(cpu, mm + Mm.tlbFlushPending, -1);
}
