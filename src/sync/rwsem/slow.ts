/** The contended paths, the same for all rule sets: steal or spin where the rules allow it, else queue and sleep. */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { atomicLoad, fetchAdd, fetchAnd, fetchOr, load, NO_TIMEOUT } from "../../arena/mem.ts";
import { CpuSync, QueueNode } from "../cpu-sync.ts";
import { beginPark, beginWait, endPark, endWait } from "../lock-stat.ts";
import { fatalSignalPending, park } from "../park.ts";
import { queueLock, queueUnlock } from "../queue-lock.ts";
import { firstWaiter } from "../wait-list.ts";
import { stealRead } from "./modern.ts";
import {
  addWaiter,
  awaitGrant,
  HANDOFF_SET,
  leaveQueue,
  RWSEM_WAITING_FOR_READ,
  RWSEM_WAITING_FOR_WRITE,
  RWSEM_WAKE_ANY,
  RWSEM_WAKE_READERS,
  wakeWaiters,
} from "./queue.ts";
import { markWake, RULES_FIFO_2010, RULES_MODERN, rulesOf, tryWriteLock } from "./rules.ts";
import { optimisticSpin, spinOnOwner } from "./spin.ts";
import {
  OWNER_NULL,
  RWSEM_FLAG_WAITERS,
  RWSEM_LOCK_MASK,
  RWSEM_NONSPINNABLE,
  RWSEM_READER_BIAS,
  RWSEM_WRITER_LOCKED,
  Rwsem,
  setReaderOwned,
  setWriterOwned,
} from "./state.ts";

/** `clear_nonspinnable`: the readers that writers gave up on have left. */
function* clearNonspinnable(cpu: Cpu, sem: number): Steps<void> {
  if (((yield* atomicLoad(cpu, sem + Rwsem.owner)) & RWSEM_NONSPINNABLE) !== 0) {
    yield* fetchAnd(cpu, sem + Rwsem.owner, ~RWSEM_NONSPINNABLE);
  }
}

/** `rwsem_cond_wake_waiter`: what somebody who just queued wakes, given the count. The caller holds `waitLock`. */
function* wakeForWaiter(cpu: Cpu, sem: number, count: number): Steps<number> {
  if ((count & RWSEM_WRITER_LOCKED) !== 0) return 0;
  if ((count & RWSEM_LOCK_MASK) !== 0) return yield* markWake(cpu, sem, RWSEM_WAKE_READERS);
  yield* clearNonspinnable(cpu, sem);
  return yield* markWake(cpu, sem, RWSEM_WAKE_ANY);
}

/** `rwsem_wake`: after a release that left the lock free and the queue not empty. */
export function* wakeAfterRelease(cpu: Cpu, sem: number): Steps<void> {
  yield* queueLock(cpu, sem + Rwsem.waitLock);
  const wake = yield* markWake(cpu, sem, RWSEM_WAKE_ANY);
  yield* queueUnlock(cpu, sem + Rwsem.waitLock);
  yield* wakeWaiters(cpu, wake);
}

/** The last reader left while somebody was queued. */
export function* wakeAfterLastReader(cpu: Cpu, sem: number): Steps<void> {
  yield* clearNonspinnable(cpu, sem);
  yield* wakeAfterRelease(cpu, sem);
}

/** A killed waiter, still queued and holding `waitLock`, goes; the first one behind it may be able to go on. */
function* abandonWait(cpu: Cpu, sem: number): Steps<void> {
  let wake = 0;
  if (yield* leaveQueue(cpu, sem)) wake = yield* markWake(cpu, sem, RWSEM_WAKE_ANY);
  yield* queueUnlock(cpu, sem + Rwsem.waitLock);
  yield* wakeWaiters(cpu, wake);
}

/**
 * `rwsem_down_read_slowpath`. `count`: as seen after adding this reader's bias. `unfair`: only an active writer is a
 * reason to wait. False only when killed.
 */
export function* downReadSlow(
  cpu: Cpu,
  sem: number,
  cls: number,
  count: number,
  killable: boolean,
  unfair: boolean,
): Steps<boolean> {
  const since = beginWait(cpu, sem, cls);
  if (rulesOf(cpu, sem) === RULES_MODERN && (yield* stealRead(cpu, sem, count))) {
    endWait(cpu, cls, since, 0, true);
    return true;
  }
  yield* queueLock(cpu, sem + Rwsem.waitLock);
  const empty = firstWaiter(cpu, sem + Rwsem.waiters) < 0;
  if (empty && ((yield* atomicLoad(cpu, sem + Rwsem.count)) & RWSEM_WRITER_LOCKED) === 0) {
    yield* queueUnlock(cpu, sem + Rwsem.waitLock);
    yield* setReaderOwned(cpu, sem, cpu.id);
    endWait(cpu, cls, since, 0, true);
    return true;
  }
  addWaiter(cpu, sem, RWSEM_WAITING_FOR_READ, unfair);
  const change = (empty ? RWSEM_FLAG_WAITERS : 0) - RWSEM_READER_BIAS;
  const left = (yield* fetchAdd(cpu, sem + Rwsem.count, change)) + change;
  const wake = yield* wakeForWaiter(cpu, sem, left);
  yield* queueUnlock(cpu, sem + Rwsem.waitLock);
  yield* wakeWaiters(cpu, wake);
  if (yield* awaitGrant(cpu, sem, cls, since, killable)) return true;
  yield* abandonWait(cpu, sem);
  return false;
}

/** `rwsem_down_write_slowpath`. False only when killed. */
export function* downWriteSlow(cpu: Cpu, sem: number, cls: number, killable: boolean): Steps<boolean> {
  const since = beginWait(cpu, sem, cls);
  const rules = rulesOf(cpu, sem);
  if (rules !== RULES_FIFO_2010 && (yield* optimisticSpin(cpu, sem, rules === RULES_MODERN))) {
    endWait(cpu, cls, since, 0, true);
    return true;
  }
  yield* queueLock(cpu, sem + Rwsem.waitLock);
  const empty = firstWaiter(cpu, sem + Rwsem.waiters) < 0;
  addWaiter(cpu, sem, RWSEM_WAITING_FOR_WRITE, false);
  if (rules === RULES_FIFO_2010) return yield* awaitWriteTurn(cpu, sem, cls, since, empty, killable);
  if (empty) {
    yield* fetchOr(cpu, sem + Rwsem.count, RWSEM_FLAG_WAITERS);
  } else {
    const wake = yield* wakeForWaiter(cpu, sem, yield* atomicLoad(cpu, sem + Rwsem.count));
    if (wake !== 0) {
      yield* queueUnlock(cpu, sem + Rwsem.waitLock);
      yield* wakeWaiters(cpu, wake);
      yield* queueLock(cpu, sem + Rwsem.waitLock);
    }
  }
  return yield* competeForWrite(cpu, sem, cls, since, killable);
}

/** The queued writer's loop where the lock goes to who takes it. Called with `waitLock` held, returns without. */
function* competeForWrite(cpu: Cpu, sem: number, cls: number, since: number, killable: boolean): Steps<boolean> {
  let parkedNs = 0;
  let spun = false;
  while (!(yield* tryWriteLock(cpu, sem))) {
    if (killable && (yield* fatalSignalPending(cpu))) {
      endWait(cpu, cls, since, parkedNs, false);
      yield* abandonWait(cpu, sem);
      return false;
    }
    yield* queueUnlock(cpu, sem + Rwsem.waitLock);
    // Having claimed the lock, it is worth a spin on the owner, one for each wake-up: whoever is in is the last.
    const claimed = load(cpu, cpu.sync + CpuSync.node + QueueNode.flags) === HANDOFF_SET;
    spun = claimed && !spun && (yield* spinOnOwner(cpu, sem)) === OWNER_NULL;
    if (!spun) {
      const parkedAt = beginPark(cpu, cls);
      yield* park(cpu, NO_TIMEOUT);
      parkedNs += endPark(cpu, parkedAt);
    }
    yield* queueLock(cpu, sem + Rwsem.waitLock);
  }
  yield* queueUnlock(cpu, sem + Rwsem.waitLock);
  endWait(cpu, cls, since, parkedNs, true);
  return true;
}

/** The queued writer's wait where the lock is handed over. Called with `waitLock` held, returns without. */
function* awaitWriteTurn(
  cpu: Cpu,
  sem: number,
  cls: number,
  since: number,
  first: boolean,
  killable: boolean,
): Steps<boolean> {
  const flag = first ? RWSEM_FLAG_WAITERS : 0;
  const wake = yield* wakeForWaiter(cpu, sem, (yield* fetchOr(cpu, sem + Rwsem.count, flag)) | flag);
  yield* queueUnlock(cpu, sem + Rwsem.waitLock);
  yield* wakeWaiters(cpu, wake);
  if (yield* awaitGrant(cpu, sem, cls, since, killable)) {
    yield* setWriterOwned(cpu, sem);
    return true;
  }
  yield* abandonWait(cpu, sem);
  return false;
}
