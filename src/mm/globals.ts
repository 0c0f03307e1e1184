/**
 * What the memory manager of one machine shares: the pools its objects come from and the machine's settings.
 * The root struct of a machine opens with it (`cpu.machine`), so any CPU finds it.
 *
 * Settings are written at boot and constant afterwards; pools carry their own locks.
 */

import type { Cpu } from "../arena/cpu.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { Spinlock } from "../sync/spinlock.ts";
import { WaitQueue } from "../sync/wait-queue.ts";
import { PageGlobals } from "./page.ts";
import { Slab } from "./slab.ts";

/** One lock for all page tables of an mm, one per PTE table (the kernel's split lock), or one per PTE. */
export const GRANULARITY_MM = 0;
export const GRANULARITY_TABLE = 1;
export const GRANULARITY_PTE = 2;

/** VMAs are reached through the linked list and `mm->mmap` (before v6.1), or through the maple tree alone. */
export const VMAS_IN_LIST = 0;
export const VMAS_IN_TREE = 1;

export const MmGlobals = struct(
  "mmGlobals",
  {
    pages: PageGlobals,
    tables: Slab,
    vmas: Slab,
    nodes: Slab,
    anonVmas: Slab,
    mms: Slab,
    files: Slab,
    /** GRANULARITY_* */
    lockGranularity: { words: 1, align: CACHE_PAIR },
    /** VMAS_IN_* */
    vmaStore: 1,
    /** Page-table levels: 4 (virtual page numbers of 35 bits for user space) or 5 (44 bits). */
    levels: 1,
    /** OVERCOMMIT_* */
    overcommitMemory: 1,
    /** PTEs between two ticks that ask for a reschedule; 0: never. */
    reschedEvery: 1,
    /** Word address and number of page-cache slots (`mm/page-cache`); constant. */
    fileSlots: 1,
    fileSlotCount: 1,
    /** Word address of the first `Memcg`, and number of their slots; constant. */
    memcgs: 1,
    memcgCount: 1,
    /** (atomic) Slots that were given out. */
    memcgsUsed: 1,
    /** (atomic) Page-cache slots given to files, and the file created last. */
    fileSlotsUsed: { words: 1, align: CACHE_PAIR },
    fileList: 1,
    /** Those who wait for a page-cache page's I/O; one queue for all, like a bucket of `folio_wait_table`. */
    folioWait: WaitQueue,
    /** Guards the use counts of swap slots, and the two words below (`mm/swap`). */
    swapLock: { words: Spinlock.WORDS, align: CACHE_PAIR },
    /** Swap slot freed last, as its pfn, 0 for none; and how many slots were ever handed out. */
    swapFree: 1,
    swapCreated: 1,
    /** (atomic) Pages that mappings have promised: `vm_committed_as`. */
    committed: { words: 1, align: CACHE_PAIR },
  },
  CACHE_PAIR,
);

/** Reads a setting of the machine this CPU belongs to. */
export function setting(cpu: Cpu, field: number): number {
  return cpu.words[cpu.machine + field] as number;
}
