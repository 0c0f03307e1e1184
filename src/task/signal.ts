/**
 * What the threads of one process share: `struct signal_struct` (include/linux/sched/signal.h, v6.18), as far as an exit
 * and the OOM code look at it.
 */

import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { WaitQueue } from "../sync/wait-queue.ts";

/** Bits of `Signal.flags`, with the kernel's numbers. */
export const SIGNAL_GROUP_EXIT = 0x4;
/** A dump is written. A flag up to v5.16; kernels since then ask `signal->core_state`. */
export const SIGNAL_GROUP_COREDUMP = 0x8;
/** Of the global init: fatal signals are ignored. */
export const SIGNAL_UNKILLABLE = 0x40;

/** `oom_score_adj`: from never to first. */
export const OOM_SCORE_ADJ_MIN = -1000;
export const OOM_SCORE_ADJ_MAX = 1000;

export const Signal = struct(
  "signal",
  {
    /** pid of the thread group's leader; 0 while the slot is unused. */
    tgid: 1,
    /** (atomic) Threads that are not past the start of their exit. */
    live: 1,
    /** (atomic) SIGNAL_* */
    flags: 1,
    /** (atomic) Set once, when the process becomes an OOM victim; pins the struct of that mm. */
    oomMm: 1,
    /** (atomic) OOM_SCORE_ADJ_MIN .. OOM_SCORE_ADJ_MAX */
    oomScoreAdj: 1,
    /** Word address of its `Memcg`, 0 for the root; constant. */
    memcg: 1,
    /** User that its threads run as; constant. */
    uid: 1,
    /** 1 with CAP_SYS_ADMIN; constant. Of its credentials nothing else is looked at. */
    capSysAdmin: 1,
    /** (atomic) `oom_flag_origin`: it makes memory short on purpose (swapoff, KSM), and is the first to go. */
    oomFlagOrigin: 1,
    /** (atomic) Task structs that point here; the last one to go drops oomMm. */
    sigcnt: 1,
    /** Threads that are not released yet. Guarded by tasklist_lock. */
    nrThreads: 1,
    /** The dumper waits here for the other threads, and they for the end of the dump. */
    coreWait: WaitQueue,
  },
  CACHE_PAIR,
);
