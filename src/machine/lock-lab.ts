/** What the CPUs of the explorer's lock cases share: one lock, and what that lock is there to guard. */

import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { Completion } from "../sync/completion.ts";
import { lockClass } from "../sync/lock-class.ts";
import { Mutex } from "../sync/mutex.ts";
import { Rwsem } from "../sync/rwsem.ts";
import { WaitQueue } from "../sync/wait-queue.ts";

export const LAB_CLASS = lockClass("lab", "rwsem");

/** Words for a lock of any kind. */
const LOCK_WORDS = CACHE_PAIR;
for (const { NAME, WORDS } of [Mutex, Rwsem, Completion, WaitQueue]) {
  assert(WORDS <= LOCK_WORDS, `lock-lab: ${NAME} takes more than ${LOCK_WORDS} words`);
}

export const LockLab = struct("lockLab", {
  lock: { words: LOCK_WORDS, align: CACHE_PAIR },
  /** Plain, guarded by the lock: CPU number + 1 of the writer that is in, 0 when none is. */
  writer: { words: 1, align: CACHE_PAIR },
  /** What is waited for on a wait queue. Taken and added atomically. */
  items: 1,
  /** Nobody's but for the step that touching it takes. */
  idle: 1,
});
