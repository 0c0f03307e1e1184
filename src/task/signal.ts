/**
 * What the threads of one process share: `struct signal_struct` (include/linux/sched/signal.h, v6.18), as far as an exit
 * and the OOM code look at it.
 */

import { CACHE_PAIR, struct } from "../arena/struct.ts";

/** Bits of `Signal.flags`, with the kernel's numbers. */
export const SIGNAL_GROUP_EXIT = 0x4;

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
    /** Number of its memory control group, 0 for the root; constant. */
    memcg: 1,
  },
  CACHE_PAIR,
);
