/**
 * Page tables (include/linux/pgtable.h, mm/memory.c: __pte_alloc and its upper-level siblings; v6.18): 512 entries
 * each, 4 or 5 levels. Level 0 holds PTEs; a table at level L > 0 holds word addresses of tables at level L - 1, and
 * at level 1 also huge pages, which are negative where addresses are not.
 *
 * Thread safety: PTEs are read and written under the PTE lock (`pteLockOf`). Upper entries are atomic. Those at level 1
 * are changed under the level-1 table's lock (`pmdLockOf`), those above under `mm->page_table_lock`. A table, once
 * there, goes with freePgtables only, when no other walker of these tables may exist; huge pages come and go.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd, load, store } from "../arena/mem.ts";
import { CACHE_LINE, CACHE_PAIR, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { Violation } from "../base/errors.ts";
import { lockClass } from "../sync/lock-class.ts";
import { Spinlock, spinLock, spinUnlock } from "../sync/spinlock.ts";
import { GRANULARITY_MM, GRANULARITY_PTE, GRANULARITY_TABLE, MmGlobals, setting } from "./globals.ts";
import { Mm, PAGE_TABLE_LOCK, TABLE_BYTES } from "./mm-struct.ts";
import { Frame, framesOf, PAGE_TYPE_TABLE, pageSetOwner } from "./page.ts";
import { allocPages, GFP_KERNEL, putPage } from "./page-alloc.ts";
import { SlabObject, slabAlloc, slabFree } from "./slab.ts";

export const PTE_LOCK = lockClass("pte_lock");
export const PMD_LOCK = lockClass("pmd_lock");

export const PTRS_PER_TABLE = 512;

/**
 * A PTE: page frame number above three flag bits; 0 is "none". Entries without PTE_PRESENT are swap entries; their
 * number is a slot's pfn, so whoever looks an entry's frame up finds PAGE_TYPE_NONE there.
 */
export const PTE_PRESENT = 1;
export const PTE_WRITE = 2;
export const PTE_SWAP = 4;
export const PTE_SHIFT = 3;

/** One page-table page. The words past `entries` exist only where every PTE has a lock of its own. */
export const PageTable = struct(
  "pageTable",
  {
    slab: SlabObject,
    /** Frame that this table occupies; set at allocation. */
    pfn: 1,
    /** Next table queued for freeing on a gather, or deposited in the same table. */
    nextFree: 1,
    /** Level 1: first of the level-0 tables put aside for splitting its huge pages. Guarded by lock (`mm/huge-pmd`). */
    deposit: 1,
    /** CHECKED: 1 once something was zapped from it in an unstable mm (`mm/refill`). The checker's own. */
    reaped: 1,
    /** Guards the PTEs of a level-0 table, and `present`; the entries and `deposit` of a level-1 table. */
    lock: { words: Spinlock.WORDS, align: CACHE_LINE },
    /** Level 0, unless every PTE has its own lock: entries that are not 0. Beside the lock, so it comes with it. */
    present: 1,
    entries: { words: PTRS_PER_TABLE, align: CACHE_PAIR },
  },
  CACHE_PAIR,
);

/** `PageTable` with one lock per PTE, for that granularity. */
export const PageTableWithPteLocks = struct(
  "pageTableWithPteLocks",
  { table: PageTable, pteLocks: { words: PTRS_PER_TABLE, align: CACHE_PAIR } },
  CACHE_PAIR,
);

/** 512^level for the levels there are, and one more. */
const ENTRY_SPANS = [0, 1, 2, 3, 4, 5].map((level) => PTRS_PER_TABLE ** level);

/** Pages that one entry at `level` maps: 1, 512, 512^2, ... */
export function entrySpan(level: number): number {
  return ENTRY_SPANS[level] as number;
}

/** Index of virtual page `vpn` in a table at `level`. */
export function tableIndex(vpn: number, level: number): number {
  return Math.floor(vpn / entrySpan(level)) % PTRS_PER_TABLE;
}

/** The lock that guards PTE `index` of `table`. */
export function pteLockOf(cpu: Cpu, mm: number, table: number, index: number): number {
  const granularity = setting(cpu, MmGlobals.lockGranularity);
  if (granularity === GRANULARITY_TABLE) return table + PageTable.lock;
  if (granularity === GRANULARITY_MM) return mm + Mm.pageTableLock;
  return table + PageTableWithPteLocks.pteLocks + index;
}

/** The lock that guards the entries of a level-1 table. */
export function pmdLockOf(cpu: Cpu, mm: number, table: number): number {
  return setting(cpu, MmGlobals.lockGranularity) === GRANULARITY_MM ? mm + Mm.pageTableLock : table + PageTable.lock;
}

/** `pmd_lock`: takes it and returns it. */
export function* pmdLock(cpu: Cpu, mm: number, table: number): Steps<number> {
  const lock = pmdLockOf(cpu, mm, table);
  yield* spinLock(cpu, lock, PMD_LOCK);
  return lock;
}

/**
 * Adds to the count of a level-0 table's entries. Caller holds its PTE lock; where every PTE has its own, nobody counts.
 */
export function notePresent(cpu: Cpu, table: number, entries: number): void {
  if (setting(cpu, MmGlobals.lockGranularity) === GRANULARITY_PTE) return;
  store(cpu, table + PageTable.present, load(cpu, table + PageTable.present) + entries);
}

/** Whether a level-0 table is known to have no entries; false where nobody counts. Caller holds its PTE lock. */
export function tableIsEmpty(cpu: Cpu, table: number): boolean {
  return setting(cpu, MmGlobals.lockGranularity) !== GRANULARITY_PTE && load(cpu, table + PageTable.present) === 0;
}

/** A zeroed table on a frame of its own, not yet reachable; 0 when out of memory. */
export function* allocTable(cpu: Cpu, mm: number): Steps<number> {
  const pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
  if (pfn === 0) return 0;
  const table = yield* slabAlloc(cpu, cpu.machine + MmGlobals.tables);
  if (table === 0) {
    yield* putPage(cpu, pfn);
    return 0;
  }
  pageSetOwner(cpu, pfn, PAGE_TYPE_TABLE, load(cpu, mm + Mm.number));
  store(cpu, framesOf(cpu) + pfn * Frame.WORDS + Frame.data, table);
  store(cpu, table + PageTable.pfn, pfn);
  return table;
}

/** Gives a table and its frame back. No walker can reach it any more. */
export function* freeTable(cpu: Cpu, table: number): Steps<void> {
  const pfn = load(cpu, table + PageTable.pfn);
  if (CHECKED) requireEmpty(cpu, table);
  yield* slabFree(cpu, cpu.machine + MmGlobals.tables, table);
  yield* putPage(cpu, pfn);
}

function requireEmpty(cpu: Cpu, table: number): void {
  let entries = 0;
  const from = table + PageTable.entries;
  for (let at = from; at < from + PTRS_PER_TABLE; at++) if (cpu.words[at] !== 0) entries++;
  if (entries === 0) return;
  const counted = load(cpu, table + PageTable.present);
  throw new Violation("I3", `freeTable: ${entries} entries are still in use, the table's count says ${counted}`);
}

/**
 * The entry's table, allocated and published under `lock` if there is none yet (`__pte_alloc`); 0 when out of memory,
 * below 0 where a huge page is.
 */
function* populate(cpu: Cpu, mm: number, entry: number, lock: number, cls: number): Steps<number> {
  const present = yield* atomicLoad(cpu, entry);
  if (present !== 0) return present;
  const fresh = yield* allocTable(cpu, mm);
  if (fresh === 0) return 0;
  yield* spinLock(cpu, lock, cls);
  const raced = yield* atomicLoad(cpu, entry);
  if (raced === 0) {
    yield* fetchAdd(cpu, mm + Mm.pgtablesBytes, TABLE_BYTES);
    yield* atomicStore(cpu, entry, fresh);
  }
  yield* spinUnlock(cpu, lock, cls);
  if (raced === 0) return fresh;
  yield* freeTable(cpu, fresh);
  return raced;
}

/** The level-1 table that maps `vpn`, upper levels filled in as needed; 0 when out of memory. */
export function* pmdAlloc(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  let table = load(cpu, mm + Mm.pgd);
  for (let level = setting(cpu, MmGlobals.levels) - 1; level > 1; level--) {
    const entry = table + PageTable.entries + tableIndex(vpn, level);
    table = yield* populate(cpu, mm, entry, mm + Mm.pageTableLock, PAGE_TABLE_LOCK);
    if (table === 0) return 0;
  }
  return table;
}

/**
 * The level-0 table that maps `vpn`, upper levels filled in as needed; 0 when out of memory, below 0 where a huge page
 * maps it.
 */
export function* pteAlloc(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  const table = yield* pmdAlloc(cpu, mm, vpn);
  if (table === 0) return 0;
  const entry = table + PageTable.entries + tableIndex(vpn, 1);
  return yield* populate(cpu, mm, entry, pmdLockOf(cpu, mm, table), PMD_LOCK);
}

/** The level-1 table that maps `vpn`, or 0 where an upper level is empty. */
export function* findPmdTable(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  let table = load(cpu, mm + Mm.pgd);
  for (let level = setting(cpu, MmGlobals.levels) - 1; level > 1 && table !== 0; level--) {
    table = yield* atomicLoad(cpu, table + PageTable.entries + tableIndex(vpn, level));
  }
  return table;
}

/** The level-1 entry for `vpn`: 0, a level-0 table, or a huge page (below 0). A glance: it may change any time. */
export function* findPmd(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  const table = yield* findPmdTable(cpu, mm, vpn);
  return table === 0 ? 0 : yield* atomicLoad(cpu, table + PageTable.entries + tableIndex(vpn, 1));
}

/** The level-0 table that maps `vpn`, or 0 where an upper level is empty or a huge page. */
export function* findPteTable(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  return Math.max(0, yield* findPmd(cpu, mm, vpn));
}

/** Highest virtual page + 1 that the tables of this machine can map for user space (half of the top level). */
export function userPages(levels: number): number {
  assert(levels === 4 || levels === 5, `userPages: ${levels} levels, expected 4 or 5`);
  return entrySpan(levels) / 2;
}
