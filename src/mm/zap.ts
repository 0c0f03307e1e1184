/**
 * Unmapping pages: zap_pte_range and the walk down to it (mm/memory.c: unmap_page_range, zap_*_range; v6.14).
 *
 * Thread safety: caller holds mmap_lock for reading, or owns the mm exclusively, and has a gather open. Any number
 * of CPUs may zap the same range: each present PTE is cleared, and accounted, by exactly one of them, because both
 * happen under the PTE lock. Upper levels are only read, but for huge pages, which are taken under the pmd_lock.
 *
 * The lock is held for one table at most. Inside it per page: clear the PTE and remove the rmap (in either order, as
 * nobody can tell under the lock), queue the page. The lock is left early when a reschedule is due or the gather is full; in the latter case the TLB is flushed under
 * the lock and the pages are freed after it.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, exchangeOwned, load, store } from "../arena/mem.ts";
import { beginWork, endWork } from "../sync/cpu-speed.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { spinLock, spinTrylock, spinUnlock } from "../sync/spinlock.ts";
import { CpuMm, count } from "./cpu-mm.ts";
import { GRANULARITY_PTE, MmGlobals, setting } from "./globals.ts";
import { HUGE_BUSY, zapHugePmd } from "./huge-pmd.ts";
import { addMmCounter } from "./mm.ts";
import { MM_ANONPAGES, Mm } from "./mm-struct.ts";
import { gatherIsFull, MmuGather, tlbFlushMmu, tlbFlushMmuTlbonly, tlbNextBatch } from "./mmu-gather.ts";
import { FRAME_REF_ONE, Frame, framesOf, linkSingle, MAPPED_ONCE } from "./page.ts";
import {
  entrySpan,
  notePresent,
  PageTable,
  PTE_LOCK,
  PTE_SHIFT,
  PTRS_PER_TABLE,
  pteLockOf,
  tableIndex,
  tableIsEmpty,
} from "./page-table.ts";
import { noteReaped } from "./refill.ts";
import { subtractZapRss, zapEntries } from "./zap-entry.ts";
import { ZAP_WAIT } from "./zap-mode.ts";

export { ZAP_TRY, ZAP_WAIT } from "./zap-mode.ts";

/**
 * `unmap_page_range`: zaps virtual pages [start, end) of one VMA. Returns false when ZAP_TRY met a held lock; what
 * lies behind that table is then still mapped.
 */
export function* unmapPageRange(cpu: Cpu, mm: number, start: number, end: number, mode: number): Steps<boolean> {
  const top = setting(cpu, MmGlobals.levels) - 1;
  return yield* zapTable(cpu, mm, load(cpu, mm + Mm.pgd), top, start, end, mode);
}

/** Zaps what `[start, end)` covers of the table at `level`; the range lies inside this table. */
function* zapTable(
  cpu: Cpu,
  mm: number,
  table: number,
  level: number,
  start: number,
  end: number,
  mode: number,
): Steps<boolean> {
  if (level === 0) {
    const first = tableIndex(start, 0);
    return yield* zapPteRange(cpu, mm, table, first, first + (end - start), mode);
  }
  const span = entrySpan(level);
  for (let at = start; at < end; ) {
    const next = Math.min(end, at - (at % span) + span);
    let below = yield* atomicLoad(cpu, table + PageTable.entries + tableIndex(at, level));
    if (below < 0) below = yield* zapHugePmd(cpu, mm, table, at, next, mode);
    if (below === HUGE_BUSY) return false;
    if (below !== 0 && !(yield* zapTable(cpu, mm, below, level - 1, at, next, mode))) return false;
    at = next;
  }
  return true;
}

/**
 * `zap_pte_range`: entries [first, last) of one level-0 table.
 *
 * A table that somebody else has emptied costs its lock and no more. The kernel reads all 512 entries, for a hundredth
 * of what unmapping them costs it; here, where a page costs 10 ns in place of 320, reading them from the other CPU's
 * cache would cost a third, and each side's walk through what the other has done would hide what the orders differ in.
 */
function* zapPteRange(cpu: Cpu, mm: number, table: number, first: number, last: number, mode: number): Steps<boolean> {
  const perPte = setting(cpu, MmGlobals.lockGranularity) === GRANULARITY_PTE;
  for (let index = first; index < last; ) {
    const lock = pteLockOf(cpu, mm, table, index);
    if (mode === ZAP_WAIT) yield* spinLock(cpu, lock, PTE_LOCK);
    else if (!(yield* spinTrylock(cpu, lock, PTE_LOCK))) return false;
    const began = beginWork(cpu);
    if (tableIsEmpty(cpu, table)) index = last;
    else index = yield* zapLocked(cpu, mm, table, index, perPte ? index + 1 : last);
    const full = gatherIsFull(cpu);
    if (full) yield* tlbFlushMmuTlbonly(cpu);
    endWork(cpu, began);
    yield* spinUnlock(cpu, lock, PTE_LOCK);
    if (full) yield* tlbFlushMmu(cpu);
  }
  count(cpu, CpuMm.tablesZapped);
  noteProgress(cpu);
  return true;
}

/** PTEs this CPU may still look at before it has to let others run (`need_resched`). */
function tickBudget(cpu: Cpu): number {
  const every = setting(cpu, MmGlobals.reschedEvery);
  return every === 0 ? PTRS_PER_TABLE : load(cpu, cpu.mm + CpuMm.reschedIn);
}

/** Counts entries against the tick; at the tick the CPU reschedules once it is out of the lock. */
function spendTick(cpu: Cpu, entries: number): void {
  const every = setting(cpu, MmGlobals.reschedEvery);
  if (every === 0) return;
  const left = load(cpu, cpu.mm + CpuMm.reschedIn) - entries;
  if (left <= 0) count(cpu, CpuMm.resched);
  store(cpu, cpu.mm + CpuMm.reschedIn, left > 0 ? left : every);
}

/** Clears PTEs from `first` on until `last`, a due reschedule or a full gather; returns where it stopped. */
function* zapLocked(cpu: Cpu, mm: number, table: number, first: number, last: number): Steps<number> {
  const entries = table + PageTable.entries;
  const stop = entries + Math.min(last, first + tickBudget(cpu));
  let own = 0;
  let others = 0;
  let at = entries + first;
  for (;;) {
    const before = load(cpu, cpu.gather + MmuGather.used);
    at = yield* zapOwnPages(cpu, at, stop);
    own += load(cpu, cpu.gather + MmuGather.used) - before;
    if (gatherIsFull(cpu) && !(yield* tlbNextBatch(cpu))) break;
    if (at === stop) break;
    if (load(cpu, at) === 0) continue;
    const run = yield* zapEntries(cpu, at, stop - at);
    others += run;
    at += run;
    if (gatherIsFull(cpu) && !(yield* tlbNextBatch(cpu))) break;
  }
  const index = at - entries;
  spendTick(cpu, index - first);
  if (own + others > 0) {
    store(cpu, cpu.gather + MmuGather.needFlush, 1);
    count(cpu, CpuMm.ptesZapped, own + others);
    notePresent(cpu, table, -own - others);
    noteReaped(cpu, mm, table);
    if (others > 0) own += yield* subtractZapRss(cpu, mm);
    if (own > 0) yield* addMmCounter(cpu, mm, MM_ANONPAGES, -own);
  }
  return index;
}

/**
 * The usual case, and the innermost loop of everything: single pages that this entry alone maps. Clears PTE words
 * [from, to) up to the first other page, or until the gather is full; returns where it stopped. Nothing in the loop
 * is a call once it is compiled, so what does not change is read once.
 */
function* zapOwnPages(cpu: Cpu, from: number, to: number): Steps<number> {
  const { words, gather } = cpu;
  const frames = framesOf(cpu);
  const queue = gather + MmuGather.pages;
  const room = queue + load(cpu, gather + MmuGather.capacity);
  let next = queue + load(cpu, gather + MmuGather.used);
  let at = from;
  for (; at < to && next < room; at++) {
    const pte = load(cpu, at);
    if (pte === 0) continue;
    const pfn = pte >>> PTE_SHIFT;
    const frame = (frames + Math.imul(pfn, Frame.WORDS)) | 0;
    // A freed page's POISON is no single page's link: CHECKED builds meet it in `zapFolioRun`.
    if (!linkSingle(words[frame + Frame.link] as number)) break;
    if (!(yield* exchangeOwned(cpu, frame + Frame.count, MAPPED_ONCE, FRAME_REF_ONE))) break;
    store(cpu, at, 0);
    words[next] = pfn;
    next = (next + 1) | 0;
  }
  store(cpu, gather + MmuGather.used, next - queue);
  return at;
}
