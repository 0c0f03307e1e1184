/**
 * Anonymous page faults (mm/memory.c: do_anonymous_page, check_stable_address_space in include/linux/oom.h; v6.14)
 * and user accesses through the modelled TLB.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, load, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { lockClass } from "../sync/lock-class.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { anonVmaPrepare } from "./anon-vma.ts";
import { HUGE_READ_ONLY, hugePfn } from "./huge-pmd.ts";
import { allocUserPages } from "./memcg-charge.ts";
import { addMmCounter, mmFlagSet } from "./mm.ts";
import { MM_ANONPAGES, MMF_UNSTABLE, Mm } from "./mm-struct.ts";
import { Frame, folioAddRmap, folioRefAdd, framesOf, PAGE_TYPE_ANON, pageSetOwner } from "./page.ts";
import { GFP_KERNEL, putPage } from "./page-alloc.ts";
import {
  findPmd,
  notePresent,
  PageTable,
  PTE_LOCK,
  PTE_PRESENT,
  PTE_SHIFT,
  PTE_WRITE,
  PTRS_PER_TABLE,
  pteAlloc,
  pteLockOf,
  tableIndex,
} from "./page-table.ts";
import { checkObserver, noteFreshPage } from "./refill.ts";
import {
  beginTableWalk,
  beginUserAccess,
  endTableWalk,
  endUserAccess,
  tlbFill,
  tlbGeneration,
  tlbLookup,
  tlbWritable,
} from "./tlb.ts";
import { VM_FAULT_DONE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from "./vm-fault.ts";

/** The emulated MMU reads PTEs under the PTE lock; its acquisitions are kept out of the kernel's figures. */
export const MMU_WALK = lockClass("mmu_walk");

/** `do_anonymous_page`: maps a fresh page at `vpn`. Caller holds mmap_lock for reading; `vma` covers `vpn`. */
export function* doAnonymousPage(cpu: Cpu, mm: number, vma: number, vpn: number): Steps<number> {
  const pfn = yield* allocUserPages(cpu, mm, 0, GFP_KERNEL);
  if (pfn === 0) return VM_FAULT_OOM;
  return yield* mapAnonymousFolio(cpu, mm, vma, vpn, pfn, 0);
}

/**
 * Maps the 2^order pages of a folio that the caller allocated, from page `vpn` on; they lie in one table. The folio is
 * consumed: mapped, or freed when somebody else was faster, the mm is unstable, or there is no memory for tables.
 *
 * With a lock per PTE only the first one's is held: larger folios then need a caller who alone faults in their range.
 */
export function* mapAnonymousFolio(
  cpu: Cpu,
  mm: number,
  vma: number,
  vpn: number,
  pfn: number,
  order: number,
): Steps<number> {
  const index = tableIndex(vpn, 0);
  assert(index + (1 << order) <= PTRS_PER_TABLE, "mapAnonymousFolio: the folio reaches beyond its table");
  pageSetOwner(cpu, pfn, PAGE_TYPE_ANON, load(cpu, mm + Mm.number));
  const anchored = yield* anonVmaPrepare(cpu, mm, vma);
  const table = anchored ? yield* pteAlloc(cpu, mm, vpn) : 0;
  if (table <= 0) {
    yield* putPage(cpu, pfn);
    return table === 0 ? VM_FAULT_OOM : VM_FAULT_DONE;
  }
  const lock = pteLockOf(cpu, mm, table, index);
  yield* spinLock(cpu, lock, PTE_LOCK);
  const result = yield* installLocked(cpu, mm, table, vpn, pfn, order);
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  if (result !== VM_FAULT_DONE) yield* putPage(cpu, pfn);
  return result === RACED ? VM_FAULT_DONE : result;
}

/** Somebody else mapped the page first; to the faulting thread that is as good. */
const RACED = -1;

/**
 * Fills the PTEs of `table` from page `vpn` on. Caller holds their lock, so the test of MMF_UNSTABLE cannot be overtaken:
 * a reaper that set it later takes this lock later, and zaps what is installed here.
 */
function* installLocked(cpu: Cpu, mm: number, table: number, vpn: number, pfn: number, order: number): Steps<number> {
  const pages = 1 << order;
  const entry = table + PageTable.entries + tableIndex(vpn, 0);
  for (let i = 0; i < pages; i++) if (load(cpu, entry + i) !== 0) return RACED;
  if (yield* mmFlagSet(cpu, mm, MMF_UNSTABLE)) return VM_FAULT_SIGBUS;
  noteFreshPage(cpu, mm, table, vpn);
  if (pages > 1) yield* folioRefAdd(cpu, pfn, pages - 1);
  yield* folioAddRmap(cpu, pfn, pages);
  yield* addMmCounter(cpu, mm, MM_ANONPAGES, pages);
  for (let i = 0; i < pages; i++) store(cpu, entry + i, ((pfn + i) << PTE_SHIFT) | PTE_PRESENT | PTE_WRITE);
  notePresent(cpu, table, pages);
  return VM_FAULT_DONE;
}

/** The PTE of `vpn` as the MMU reads it on a TLB miss, made up for huge pages: 0 where nothing is mapped. */
function* walkTables(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  yield* beginTableWalk(cpu);
  const pte = yield* lookUp(cpu, mm, vpn);
  yield* endTableWalk(cpu);
  return pte;
}

function* lookUp(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  const table = yield* findPmd(cpu, mm, vpn);
  if (table === 0) return 0;
  if (table < 0) {
    const bits = (table & HUGE_READ_ONLY) !== 0 ? PTE_PRESENT : PTE_PRESENT | PTE_WRITE;
    return ((hugePfn(table) + tableIndex(vpn, 0)) << PTE_SHIFT) | bits;
  }
  const lock = pteLockOf(cpu, mm, table, tableIndex(vpn, 0));
  yield* spinLock(cpu, lock, MMU_WALK);
  const pte = load(cpu, table + PageTable.entries + tableIndex(vpn, 0));
  yield* spinUnlock(cpu, lock, MMU_WALK);
  return (pte & PTE_PRESENT) === 0 ? 0 : pte;
}

function tlbHit(cpu: Cpu, mm: number, vpn: number, generation: number, write: boolean): number {
  const pfn = tlbLookup(cpu, mm, vpn, generation);
  return pfn !== 0 && (!write || tlbWritable(cpu, vpn)) ? pfn : 0;
}

/**
 * Opens a user access to page `vpn` and returns the address of its word, to be touched once before `endUserAccess`; 0,
 * and nothing open, when nothing is mapped there or a write is not allowed (the caller faults and retries). The caller's
 * thread runs on this CPU, which `tlbActivate` made known to the mm, or else its page tables outlive the access.
 */
function* openUserAccess(cpu: Cpu, mm: number, vpn: number, write: boolean): Steps<number> {
  for (;;) {
    const generation = yield* tlbGeneration(cpu);
    if (tlbHit(cpu, mm, vpn, generation, write) === 0) {
      const pte = yield* walkTables(cpu, mm, vpn);
      const writable = (pte & PTE_WRITE) !== 0;
      if (pte === 0 || (write && !writable)) return 0;
      tlbFill(cpu, mm, vpn, pte >>> PTE_SHIFT, generation, writable);
    }
    yield* beginUserAccess(cpu);
    const pfn = tlbHit(cpu, mm, vpn, yield* tlbGeneration(cpu), write);
    if (pfn !== 0) return framesOf(cpu) + pfn * Frame.WORDS + Frame.data;
    yield* endUserAccess(cpu);
  }
}

/** A user-space store of `value` to page `vpn`; false when it faults. */
export function* userStore(cpu: Cpu, mm: number, vpn: number, value: number): Steps<boolean> {
  const word = yield* openUserAccess(cpu, mm, vpn, true);
  if (word === 0) return false;
  yield* atomicStore(cpu, word, value);
  yield* endUserAccess(cpu);
  return true;
}

/** A user-space load from page `vpn`; undefined when it faults. */
export function* userLoad(cpu: Cpu, mm: number, vpn: number): Steps<number | undefined> {
  const word = yield* openUserAccess(cpu, mm, vpn, false);
  if (word === 0) return undefined;
  checkObserver(cpu, mm, vpn);
  const value = yield* atomicLoad(cpu, word);
  yield* endUserAccess(cpu);
  return value;
}

/** A compare-exchange in user space; the value seen, undefined when it faults. */
export function* userCmpxchg(
  cpu: Cpu,
  mm: number,
  vpn: number,
  expected: number,
  value: number,
): Steps<number | undefined> {
  const word = yield* openUserAccess(cpu, mm, vpn, true);
  if (word === 0) return undefined;
  checkObserver(cpu, mm, vpn);
  const seen = yield* cmpxchg(cpu, word, expected, value);
  yield* endUserAccess(cpu);
  return seen;
}
