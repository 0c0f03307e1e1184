/** What the OOM code of one machine shares; the machine's root struct. Opens with the structs of the folders below. */

import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { lockClass } from "../sync/lock-class.ts";
import { Mutex } from "../sync/mutex.ts";
import { TaskGlobals } from "../task/task.ts";

/** Serialises the OOM killer, and up to v4.18 the reaper with it. */
export const OOM_LOCK = lockClass("oom_lock", "mutex");

export const OomGlobals = struct(
  "oomGlobals",
  {
    task: TaskGlobals,
    oomLock: { words: Mutex.WORDS, align: Math.max(CACHE_PAIR, Mutex.ALIGN) },
    /** (atomic) The mm whose last mmput was handed to the workqueue (`mmput_async`), 0 for none. */
    asyncMmput: { words: 1, align: CACHE_PAIR },
  },
  CACHE_PAIR,
);
