/**
 * `struct mm_struct` (include/linux/mm_types.h, v6.18): one process's address space, as words.
 *
 * `mmUsers` counts users of the address space; who drops the last one runs `exit_mmap`. `mmCount` pins only the
 * struct: while it is above zero the words below stay an mm, whatever happened to what they point at.
 */

import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { lockClass } from "../sync/lock-class.ts";
import { Rwsem } from "../sync/rwsem.ts";
import { Spinlock } from "../sync/spinlock.ts";
import { TASK_COMM_WORDS } from "../trace/comm.ts";
import { MapleTree } from "./maple-tree/index.ts";
import { SlabObject } from "./slab.ts";
import { VPN_WORDS } from "./vpn.ts";

export const MMAP_LOCK = lockClass("mmap_lock", "rwsem");
export const PAGE_TABLE_LOCK = lockClass("page_table_lock");

/** Bits of `Mm.flags`, with the kernel's numbers. */
export const MMF_OOM_SKIP = 1 << 21;
export const MMF_UNSTABLE = 1 << 22;
export const MMF_OOM_VICTIM = 1 << 25;
export const MMF_OOM_REAP_QUEUED = 1 << 26;

/** Indices into `Mm.rss`. */
export const MM_FILEPAGES = 0;
export const MM_ANONPAGES = 1;
export const MM_SWAPENTS = 2;
export const MM_SHMEMPAGES = 3;
export const NR_MM_COUNTERS = 4;
export const MM_COUNTER_NAMES = ["MM_FILEPAGES", "MM_ANONPAGES", "MM_SWAPENTS", "MM_SHMEMPAGES"] as const;

/** Bytes that one page-table page counts for in `pgtablesBytes`. */
export const TABLE_BYTES = 4096;

export const Mm = struct(
  "mm",
  {
    slab: SlabObject,
    /** Set at creation, constant afterwards. */
    number: 1,
    /** Top-level table; constant until `mmdrop` frees it. */
    pgd: 1,
    /** Of the task that was marked an OOM victim first: the reaper's messages name it. Set with its `Signal.oomMm`. */
    oomPid: 1,
    oomComm: TASK_COMM_WORDS,
    /** Word address of the `Memcg` that its pages are charged to, its first task's; 0 for the root. */
    memcg: 1,

    /** Guarded by mmapLock. */
    tree: MapleTree,
    /** Lowest VMA, or 0; kept for kernels before v6.1 only. */
    mmap: 1,
    mapCount: 1,
    totalVm: 1,
    /** Emulated microseconds for which asynchronous I/O still keeps `exit_aio` from returning; 0 for none. */
    aioUs: 1,
    /** Pages of VM_LOCKED mappings. */
    lockedVm: 1,

    /** (atomic) */
    mmUsers: { words: 1, align: CACHE_PAIR },
    mmCount: 1,
    flags: 1,

    /** Guards the VMAs. `mmap_sem` before v5.8. */
    mmapLock: { words: Rwsem.WORDS, align: Math.max(CACHE_PAIR, Rwsem.ALIGN) },
    /** Guards the filling of upper levels, and every PTE where the granularity is "mm". */
    pageTableLock: { words: Spinlock.WORDS, align: CACHE_PAIR },

    /** (atomic) Pages by kind, as /proc/PID/status shows them. */
    rss: { words: NR_MM_COUNTERS, align: CACHE_PAIR },
    /** (atomic) */
    pgtablesBytes: 1,
    /** (atomic) Pages of hugetlb mappings, which rss leaves out. */
    hugetlbUsage: 1,
    /** CHECKED: 1 when a fault refilled a page after MMF_UNSTABLE, and which (`mm/refill`). The checker's own. */
    refilled: 1,
    refilledVpn: VPN_WORDS,
    /** Emulated microseconds that the reaper's failed tries took (`oom/second-kill-watch`). The checker's own. */
    failedTriesUs: 1,
    /** (atomic) Pages whose huge entry is being cleared, and which may be in rss still. The checker's own. */
    clearingHuge: 1,
    /** (atomic) Gathers under way on this mm; more than one forces a full flush. */
    tlbFlushPending: { words: 1, align: CACHE_PAIR },
    /** (atomic) One bit per CPU whose TLB may hold a translation of this mm. */
    cpumask: 1,
  },
  CACHE_PAIR,
);
