/**
 * Files and their cached pages (struct address_space in include/linux/fs.h; mm/filemap.c: filemap_get_folio,
 * filemap_add_folio, folio_lock; v6.18). Each page of a file has a slot, one word, in place of the kernel's xarray.
 *
 * Thread safety: a slot is atomic. It is filled once, by whoever comes first, and emptied by `dropCaches` only, when no
 * CPU runs anything else: so what a slot names has a reference for good, and whoever reads it may take another.
 * Whoever set FOLIO_LOCKED may fill the page; others wait for the bit to go. Files live until then too: no mapping
 * holds a reference on its file.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, fetchAdd, fetchAnd, load, NO_TIMEOUT, store } from "../arena/mem.ts";
import { CACHE_LINE, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { lockClass } from "../sync/lock-class.ts";
import { SLEEP_KILLED } from "../sync/park.ts";
import { finishWait, prepareToWait, sleepOnQueue, wakeUpAll } from "../sync/wait-queue.ts";
import { MmGlobals, setting } from "./globals.ts";
import { allocUserPages } from "./memcg-charge.ts";
import { MM_FILEPAGES, MM_SHMEMPAGES } from "./mm-struct.ts";
import { Frame, frameAddress, PAGE_TYPE_FILE, pageOwner, pageSetOwner } from "./page.ts";
import { GFP_KERNEL, putPage } from "./page-alloc.ts";
import { SlabObject, slabAlloc, slabFree } from "./slab.ts";
import { loadVpn, storeVpn, VPN_WORDS } from "./vpn.ts";

/** A file, or a piece of shared memory, as mappings see it. Constant after creation. */
export const File = struct(
  "file",
  {
    slab: SlabObject,
    /** The file created before it, 0 for none. */
    next: 1,
    /** 1 where pages count as MM_SHMEMPAGES and start as zeros. */
    shmem: 1,
    /** Word address of the slot of page 0; pages. */
    slots: 1,
    pages: VPN_WORDS,
  },
  CACHE_LINE,
);

const FOLIO_LOCK = lockClass("folio_lock", "mutex");

/** One page of a file: 0 while it is not cached, else its pfn << 1 with FOLIO_LOCKED. */
export const FileSlot = struct("fileSlot", { folio: 1 });
/** Owner in the link of a page that is shared memory. */
const OWNER_SHMEM = 1;

/** Under I/O: not up to date yet. */
export const FOLIO_LOCKED = 1;

/** A file of `pages` pages of which none is cached; 0 when there is no room for it. */
export function* createFile(cpu: Cpu, pages: number, shmem: boolean): Steps<number> {
  assert(pages > 0, `createFile: ${pages} pages`);
  const first = yield* fetchAdd(cpu, cpu.machine + MmGlobals.fileSlotsUsed, pages);
  const fits = first + pages <= setting(cpu, MmGlobals.fileSlotCount);
  const file = fits ? yield* slabAlloc(cpu, cpu.machine + MmGlobals.files) : 0;
  if (file === 0) {
    yield* fetchAdd(cpu, cpu.machine + MmGlobals.fileSlotsUsed, -pages);
    return 0;
  }
  store(cpu, file + File.shmem, shmem ? 1 : 0);
  store(cpu, file + File.slots, setting(cpu, MmGlobals.fileSlots) + first);
  storeVpn(cpu, file + File.pages, pages);
  yield* listFile(cpu, file);
  return file;
}

/** Puts a file at the head of the machine's list. */
function* listFile(cpu: Cpu, file: number): Steps<void> {
  const list = cpu.machine + MmGlobals.fileList;
  let head = yield* atomicLoad(cpu, list);
  for (;;) {
    store(cpu, file + File.next, head);
    const seen = yield* cmpxchg(cpu, list, head, file);
    if (seen === head) return;
    head = seen;
  }
}

export function filePages(cpu: Cpu, file: number): number {
  return loadVpn(cpu, file + File.pages);
}

/** Word address of the slot of page `index`. */
export function fileSlot(cpu: Cpu, file: number, index: number): number {
  assert(index >= 0 && index < filePages(cpu, file), `fileSlot: page ${index} of ${filePages(cpu, file)}`);
  return load(cpu, file + File.slots) + index;
}

/** Page that a slot's value names. */
export function slotPfn(value: number): number {
  return value >> 1;
}

/** What page `index` of a file holds on disk; shared memory starts as zeros. */
export function fileContent(cpu: Cpu, file: number, index: number): number {
  if (load(cpu, file + File.shmem) === 1) return 0;
  return (load(cpu, file + File.slots) + index) | 0;
}

/**
 * `filemap_add_folio`: caches page `index`, locked until its content is read (`folioUnlock`). True when this CPU did it
 * and has to read; false when somebody else was faster; undefined when there is no memory. `mm` is charged.
 */
export function* filemapAdd(cpu: Cpu, mm: number, file: number, index: number): Steps<boolean | undefined> {
  const pfn = yield* allocUserPages(cpu, mm, 0, GFP_KERNEL);
  if (pfn === 0) return undefined;
  pageSetOwner(cpu, pfn, PAGE_TYPE_FILE, load(cpu, file + File.shmem) === 1 ? OWNER_SHMEM : 0);
  store(cpu, frameAddress(cpu, pfn) + Frame.data, fileContent(cpu, file, index));
  const slot = fileSlot(cpu, file, index);
  if ((yield* cmpxchg(cpu, slot, 0, (pfn << 1) | FOLIO_LOCKED)) === 0) return true;
  yield* putPage(cpu, pfn);
  return false;
}

/** The mm's counter that a page-cache page counts in. */
export function fileCounter(cpu: Cpu, pfn: number): number {
  return pageOwner(cpu, pfn) === OWNER_SHMEM ? MM_SHMEMPAGES : MM_FILEPAGES;
}

/** `folio_trylock` of a cached page. */
export function* folioTrylock(cpu: Cpu, slot: number): Steps<boolean> {
  const seen = yield* atomicLoad(cpu, slot);
  assert(seen !== 0, "folioTrylock: the page is not cached");
  if ((seen & FOLIO_LOCKED) !== 0) return false;
  return (yield* cmpxchg(cpu, slot, seen, seen | FOLIO_LOCKED)) === seen;
}

/** `folio_unlock`: the I/O is done; wakes whoever waits for that. */
export function* folioUnlock(cpu: Cpu, slot: number): Steps<void> {
  const old = yield* fetchAnd(cpu, slot, ~FOLIO_LOCKED);
  assert((old & FOLIO_LOCKED) !== 0, "folioUnlock: the page is not locked");
  yield* wakeUpAll(cpu, cpu.machine + MmGlobals.folioWait);
}

/** `folio_wait_locked`: false when a fatal signal ended a `killable` wait. */
export function* folioWaitLocked(cpu: Cpu, slot: number, killable: boolean): Steps<boolean> {
  const queue = cpu.machine + MmGlobals.folioWait;
  let killed = false;
  for (;;) {
    yield* prepareToWait(cpu, queue);
    if (killed || ((yield* atomicLoad(cpu, slot)) & FOLIO_LOCKED) === 0) break;
    killed = (yield* sleepOnQueue(cpu, queue, FOLIO_LOCK, NO_TIMEOUT, killable)) === SLEEP_KILLED;
  }
  yield* finishWait(cpu, queue);
  return !killed;
}

/** Forgets all files and frees their pages. While no other CPU runs, after the last mapping of them is gone. */
export function* dropCaches(cpu: Cpu): Steps<void> {
  const list = cpu.machine + MmGlobals.fileList;
  for (let file = yield* atomicLoad(cpu, list); file !== 0; ) {
    const next = load(cpu, file + File.next);
    yield* dropFile(cpu, file);
    file = next;
  }
  yield* atomicStore(cpu, list, 0);
  yield* atomicStore(cpu, cpu.machine + MmGlobals.fileSlotsUsed, 0);
}

function* dropFile(cpu: Cpu, file: number): Steps<void> {
  for (let index = 0; index < filePages(cpu, file); index++) {
    const slot = fileSlot(cpu, file, index);
    const value = yield* atomicLoad(cpu, slot);
    if (value === 0) continue;
    yield* atomicStore(cpu, slot, 0);
    yield* putPage(cpu, slotPfn(value));
  }
  yield* slabFree(cpu, cpu.machine + MmGlobals.files, file);
}
