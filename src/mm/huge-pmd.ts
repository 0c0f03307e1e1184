/**
 * 2 MiB mapped by one level-1 entry (mm/huge_memory.c: do_huge_pmd_anonymous_page, zap_huge_pmd, __split_huge_pmd;
 * mm/pgtable-generic.c: pgtable_trans_huge_deposit; mm/hugetlb.c: hugetlb_no_page, __unmap_hugepage_range; v6.18).
 *
 * The entry names a folio of 512 pages, mapped once and with one reference for the entry. With each anonymous one a
 * level-0 table is put aside, so that splitting it needs no memory. Hugetlb pages have none, are never split and count
 * in `hugetlbUsage` instead of rss. Left out: the huge zero page, migration entries, reservations and pools of hugetlb
 * pages (they come from the buddy), pages of 1 GiB.
 *
 * Thread safety: entries and deposits are changed under the level-1 table's lock (`pmd_lock`); see `mm/page-table`.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd, load, probeAdd, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { spinLock, spinTrylock, spinUnlock } from "../sync/spinlock.ts";
import { anonVmaPrepare } from "./anon-vma.ts";
import { CpuMm, count } from "./cpu-mm.ts";
import { allocUserPages } from "./memcg-charge.ts";
import { addMmCounter, mmFlagSet } from "./mm.ts";
import { MM_ANONPAGES, MMF_UNSTABLE, Mm, TABLE_BYTES } from "./mm-struct.ts";
import { gatherIsFull, MmuGather, tlbFlushMmu, tlbFlushMmuTlbonly, tlbNextBatch } from "./mmu-gather.ts";
import { folioAddRmap, folioRefAdd, folioRemoveRmap, PAGE_TYPE_ANON, PAGE_TYPE_OTHER, pageSetOwner } from "./page.ts";
import { allocPages, GFP_KERNEL, GFP_NOWAIT, putPage } from "./page-alloc.ts";
import {
  allocTable,
  freeTable,
  notePresent,
  PageTable,
  PMD_LOCK,
  PTE_PRESENT,
  PTE_SHIFT,
  PTE_WRITE,
  PTRS_PER_TABLE,
  pmdAlloc,
  pmdLock,
  pmdLockOf,
  tableIndex,
} from "./page-table.ts";
import { noteFreshPage, noteReaped } from "./refill.ts";
import { VM_FAULT_DONE, VM_FAULT_FALLBACK, VM_FAULT_OOM, VM_FAULT_SIGBUS } from "./vm-fault.ts";
import { vmaEnd, vmaStart } from "./vma.ts";
import { gatherFolio } from "./zap-entry.ts";
import { ZAP_WAIT } from "./zap-mode.ts";

/** Order of the folios, and pages in one: what a level-1 entry maps. */
export const HPAGE_PMD_ORDER = 9;
export const HPAGE_PMD_NR = PTRS_PER_TABLE;

/** A huge entry: below 0, with a pfn in bits 0..28. */
const HUGE = 1 << 31;
const HUGE_HUGETLB = 1 << 30;
/** To be copied, or split, at the first write: fork shared it (`mm/huge-wp`). */
export const HUGE_READ_ONLY = 1 << 29;
const HUGE_PFN_MASK = (1 << 29) - 1;

/** What `zapHugePmd` returns when ZAP_TRY met a held lock. No address, no entry of use to anybody. */
export const HUGE_BUSY = -1;

/** First page of the folio that a huge entry maps. */
export function hugePfn(entry: number): number {
  return entry & HUGE_PFN_MASK;
}

export function isHugetlb(entry: number): boolean {
  return (entry & HUGE_HUGETLB) !== 0;
}

/** The entry that maps a hugetlb page. */
export function hugetlbEntry(pfn: number): number {
  return HUGE | HUGE_HUGETLB | pfn;
}

/** First page of the huge range around `vpn`. */
export function hugeStart(vpn: number): number {
  return vpn - (vpn % HPAGE_PMD_NR);
}

/**
 * `do_huge_pmd_anonymous_page`: maps 512 fresh pages around `vpn`. VM_FAULT_FALLBACK where the VMA has no room for them
 * or memory has no such block: then single pages are due. Caller holds mmap_lock for reading.
 */
export function* doHugePmdAnonymousPage(cpu: Cpu, mm: number, vma: number, vpn: number): Steps<number> {
  const base = hugeStart(vpn);
  if (base < vmaStart(cpu, vma) || base + HPAGE_PMD_NR > vmaEnd(cpu, vma)) return VM_FAULT_FALLBACK;
  if (!(yield* anonVmaPrepare(cpu, mm, vma))) return VM_FAULT_OOM;
  const pmds = yield* pmdAlloc(cpu, mm, base);
  if (pmds === 0) return VM_FAULT_OOM;
  const pfn = yield* allocUserPages(cpu, mm, HPAGE_PMD_ORDER, GFP_NOWAIT);
  if (pfn === 0) return VM_FAULT_FALLBACK;
  pageSetOwner(cpu, pfn, PAGE_TYPE_ANON, load(cpu, mm + Mm.number));
  const deposit = yield* allocTable(cpu, mm);
  const result = deposit === 0 ? VM_FAULT_OOM : yield* installHuge(cpu, mm, pmds, base, pfn, deposit);
  if (result === VM_FAULT_DONE) return VM_FAULT_DONE;
  if (deposit !== 0) yield* freeTable(cpu, deposit);
  yield* putPage(cpu, pfn);
  return result === RACED ? VM_FAULT_DONE : result;
}

/** Somebody else was faster. */
const RACED = -1;

/**
 * Takes the lock, looks at the entry and MMF_UNSTABLE, and maps the folio. Unlike with PTEs, a reaper that sets the flag
 * after that look may have passed the empty entry by, which it reads without the lock, as the kernel's does. Then the
 * page stays until exit: memory not reaped, but nobody was shown a refilled page, as none had been reaped here.
 */
function* installHuge(cpu: Cpu, mm: number, pmds: number, base: number, pfn: number, deposit: number): Steps<number> {
  const entry = pmds + PageTable.entries + tableIndex(base, 1);
  const lock = yield* pmdLock(cpu, mm, pmds);
  let result = (yield* atomicLoad(cpu, entry)) === 0 ? VM_FAULT_DONE : RACED;
  if (result === VM_FAULT_DONE && (yield* mmFlagSet(cpu, mm, MMF_UNSTABLE))) result = VM_FAULT_SIGBUS;
  if (result === VM_FAULT_DONE) {
    noteFreshPage(cpu, mm, pmds, base);
    yield* folioAddRmap(cpu, pfn, 1);
    yield* depositTable(cpu, mm, pmds, deposit);
    yield* addMmCounter(cpu, mm, MM_ANONPAGES, HPAGE_PMD_NR);
    yield* atomicStore(cpu, entry, HUGE | pfn);
  }
  yield* spinUnlock(cpu, lock, PMD_LOCK);
  return result;
}

/** `pgtable_trans_huge_deposit`; the table counts as one of the mm's. Caller holds pmd_lock. */
export function* depositTable(cpu: Cpu, mm: number, pmds: number, table: number): Steps<void> {
  store(cpu, table + PageTable.nextFree, load(cpu, pmds + PageTable.deposit));
  store(cpu, pmds + PageTable.deposit, table);
  yield* fetchAdd(cpu, mm + Mm.pgtablesBytes, TABLE_BYTES);
}

/** `pgtable_trans_huge_withdraw`. Caller holds pmd_lock. */
function withdrawTable(cpu: Cpu, pmds: number): number {
  const table = load(cpu, pmds + PageTable.deposit);
  assert(table !== 0, "withdrawTable: nothing is deposited");
  store(cpu, pmds + PageTable.deposit, load(cpu, table + PageTable.nextFree));
  return table;
}

/** `hugetlb_no_page`: maps a fresh hugetlb page around `vpn`. Caller holds mmap_lock for reading. */
export function* hugetlbFault(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  const base = hugeStart(vpn);
  const pmds = yield* pmdAlloc(cpu, mm, base);
  if (pmds === 0) return VM_FAULT_OOM;
  const pfn = yield* allocPages(cpu, HPAGE_PMD_ORDER, GFP_KERNEL);
  if (pfn === 0) return VM_FAULT_SIGBUS;
  pageSetOwner(cpu, pfn, PAGE_TYPE_OTHER, load(cpu, mm + Mm.number));
  const entry = pmds + PageTable.entries + tableIndex(base, 1);
  const lock = yield* pmdLock(cpu, mm, pmds);
  const empty = (yield* atomicLoad(cpu, entry)) === 0;
  if (empty) {
    yield* folioAddRmap(cpu, pfn, 1);
    yield* fetchAdd(cpu, mm + Mm.hugetlbUsage, HPAGE_PMD_NR);
    yield* atomicStore(cpu, entry, hugetlbEntry(pfn));
  }
  yield* spinUnlock(cpu, lock, PMD_LOCK);
  if (!empty) yield* putPage(cpu, pfn);
  return VM_FAULT_DONE;
}

/**
 * `zap_huge_pmd`, or the split that precedes a partial zap: entry of [start, end) in the level-1 table `pmds`. Returns
 * what the entry is now: 0, a level-0 table that is still to be zapped, or HUGE_BUSY.
 */
export function* zapHugePmd(
  cpu: Cpu,
  mm: number,
  pmds: number,
  start: number,
  end: number,
  mode: number,
): Steps<number> {
  const entry = pmds + PageTable.entries + tableIndex(start, 1);
  const lock = pmdLockOf(cpu, mm, pmds);
  if (mode === ZAP_WAIT) yield* spinLock(cpu, lock, PMD_LOCK);
  else if (!(yield* spinTrylock(cpu, lock, PMD_LOCK))) return HUGE_BUSY;
  let now = yield* atomicLoad(cpu, entry);
  if (now < 0) {
    if (end - start === HPAGE_PMD_NR) now = yield* clearHuge(cpu, mm, pmds, entry, now);
    else now = yield* splitLocked(cpu, pmds, entry, now);
  }
  const full = gatherIsFull(cpu) && !(yield* tlbNextBatch(cpu));
  if (full) yield* tlbFlushMmuTlbonly(cpu);
  yield* spinUnlock(cpu, lock, PMD_LOCK);
  if (full) yield* tlbFlushMmu(cpu);
  return now;
}

/** Clears a huge entry and queues its folio; returns 0. Caller holds pmd_lock. */
function* clearHuge(cpu: Cpu, mm: number, pmds: number, entry: number, huge: number): Steps<number> {
  const pfn = hugePfn(huge);
  noteReaped(cpu, mm, pmds);
  // Who finds the entry empty takes no lock, and so may be done with the mm before its counters are.
  probeAdd(cpu.words, mm + Mm.clearingHuge, HPAGE_PMD_NR);
  yield* atomicStore(cpu, entry, 0);
  yield* folioRemoveRmap(cpu, pfn, 1);
  if (isHugetlb(huge)) yield* fetchAdd(cpu, mm + Mm.hugetlbUsage, -HPAGE_PMD_NR);
  else {
    yield* addMmCounter(cpu, mm, MM_ANONPAGES, -HPAGE_PMD_NR);
    yield* freeTable(cpu, withdrawTable(cpu, pmds));
    yield* fetchAdd(cpu, mm + Mm.pgtablesBytes, -TABLE_BYTES);
  }
  probeAdd(cpu.words, mm + Mm.clearingHuge, -HPAGE_PMD_NR);
  gatherFolio(cpu, pfn, 1);
  store(cpu, cpu.gather + MmuGather.needFlush, 1);
  count(cpu, CpuMm.ptesZapped, HPAGE_PMD_NR);
  return 0;
}

/** `__split_huge_pmd`: 512 PTEs take the entry's place, which is returned; nothing is unmapped. Caller holds pmd_lock. */
export function* splitLocked(cpu: Cpu, pmds: number, entry: number, huge: number): Steps<number> {
  assert(!isHugetlb(huge), "splitLocked: a hugetlb page is never split");
  const pfn = hugePfn(huge);
  const table = withdrawTable(cpu, pmds);
  const bits = (huge & HUGE_READ_ONLY) !== 0 ? PTE_PRESENT : PTE_PRESENT | PTE_WRITE;
  for (let i = 0; i < PTRS_PER_TABLE; i++) {
    store(cpu, table + PageTable.entries + i, ((pfn + i) << PTE_SHIFT) | bits);
  }
  notePresent(cpu, table, PTRS_PER_TABLE);
  yield* folioRefAdd(cpu, pfn, PTRS_PER_TABLE - 1);
  yield* folioAddRmap(cpu, pfn, PTRS_PER_TABLE - 1);
  yield* atomicStore(cpu, entry, table);
  return table;
}
