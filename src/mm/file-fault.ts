/**
 * Faults on mapped files and shared memory (mm/memory.c: do_read_fault, do_cow_fault, do_shared_fault, finish_fault;
 * mm/filemap.c: filemap_fault, lock_folio_maybe_drop_mmap; v6.18).
 *
 * A fault that has to wait for I/O lets go of mmap_lock first where it may, and says VM_FAULT_RETRY: whatever it knew of
 * the VMA is void then, and the lock is no longer its caller's to release (B8 is what happens to who forgets that). The
 * page is not kept locked until it is mapped, because nothing truncates files here; reading one takes no time, as there
 * is no disk. Fault-around is left out.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, store } from "../arena/mem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { anonVmaPrepare } from "./anon-vma.ts";
import { allocUserPages } from "./memcg-charge.ts";
import { addMmCounter, mmFlagSet } from "./mm.ts";
import { MM_ANONPAGES, MMF_UNSTABLE, Mm } from "./mm-struct.ts";
import { mmapReadUnlock } from "./mmap-lock.ts";
import { Frame, folioAddRmap, frameAddress, getPage, PAGE_TYPE_ANON, pageSetOwner } from "./page.ts";
import { GFP_KERNEL, putPage } from "./page-alloc.ts";
import {
  FOLIO_LOCKED,
  fileCounter,
  filemapAdd,
  filePages,
  fileSlot,
  folioUnlock,
  folioWaitLocked,
  slotPfn,
} from "./page-cache.ts";
import {
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
import { noteFreshPage } from "./refill.ts";
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_WRITE,
  VM_FAULT_DONE,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from "./vm-fault.ts";
import { VM_SHARED, Vma, vmaStart } from "./vma.ts";
import { loadVpn } from "./vpn.ts";

/** `do_fault`: page `vpn` of a file mapping is not there. Caller holds mmap_lock for reading. */
export function* doFileFault(cpu: Cpu, mm: number, vma: number, vpn: number, flags: number): Steps<number> {
  const file = load(cpu, vma + Vma.file);
  const index = loadVpn(cpu, vma + Vma.pgoff) + vpn - vmaStart(cpu, vma);
  if (index >= filePages(cpu, file)) return VM_FAULT_SIGBUS;
  const shared = (load(cpu, vma + Vma.flags) & VM_SHARED) !== 0;
  const write = (flags & FAULT_FLAG_WRITE) !== 0;
  if (write && !shared) return yield* doCowFault(cpu, mm, vma, vpn, fileSlot(cpu, file, index), flags);
  const slot = fileSlot(cpu, file, index);
  const found = yield* filemapFault(cpu, mm, file, index, slot, flags);
  if (found < 0) return -found;
  const bits = write ? PTE_PRESENT | PTE_WRITE : PTE_PRESENT;
  return yield* finishFault(cpu, mm, vpn, found, bits, fileCounter(cpu, found), shared);
}

/** `do_cow_fault`: a private copy of the page in slot `slot`, to be written to. */
function* doCowFault(cpu: Cpu, mm: number, vma: number, vpn: number, slot: number, flags: number): Steps<number> {
  if (!(yield* anonVmaPrepare(cpu, mm, vma))) return VM_FAULT_OOM;
  const fresh = yield* allocUserPages(cpu, mm, 0, GFP_KERNEL);
  if (fresh === 0) return VM_FAULT_OOM;
  const file = load(cpu, vma + Vma.file);
  const found = yield* filemapFault(cpu, mm, file, slot - fileSlot(cpu, file, 0), slot, flags);
  if (found < 0) {
    yield* putPage(cpu, fresh);
    return -found;
  }
  pageSetOwner(cpu, fresh, PAGE_TYPE_ANON, load(cpu, mm + Mm.number));
  const content = yield* atomicLoad(cpu, frameAddress(cpu, found) + Frame.data);
  store(cpu, frameAddress(cpu, fresh) + Frame.data, content);
  yield* putPage(cpu, found);
  return yield* finishFault(cpu, mm, vpn, fresh, PTE_PRESENT | PTE_WRITE, MM_ANONPAGES, false);
}

/**
 * `filemap_fault`: the cached page of a slot, read first if need be, with a reference for the caller; or minus a
 * VM_FAULT_* result.
 */
function* filemapFault(cpu: Cpu, mm: number, file: number, index: number, slot: number, flags: number): Steps<number> {
  const mayDrop = (flags & FAULT_FLAG_ALLOW_RETRY) !== 0 && (flags & FAULT_FLAG_TRIED) === 0;
  for (;;) {
    const seen = yield* atomicLoad(cpu, slot);
    if (seen !== 0 && (seen & FOLIO_LOCKED) === 0) {
      yield* getPage(cpu, slotPfn(seen));
      return slotPfn(seen);
    }
    const reading = seen === 0 ? yield* filemapAdd(cpu, mm, file, index) : false;
    if (reading === undefined) return -VM_FAULT_OOM;
    if (mayDrop) yield* mmapReadUnlock(cpu, mm);
    if (reading) yield* folioUnlock(cpu, slot);
    const waited = yield* folioWaitLocked(cpu, slot, (flags & FAULT_FLAG_KILLABLE) !== 0);
    if (mayDrop) return -VM_FAULT_RETRY;
    if (waited) continue;
    yield* mmapReadUnlock(cpu, mm);
    return -VM_FAULT_RETRY;
  }
}

/**
 * `finish_fault`: maps a page that the caller has a reference on, which the entry takes over; it is dropped where
 * somebody else was faster, the mm is unstable and the mapping private, or there is no memory for tables.
 */
function* finishFault(
  cpu: Cpu,
  mm: number,
  vpn: number,
  pfn: number,
  bits: number,
  counter: number,
  shared: boolean,
): Steps<number> {
  const table = yield* pteAlloc(cpu, mm, vpn);
  if (table <= 0) {
    yield* putPage(cpu, pfn);
    return table === 0 ? VM_FAULT_OOM : VM_FAULT_DONE;
  }
  const entry = table + PageTable.entries + tableIndex(vpn, 0);
  const lock = pteLockOf(cpu, mm, table, tableIndex(vpn, 0));
  yield* spinLock(cpu, lock, PTE_LOCK);
  const empty = load(cpu, entry) === 0;
  const unstable = empty && !shared && (yield* mmFlagSet(cpu, mm, MMF_UNSTABLE));
  const map = empty && !unstable;
  if (map) {
    if (!shared) noteFreshPage(cpu, mm, table, vpn);
    yield* folioAddRmap(cpu, pfn, 1);
    yield* addMmCounter(cpu, mm, counter, 1);
    store(cpu, entry, (pfn << PTE_SHIFT) | bits);
    notePresent(cpu, table, 1);
  }
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  if (!map) yield* putPage(cpu, pfn);
  return unstable ? VM_FAULT_SIGBUS : VM_FAULT_DONE;
}
