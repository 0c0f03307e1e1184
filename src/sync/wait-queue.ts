/**
 * Wait queue: models kernel/sched/wait.c (v6.12), `prepare_to_wait` and friends with the autoremove wake function.
 * The caller keeps the condition and the loop:
 *
 *     for (;;) {
 *       yield* prepareToWait(cpu, queue);
 *       if (condition) break;
 *       yield* sleepOnQueue(cpu, queue, cls, NO_TIMEOUT, false);
 *     }
 *     yield* finishWait(cpu, queue);
 *
 * Between `prepareToWait` and the sleep the CPU may take any lock, and sleep for it: a wake that comes meanwhile is
 * not lost, because it is kept in the node and not in the park token.
 *
 * As in the kernel, an exclusive waiter that finds its condition true is still on the queue for a moment and may be
 * chosen by a waker for something that it does not take. Where each `wakeUp` stands for one thing to take, it must
 * hand such a wake on: `if (yield* finishWait(cpu, queue)) yield* wakeUp(cpu, queue)`.
 *
 * Thread safety: `waiters` and the nodes' links are guarded by `waitLock`. A node's `lock` word is the queue's
 * address while its CPU waits to be woken, and 0 from the wake on; under `waitLock` the waiter sets and the waker
 * clears it, without it the waiter reads it. Clearing it is the last a waker does to a node: from then on its CPU
 * may use it for another queue.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, load, store, WAKE_ALL } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { CpuSync, QueueNode } from "./cpu-sync.ts";
import { beginPark, beginWait, endPark, endWait } from "./lock-stat.ts";
import {
  deadlineAfter,
  fatalSignalPending,
  leftUntil,
  park,
  SLEEP_KILLED,
  SLEEP_TIMED_OUT,
  SLEEP_WOKEN,
  unpark,
} from "./park.ts";
import { queueLock, queueUnlock } from "./queue-lock.ts";
import { addFirst, addLast, firstWaiter, nextWaiter, nodeOf, removeWaiter, WaitList } from "./wait-list.ts";

export const WaitQueue = struct("waitQueue", {
  /** Queue lock: guards `waiters`. */
  waitLock: 1,
  waiters: WaitList,
});

/** In a node's `flags`: `wakeUp` wakes one such waiter, and everyone who has not set it. */
const WQ_FLAG_EXCLUSIVE = 1;

/** `prepare_to_wait`: on the queue, at its head, from now on. The condition must be looked at after it. */
export function* prepareToWait(cpu: Cpu, queue: number): Steps<void> {
  yield* enqueueWaiter(cpu, queue, 0);
}

/** `prepare_to_wait_exclusive`: at the end of the queue; one `wakeUp` wakes one exclusive waiter. */
export function* prepareToWaitExclusive(cpu: Cpu, queue: number): Steps<void> {
  yield* enqueueWaiter(cpu, queue, WQ_FLAG_EXCLUSIVE);
}

function* enqueueWaiter(cpu: Cpu, queue: number, flags: number): Steps<void> {
  const node = cpu.sync + CpuSync.waitNode;
  const queued = yield* atomicLoad(cpu, node + QueueNode.lock);
  if (queued === queue) return;
  assert(queued === 0, "prepareToWait: this CPU is on another wait queue");
  yield* queueLock(cpu, queue + WaitQueue.waitLock);
  store(cpu, node + QueueNode.flags, flags);
  if (flags === 0) addFirst(cpu, queue + WaitQueue.waiters, CpuSync.waitNode);
  else addLast(cpu, queue + WaitQueue.waiters, CpuSync.waitNode);
  store(cpu, node + QueueNode.lock, queue);
  yield* queueUnlock(cpu, queue + WaitQueue.waitLock);
}

/**
 * `schedule_timeout` of a prepared waiter: SLEEP_WOKEN once a waker has taken it off the queue since
 * `prepareToWait`, SLEEP_TIMED_OUT after `timeoutUs` (emulated microseconds), SLEEP_KILLED (if `killable`) on a fatal
 * signal. A waiter that was chosen by a waker is told so first: it must take what it was woken for.
 */
export function* sleepOnQueue(
  cpu: Cpu,
  queue: number,
  cls: number,
  timeoutUs: number,
  killable: boolean,
): Steps<number> {
  const queued = cpu.sync + CpuSync.waitNode + QueueNode.lock;
  const deadline = deadlineAfter(cpu, timeoutUs);
  const since = beginWait(cpu, queue, cls);
  let parkedNs = 0;
  let expired = false;
  let result = SLEEP_WOKEN;
  while ((yield* atomicLoad(cpu, queued)) === queue) {
    if (expired) result = SLEEP_TIMED_OUT;
    else if (killable && (yield* fatalSignalPending(cpu))) result = SLEEP_KILLED;
    if (result !== SLEEP_WOKEN) break;
    const parkedAt = beginPark(cpu, cls);
    expired = !(yield* park(cpu, leftUntil(cpu, deadline)));
    parkedNs += endPark(cpu, parkedAt);
  }
  endWait(cpu, cls, since, parkedNs, false);
  return result;
}

/** `finish_wait`: off the queue. True when a waker had taken it off already, since the last `prepareToWait`. */
export function* finishWait(cpu: Cpu, queue: number): Steps<boolean> {
  const queued = cpu.sync + CpuSync.waitNode + QueueNode.lock;
  if ((yield* atomicLoad(cpu, queued)) !== queue) return true;
  yield* queueLock(cpu, queue + WaitQueue.waitLock);
  const chosen = load(cpu, queued) !== queue;
  if (!chosen) {
    removeWaiter(cpu, queue + WaitQueue.waiters, cpu.id, CpuSync.waitNode);
    store(cpu, queued, 0);
  }
  yield* queueUnlock(cpu, queue + WaitQueue.waitLock);
  return chosen;
}

/** `wake_up`: wakes all waiters that are not exclusive, and the first one that is. */
export function* wakeUp(cpu: Cpu, queue: number): Steps<void> {
  yield* wakeUpCommon(cpu, queue, 1);
}

/** `wake_up_all`: wakes everybody on the queue. */
export function* wakeUpAll(cpu: Cpu, queue: number): Steps<void> {
  yield* wakeUpCommon(cpu, queue, WAKE_ALL);
}

/** `__wake_up_common`. `exclusive`: how many exclusive waiters at most. */
function* wakeUpCommon(cpu: Cpu, queue: number, exclusive: number): Steps<void> {
  yield* queueLock(cpu, queue + WaitQueue.waitLock);
  let id = firstWaiter(cpu, queue + WaitQueue.waiters);
  let left = exclusive;
  while (id >= 0 && left > 0) {
    const node = nodeOf(cpu, id, CpuSync.waitNode);
    const next = nextWaiter(cpu, id, CpuSync.waitNode);
    if ((load(cpu, node + QueueNode.flags) & WQ_FLAG_EXCLUSIVE) !== 0) left--;
    removeWaiter(cpu, queue + WaitQueue.waiters, id, CpuSync.waitNode);
    yield* atomicStore(cpu, node + QueueNode.lock, 0);
    yield* unpark(cpu, id);
    id = next;
  }
  yield* queueUnlock(cpu, queue + WaitQueue.waitLock);
}
