/**
 * Swap entries in page tables: putting them there, and bringing their pages back (mm/memory.c: do_swap_page; v6.18).
 *
 * As in the kernel, MMF_UNSTABLE is not looked at: the entry would be gone had the reaper been here, and its page is
 * what it was. There is no swap cache, so two who share a slot after fork get a page each.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { anonVmaPrepare } from "./anon-vma.ts";
import { allocUserPages } from "./memcg-charge.ts";
import { addMmCounter } from "./mm.ts";
import { MM_ANONPAGES, MM_SWAPENTS, Mm } from "./mm-struct.ts";
import { Frame, folioAddRmap, frameAddress, PAGE_TYPE_ANON, pageSetOwner } from "./page.ts";
import { GFP_KERNEL, putPage } from "./page-alloc.ts";
import {
  findPteTable,
  notePresent,
  PageTable,
  PTE_LOCK,
  PTE_PRESENT,
  PTE_SHIFT,
  PTE_WRITE,
  pteAlloc,
  pteLockOf,
  tableIndex,
} from "./page-table.ts";
import { allocSwapSlot, freeSwapAndCache, swapContent, swapEntry } from "./swap.ts";
import { VM_FAULT_DONE, VM_FAULT_OOM } from "./vm-fault.ts";

/** What swapping a page of content `content` out would leave at the empty `vpn`: false without a slot or a table for it. */
export function* mapSwapEntry(cpu: Cpu, mm: number, vma: number, vpn: number, content: number): Steps<boolean> {
  if (!(yield* anonVmaPrepare(cpu, mm, vma))) return false;
  const table = yield* pteAlloc(cpu, mm, vpn);
  const slot = table <= 0 ? 0 : yield* allocSwapSlot(cpu, content);
  if (slot === 0) return false;
  const entry = table + PageTable.entries + tableIndex(vpn, 0);
  const lock = pteLockOf(cpu, mm, table, tableIndex(vpn, 0));
  yield* spinLock(cpu, lock, PTE_LOCK);
  const empty = load(cpu, entry) === 0;
  if (empty) {
    store(cpu, entry, swapEntry(slot));
    notePresent(cpu, table, 1);
    yield* addMmCounter(cpu, mm, MM_SWAPENTS, 1);
  } else yield* freeSwapAndCache(cpu, slot, 1);
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  return empty;
}

/** `do_swap_page`: the page of the swap entry `pte` at `vpn` comes back, if that entry is still there. */
export function* doSwapPage(cpu: Cpu, mm: number, vma: number, vpn: number, pte: number): Steps<number> {
  const table = yield* findPteTable(cpu, mm, vpn);
  if (table === 0) return VM_FAULT_DONE;
  const anchored = yield* anonVmaPrepare(cpu, mm, vma);
  const pfn = anchored ? yield* allocUserPages(cpu, mm, 0, GFP_KERNEL) : 0;
  if (pfn === 0) return VM_FAULT_OOM;
  pageSetOwner(cpu, pfn, PAGE_TYPE_ANON, load(cpu, mm + Mm.number));
  const entry = table + PageTable.entries + tableIndex(vpn, 0);
  const lock = pteLockOf(cpu, mm, table, tableIndex(vpn, 0));
  yield* spinLock(cpu, lock, PTE_LOCK);
  const same = load(cpu, entry) === pte;
  if (same) {
    const slot = pte >>> PTE_SHIFT;
    store(cpu, frameAddress(cpu, pfn) + Frame.data, swapContent(cpu, slot));
    yield* freeSwapAndCache(cpu, slot, 1);
    yield* folioAddRmap(cpu, pfn, 1);
    yield* addMmCounter(cpu, mm, MM_SWAPENTS, -1);
    yield* addMmCounter(cpu, mm, MM_ANONPAGES, 1);
    store(cpu, entry, (pfn << PTE_SHIFT) | PTE_PRESENT | PTE_WRITE);
  }
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  if (!same) yield* putPage(cpu, pfn);
  return VM_FAULT_DONE;
}
