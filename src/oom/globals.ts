/** What the OOM code of one machine shares; the machine's root struct. Opens with the structs of the folders below. */

import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { lockClass } from "../sync/lock-class.ts";
import { Mutex } from "../sync/mutex.ts";
import { Spinlock } from "../sync/spinlock.ts";
import { MAX_CPUS, TaskGlobals } from "../task/task.ts";
import { OomControl } from "./oom-control.ts";

/** Serialises the OOM killer, and up to v4.18 the reaper with it. */
export const OOM_LOCK = lockClass("oom_lock", "mutex");
/** Guards the reaper's list and its timers. */
export const OOM_REAPER_LOCK = lockClass("oom_reaper_lock");

export const OomGlobals = struct(
  "oomGlobals",
  {
    task: TaskGlobals,
    oomLock: { words: Mutex.WORDS, align: Math.max(CACHE_PAIR, Mutex.ALIGN) },
    /** (atomic) The mm whose last mmput was handed to the workqueue (`mmput_async`), 0 for none. */
    asyncMmput: { words: 1, align: CACHE_PAIR },

    /** Settings, constant: whether allocations may kill at all, whether the reaper's kthread runs, and the two sysctls. */
    killerPresent: { words: 1, align: CACHE_PAIR },
    reaperPresent: 1,
    panicOnOom: 1,
    oomKillAllocatingTask: 1,
    /** `oom_killer_disabled`; guarded by oomLock. */
    oomKillerDisabled: 1,
    /** (atomic) 1 once the machine has panicked. */
    panicked: 1,
    /** (atomic) Processes killed since boot (OOM_KILL of vmstat). */
    oomKills: 1,

    oomReaperLock: { words: Spinlock.WORDS, align: CACHE_PAIR },
    /** Tasks to reap, last come first; linked through Task.oomReaperNext. Guarded by oomReaperLock, like the next one. */
    oomReaperList: 1,
    /** Tasks whose delay has not passed, first come first. */
    oomReaperTimers: 1,
    /** (atomic) Counts what was queued; the kthread sleeps on it. */
    oomReaperWait: { words: 1, align: CACHE_PAIR },
    /** (atomic) 1: the kthread shall return once nothing is queued. */
    oomReaperStop: 1,
    /** (atomic) Of a kill under pressure: allocators that have not got their memory yet. */
    allocatorsLeft: 1,

    /** Needless kills: choices that broke I5, and the first of them: the pids of both, and pages (`second-kill-watch`). */
    needlessKills: 1,
    needlessKillOf: 1,
    needlessKillBeside: 1,
    needlessKillPages: 1,

    /** `struct oom_control` of each CPU. */
    controls: [OomControl, MAX_CPUS],
  },
  CACHE_PAIR,
);
