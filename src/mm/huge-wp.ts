/**
 * Huge pages that fork shares: their entries copied, and the first write afterwards (mm/huge_memory.c: copy_huge_pmd,
 * do_huge_pmd_wp_page; mm/hugetlb.c: copy_hugetlb_page_range, hugetlb_wp; v6.18).
 *
 * Both sides' entries are read-only then. Who writes first and is not alone gets 512 entries in place of its one, and a
 * copy of the single page; a hugetlb page is copied whole. Left out: taking a hugetlb page away from the children when
 * their parent, who has reserved it, cannot have a copy.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd, load, store } from "../arena/mem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import {
  depositTable,
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  HUGE_READ_ONLY,
  hugePfn,
  hugetlbEntry,
  isHugetlb,
  splitLocked,
} from "./huge-pmd.ts";
import { addMmCounter } from "./mm.ts";
import { MM_ANONPAGES, Mm } from "./mm-struct.ts";
import {
  Frame,
  folioAddRmap,
  folioRefAdd,
  folioRemoveRmap,
  frameAddress,
  getPage,
  MAPPED_ONCE,
  PAGE_TYPE_OTHER,
  pageSetOwner,
} from "./page.ts";
import { allocPages, GFP_KERNEL, putPage } from "./page-alloc.ts";
import { allocTable, findPmdTable, PageTable, PMD_LOCK, pmdAlloc, pmdLock, tableIndex } from "./page-table.ts";
import { flushTlbMm } from "./tlb.ts";
import { VM_FAULT_DONE, VM_FAULT_FALLBACK, VM_FAULT_SIGBUS } from "./vm-fault.ts";

/**
 * `copy_huge_pmd`, `copy_hugetlb_page_range`: the child maps the huge page at `vpn`, too; both do read-only if the first
 * write is to make a copy (`cow`). False when there is no memory for tables. Caller holds the parent's mmap_lock for writing,
 * and nobody else can reach the child.
 */
export function* copyHugePmd(cpu: Cpu, parent: number, child: number, vpn: number, cow: boolean): Steps<boolean> {
  const from = yield* findPmdTable(cpu, parent, vpn);
  const entry = from + PageTable.entries + tableIndex(vpn, 1);
  const huge = yield* atomicLoad(cpu, entry);
  const to = yield* pmdAlloc(cpu, child, vpn);
  if (to === 0) return false;
  const deposit = isHugetlb(huge) ? 0 : yield* allocTable(cpu, child);
  if (deposit === 0 && !isHugetlb(huge)) return false;
  const lock = yield* pmdLock(cpu, parent, from);
  yield* folioRefAdd(cpu, hugePfn(huge), 1);
  yield* folioAddRmap(cpu, hugePfn(huge), 1);
  if (deposit !== 0) {
    yield* addMmCounter(cpu, child, MM_ANONPAGES, HPAGE_PMD_NR);
    yield* depositTable(cpu, child, to, deposit);
  } else yield* fetchAdd(cpu, child + Mm.hugetlbUsage, HPAGE_PMD_NR);
  const shared = cow ? huge | HUGE_READ_ONLY : huge;
  yield* atomicStore(cpu, entry, shared);
  yield* atomicStore(cpu, to + PageTable.entries + tableIndex(vpn, 1), shared);
  yield* spinUnlock(cpu, lock, PMD_LOCK);
  return true;
}

/** Splits the huge page at `vpn`, which a VMA's border cuts; the kernel does it when that is drawn (vma_adjust_trans_huge). */
export function* splitHugePmd(cpu: Cpu, mm: number, vpn: number): Steps<void> {
  const pmds = yield* findPmdTable(cpu, mm, vpn);
  const entry = pmds + PageTable.entries + tableIndex(vpn, 1);
  const lock = yield* pmdLock(cpu, mm, pmds);
  const huge = yield* atomicLoad(cpu, entry);
  if (huge < 0) yield* splitLocked(cpu, pmds, entry, huge);
  yield* spinUnlock(cpu, lock, PMD_LOCK);
}

/**
 * `do_huge_pmd_wp_page`: a write to the read-only huge page at `vpn`. VM_FAULT_FALLBACK where others map it, too: it is
 * split, and the single page is to be copied. Caller holds mmap_lock for reading.
 */
export function* doHugePmdWpPage(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  const pmds = yield* findPmdTable(cpu, mm, vpn);
  const entry = pmds + PageTable.entries + tableIndex(vpn, 1);
  const lock = yield* pmdLock(cpu, mm, pmds);
  const huge = yield* atomicLoad(cpu, entry);
  const settled = huge >= 0 || (yield* reuseHuge(cpu, entry, huge));
  if (!settled) yield* splitLocked(cpu, pmds, entry, huge);
  yield* spinUnlock(cpu, lock, PMD_LOCK);
  return huge < 0 && settled ? VM_FAULT_DONE : VM_FAULT_FALLBACK;
}

/** Lets a huge page be written to that nobody else has; true when it may be now. Caller holds pmd_lock. */
function* reuseHuge(cpu: Cpu, entry: number, huge: number): Steps<boolean> {
  if ((huge & HUGE_READ_ONLY) === 0) return true;
  if ((yield* atomicLoad(cpu, frameAddress(cpu, hugePfn(huge)) + Frame.count)) !== MAPPED_ONCE) return false;
  yield* atomicStore(cpu, entry, huge & ~HUGE_READ_ONLY);
  return true;
}

/**
 * `hugetlb_wp`: a write to the read-only hugetlb page at `vpn`, which is copied unless nobody else has it.
 * VM_FAULT_SIGBUS when there is none for the copy. Caller holds mmap_lock for reading.
 */
export function* hugetlbWp(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  const pmds = yield* findPmdTable(cpu, mm, vpn);
  const entry = pmds + PageTable.entries + tableIndex(vpn, 1);
  const lock = yield* pmdLock(cpu, mm, pmds);
  const huge = yield* atomicLoad(cpu, entry);
  const settled = huge >= 0 || (yield* reuseHuge(cpu, entry, huge));
  if (!settled) yield* getPage(cpu, hugePfn(huge));
  yield* spinUnlock(cpu, lock, PMD_LOCK);
  return settled ? VM_FAULT_DONE : yield* copyHugetlb(cpu, mm, entry, lock, huge);
}

/** Replaces the page of `huge`, on which the caller holds a reference, by a copy, if that entry still stands. */
function* copyHugetlb(cpu: Cpu, mm: number, entry: number, lock: number, huge: number): Steps<number> {
  const old = hugePfn(huge);
  const fresh = yield* allocPages(cpu, HPAGE_PMD_ORDER, GFP_KERNEL);
  let unmapped = false;
  if (fresh !== 0) {
    pageSetOwner(cpu, fresh, PAGE_TYPE_OTHER, load(cpu, mm + Mm.number));
    // Nobody writes to the old one as long as two have a reference.
    for (let i = 0; i < HPAGE_PMD_NR; i++) {
      store(cpu, frameAddress(cpu, fresh + i) + Frame.data, load(cpu, frameAddress(cpu, old + i) + Frame.data));
    }
    yield* spinLock(cpu, lock, PMD_LOCK);
    unmapped = (yield* atomicLoad(cpu, entry)) === huge;
    if (unmapped) {
      yield* atomicStore(cpu, entry, 0);
      yield* flushTlbMm(cpu, mm);
      yield* folioAddRmap(cpu, fresh, 1);
      yield* atomicStore(cpu, entry, hugetlbEntry(fresh));
      yield* folioRemoveRmap(cpu, old, 1);
    }
    yield* spinUnlock(cpu, lock, PMD_LOCK);
    if (!unmapped) yield* putPage(cpu, fresh);
  }
  if (unmapped) yield* putPage(cpu, old);
  yield* putPage(cpu, old);
  return fresh === 0 ? VM_FAULT_SIGBUS : VM_FAULT_DONE;
}
