/**
 * Completion: models kernel/sched/completion.c (v6.12): a count of events that have happened, each consumed by one
 * waiter, and a FIFO of waiters. `completeAll` leaves the count at "for ever".
 *
 * Thread safety: `done` and `waiters` are guarded by `waitLock`. A waiter is woken by taking it off the list, and
 * looks at `done` again under the lock: a CPU that comes along in between may consume the event first.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, NO_TIMEOUT, store } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { CpuSync, QueueNode } from "./cpu-sync.ts";
import { beginPark, beginWait, endPark, endWait, noteAcquired, noteTryFailed } from "./lock-stat.ts";
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
import { addLast, firstWaiter, nodeOf, removeWaiter, WaitList } from "./wait-list.ts";

export const Completion = struct("completion", {
  /** Events not consumed yet; DONE_FOR_EVER after `completeAll`. */
  done: 1,
  /** Queue lock: guards all else. */
  waitLock: 1,
  waiters: WaitList,
});

/** The kernel's UINT_MAX. */
const DONE_FOR_EVER = 0x7fffffff;

/** `wait_for_completion`: sleeps until an event can be consumed. */
export function* waitForCompletion(cpu: Cpu, completion: number, cls: number): Steps<void> {
  yield* waitForCommon(cpu, completion, cls, NO_TIMEOUT, false);
}

/** `wait_for_completion_timeout`: false when `timeoutUs` (emulated microseconds) went by first. */
export function* waitForCompletionTimeout(
  cpu: Cpu,
  completion: number,
  cls: number,
  timeoutUs: number,
): Steps<boolean> {
  return (yield* waitForCommon(cpu, completion, cls, timeoutUs, false)) === SLEEP_WOKEN;
}

/** `wait_for_completion_killable`: false (EINTR) when a fatal signal came first. */
export function* waitForCompletionKillable(cpu: Cpu, completion: number, cls: number): Steps<boolean> {
  return (yield* waitForCommon(cpu, completion, cls, NO_TIMEOUT, true)) === SLEEP_WOKEN;
}

/** `try_wait_for_completion`: consumes an event if there is one; never waits. */
export function* tryWaitForCompletion(cpu: Cpu, completion: number, cls: number): Steps<boolean> {
  yield* queueLock(cpu, completion + Completion.waitLock);
  const done = load(cpu, completion + Completion.done) !== 0;
  if (done) consumeEvent(cpu, completion);
  yield* queueUnlock(cpu, completion + Completion.waitLock);
  if (done) noteAcquired(cpu, cls);
  else noteTryFailed(cpu, cls);
  return done;
}

/** `wait_for_common`: SLEEP_WOKEN with one event consumed, or why there was none. */
function* waitForCommon(
  cpu: Cpu,
  completion: number,
  cls: number,
  timeoutUs: number,
  killable: boolean,
): Steps<number> {
  let result = SLEEP_WOKEN;
  yield* queueLock(cpu, completion + Completion.waitLock);
  if (load(cpu, completion + Completion.done) === 0) {
    result = yield* waitForCompletionSlow(cpu, completion, cls, timeoutUs, killable);
  }
  if (result === SLEEP_WOKEN) consumeEvent(cpu, completion);
  yield* queueUnlock(cpu, completion + Completion.waitLock);
  if (result === SLEEP_WOKEN) noteAcquired(cpu, cls);
  return result;
}

/** `do_wait_for_common`: called and returns with `waitLock` held; drops it while asleep. */
function* waitForCompletionSlow(
  cpu: Cpu,
  completion: number,
  cls: number,
  timeoutUs: number,
  killable: boolean,
): Steps<number> {
  const queued = cpu.sync + CpuSync.node + QueueNode.lock;
  const deadline = deadlineAfter(cpu, timeoutUs);
  const since = beginWait(cpu, completion, cls);
  let parkedNs = 0;
  let expired = false;
  let result = SLEEP_WOKEN;
  while (load(cpu, completion + Completion.done) === 0) {
    if (expired) result = SLEEP_TIMED_OUT;
    else if (killable && (yield* fatalSignalPending(cpu))) result = SLEEP_KILLED;
    if (result !== SLEEP_WOKEN) break;
    if (load(cpu, queued) === 0) {
      addLast(cpu, completion + Completion.waiters, CpuSync.node);
      store(cpu, queued, completion);
    }
    yield* queueUnlock(cpu, completion + Completion.waitLock);
    const parkedAt = beginPark(cpu, cls);
    expired = !(yield* park(cpu, leftUntil(cpu, deadline)));
    parkedNs += endPark(cpu, parkedAt);
    yield* queueLock(cpu, completion + Completion.waitLock);
  }
  if (load(cpu, queued) !== 0) dequeueWaiter(cpu, completion, cpu.id);
  endWait(cpu, cls, since, parkedNs, false);
  return result;
}

/** The caller holds `waitLock` and has seen an event. */
function consumeEvent(cpu: Cpu, completion: number): void {
  const done = load(cpu, completion + Completion.done);
  if (done !== DONE_FOR_EVER) store(cpu, completion + Completion.done, done - 1);
}

/** The caller holds `waitLock`; CPU number `id` is on the list. */
function dequeueWaiter(cpu: Cpu, completion: number, id: number): void {
  removeWaiter(cpu, completion + Completion.waiters, id, CpuSync.node);
  store(cpu, nodeOf(cpu, id, CpuSync.node) + QueueNode.lock, 0);
}

/** `complete`: one more event; wakes the first waiter. */
export function* complete(cpu: Cpu, completion: number): Steps<void> {
  yield* queueLock(cpu, completion + Completion.waitLock);
  const done = load(cpu, completion + Completion.done);
  if (done !== DONE_FOR_EVER) store(cpu, completion + Completion.done, done + 1);
  const first = firstWaiter(cpu, completion + Completion.waiters);
  if (first >= 0) dequeueWaiter(cpu, completion, first);
  yield* queueUnlock(cpu, completion + Completion.waitLock);
  if (first >= 0) yield* unpark(cpu, first);
}

/** `complete_all`: whoever waits, now or later, goes on. */
export function* completeAll(cpu: Cpu, completion: number): Steps<void> {
  yield* queueLock(cpu, completion + Completion.waitLock);
  store(cpu, completion + Completion.done, DONE_FOR_EVER);
  for (;;) {
    const first = firstWaiter(cpu, completion + Completion.waiters);
    if (first < 0) break;
    dequeueWaiter(cpu, completion, first);
    yield* unpark(cpu, first);
  }
  yield* queueUnlock(cpu, completion + Completion.waitLock);
}

/** `completion_done`: whether an event waits to be consumed. */
export function* completionDone(cpu: Cpu, completion: number): Steps<boolean> {
  yield* queueLock(cpu, completion + Completion.waitLock);
  const done = load(cpu, completion + Completion.done) !== 0;
  yield* queueUnlock(cpu, completion + Completion.waitLock);
  return done;
}

/** `reinit_completion`: no event has happened. Nobody may be waiting. */
export function* reinitCompletion(cpu: Cpu, completion: number): Steps<void> {
  yield* queueLock(cpu, completion + Completion.waitLock);
  store(cpu, completion + Completion.done, 0);
  yield* queueUnlock(cpu, completion + Completion.waitLock);
}
