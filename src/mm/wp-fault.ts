/**
 * Writes to pages that fork made read-only, or that a private mapping shares with its file (mm/memory.c: do_wp_page, wp_can_reuse_anon_folio, wp_page_copy; v6.18).
 *
 * As in the kernel, and unlike a fault on an empty entry, the copy is made in an unstable mm too: it is a copy of what
 * is still there.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, store } from "../arena/mem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { anonVmaPrepare } from "./anon-vma.ts";
import { allocUserPages } from "./memcg-charge.ts";
import { addMmCounter } from "./mm.ts";
import { MM_ANONPAGES, Mm } from "./mm-struct.ts";
import {
  Frame,
  folioAddRmap,
  folioHead,
  folioRemoveRmap,
  frameAddress,
  getPage,
  MAPPED_ONCE,
  PAGE_TYPE_ANON,
  PAGE_TYPE_FILE,
  pageSetOwner,
  pageType,
} from "./page.ts";
import { GFP_KERNEL, putPage } from "./page-alloc.ts";
import { fileCounter } from "./page-cache.ts";
import {
  findPteTable,
  PageTable,
  PTE_LOCK,
  PTE_PRESENT,
  PTE_SHIFT,
  PTE_WRITE,
  pteLockOf,
  tableIndex,
} from "./page-table.ts";
import { flushTlbMm } from "./tlb.ts";
import { VM_FAULT_DONE, VM_FAULT_OOM } from "./vm-fault.ts";
import { VM_SHARED, Vma } from "./vma.ts";

/**
 * `do_wp_page`: page `vpn` may be written to afterwards, unless it is gone by then, and is this mm's alone if the VMA is
 * private. VM_FAULT_OOM when there is no page for the copy. Caller holds mmap_lock for reading.
 */
export function* doWpPage(cpu: Cpu, mm: number, vma: number, vpn: number): Steps<number> {
  const table = yield* findPteTable(cpu, mm, vpn);
  if (table === 0) return VM_FAULT_DONE;
  const entry = table + PageTable.entries + tableIndex(vpn, 0);
  const lock = pteLockOf(cpu, mm, table, tableIndex(vpn, 0));
  yield* spinLock(cpu, lock, PTE_LOCK);
  const pte = load(cpu, entry);
  let shared = 0;
  if ((pte & PTE_PRESENT) !== 0 && (pte & PTE_WRITE) === 0) {
    const pfn = pte >>> PTE_SHIFT;
    if ((load(cpu, vma + Vma.flags) & VM_SHARED) !== 0 || (yield* mappedHereOnly(cpu, pfn))) {
      store(cpu, entry, pte | PTE_WRITE);
    } else {
      yield* getPage(cpu, folioHead(cpu, pfn));
      shared = pfn;
    }
  }
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  if (shared === 0) return VM_FAULT_DONE;
  if (yield* anonVmaPrepare(cpu, mm, vma)) return yield* copyPage(cpu, mm, entry, lock, pte);
  yield* putPage(cpu, folioHead(cpu, shared));
  return VM_FAULT_OOM;
}

/** Nobody else can get at the page: this entry has its only reference, and the caller holds this entry's lock. */
function* mappedHereOnly(cpu: Cpu, pfn: number): Steps<boolean> {
  if (folioHead(cpu, pfn) !== pfn) return false;
  return (yield* atomicLoad(cpu, frameAddress(cpu, pfn) + Frame.count)) === MAPPED_ONCE;
}

/** `wp_page_copy`: replaces the page of `pte`, on which the caller holds a reference, by a copy, if `pte` still stands. */
function* copyPage(cpu: Cpu, mm: number, entry: number, lock: number, pte: number): Steps<number> {
  const old = pte >>> PTE_SHIFT;
  const fresh = yield* allocUserPages(cpu, mm, 0, GFP_KERNEL);
  let unmapped = false;
  if (fresh !== 0) {
    pageSetOwner(cpu, fresh, PAGE_TYPE_ANON, load(cpu, mm + Mm.number));
    const content = yield* atomicLoad(cpu, frameAddress(cpu, old) + Frame.data);
    store(cpu, frameAddress(cpu, fresh) + Frame.data, content);
    yield* spinLock(cpu, lock, PTE_LOCK);
    unmapped = load(cpu, entry) === pte;
    if (unmapped) {
      // Nobody may still read the old page when the first write to the new one is done.
      store(cpu, entry, 0);
      yield* flushTlbMm(cpu, mm);
      yield* folioAddRmap(cpu, fresh, 1);
      store(cpu, entry, (fresh << PTE_SHIFT) | PTE_PRESENT | PTE_WRITE);
      if (pageType(cpu, folioHead(cpu, old)) === PAGE_TYPE_FILE) {
        yield* addMmCounter(cpu, mm, fileCounter(cpu, old), -1);
        yield* addMmCounter(cpu, mm, MM_ANONPAGES, 1);
      }
      yield* folioRemoveRmap(cpu, folioHead(cpu, old), 1);
    }
    yield* spinUnlock(cpu, lock, PTE_LOCK);
    if (!unmapped) yield* putPage(cpu, fresh);
  }
  const head = folioHead(cpu, old);
  if (unmapped) yield* putPage(cpu, head);
  yield* putPage(cpu, head);
  return fresh === 0 ? VM_FAULT_OOM : VM_FAULT_DONE;
}
