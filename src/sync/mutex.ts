/**
 * Mutex: models kernel/locking/mutex.c (v6.12): owner word with flags, FIFO of waiters, hand-off to the first one.
 *
 * The owner word, with the kernel's flag values:
 * - bit 0 MUTEX_FLAG_WAITERS: the list is not empty, so unlock takes the slow path. Set and cleared under `waitLock`.
 * - bit 1 MUTEX_FLAG_HANDOFF: the first waiter has woken in vain once; the next unlock gives it the lock.
 * - bit 2 MUTEX_FLAG_PICKUP: the lock was given to the CPU in the owner field, which has not taken it up yet.
 * - bits 3-18: CPU number + 1 of the owner, 0 when free. A free word may carry WAITERS, never the other two flags.
 *
 * A newcomer may take a free lock past the queue until HANDOFF is set; after that nobody overtakes the first waiter.
 * Differences: spinning on the owner is bounded and not queued (no osq), because an owner here can lose its
 * processor unseen; a woken first waiter does not spin again, as a hand-off is already on its way to it.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, fetchAnd, fetchOr, NO_TIMEOUT, spinWhile } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { CpuSync, QueueNode } from "./cpu-sync.ts";
import { afterAcquire, beforeAcquire, beforeRelease, HELD_TRY, HELD_WRITE } from "./lock-order.ts";
import { beginPark, beginWait, endPark, endWait, noteAcquired, noteReleased, noteTryFailed } from "./lock-stat.ts";
import { heldAlready, notHeld } from "./misuse.ts";
import { fatalSignalPending, park, unpark } from "./park.ts";
import { queueLock, queueUnlock } from "./queue-lock.ts";
import { SPIN_BUDGET, SPIN_ROUNDS } from "./spinlock.ts";
import { addLast, firstWaiter, removeWaiter, WaitList } from "./wait-list.ts";

export const Mutex = struct("mutex", {
  owner: 1,
  /** Queue lock: guards `waiters` and the nodes on it. */
  waitLock: 1,
  waiters: WaitList,
});

export const MUTEX_FLAG_WAITERS = 1;
const MUTEX_FLAG_HANDOFF = 2;
const MUTEX_FLAG_PICKUP = 4;
const MUTEX_FLAGS = 7;
const OWNER_SHIFT = 3;

function ownerBits(id: number): number {
  return (id + 1) << OWNER_SHIFT;
}

function ownerIn(word: number): number {
  return (word >> OWNER_SHIFT) - 1;
}

/** `mutex_lock`: returns holding the lock. */
export function* mutexLock(cpu: Cpu, lock: number, cls: number): Steps<void> {
  if (CHECKED) beforeAcquire(cpu, lock, cls, HELD_WRITE);
  if ((yield* cmpxchg(cpu, lock, 0, ownerBits(cpu.id))) !== 0) yield* mutexLockSlow(cpu, lock, cls, false);
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, HELD_WRITE);
}

/** `mutex_lock_killable`: true when it holds the lock, false (EINTR) when a fatal signal came first. */
export function* mutexLockKillable(cpu: Cpu, lock: number, cls: number): Steps<boolean> {
  if (CHECKED) beforeAcquire(cpu, lock, cls, HELD_WRITE);
  if ((yield* cmpxchg(cpu, lock, 0, ownerBits(cpu.id))) !== 0) {
    if (!(yield* mutexLockSlow(cpu, lock, cls, true))) return false;
  }
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, HELD_WRITE);
  return true;
}

/** `__mutex_lock_common`: spins a bounded while, then queues; false only when killed. */
function* mutexLockSlow(cpu: Cpu, lock: number, cls: number, killable: boolean): Steps<boolean> {
  const since = beginWait(cpu, lock, cls);
  let parkedNs = 0;
  let granted = yield* mutexSpin(cpu, lock);
  if (!granted) {
    yield* queueLock(cpu, lock + Mutex.waitLock);
    yield* mutexEnqueue(cpu, lock);
    let first = false;
    for (;;) {
      granted = (yield* mutexAttempt(cpu, lock, first)) === 0;
      if (granted || (killable && (yield* fatalSignalPending(cpu)))) break;
      yield* queueUnlock(cpu, lock + Mutex.waitLock);
      const parkedAt = beginPark(cpu, cls);
      yield* park(cpu, NO_TIMEOUT);
      parkedNs += endPark(cpu, parkedAt);
      yield* queueLock(cpu, lock + Mutex.waitLock);
      first = firstWaiter(cpu, lock + Mutex.waiters) === cpu.id;
    }
    yield* mutexDequeue(cpu, lock);
    yield* queueUnlock(cpu, lock + Mutex.waitLock);
  }
  endWait(cpu, cls, since, parkedNs, granted);
  return granted;
}

/** `mutex_optimistic_spin`, bounded: true when it got the lock. */
function* mutexSpin(cpu: Cpu, lock: number): Steps<boolean> {
  for (let round = 0; round < SPIN_ROUNDS; round++) {
    const seen = yield* mutexAttempt(cpu, lock, false);
    if (seen === 0) return true;
    if (ownerIn(seen) === cpu.id) heldAlready("mutexLock", cpu);
    if ((yield* spinWhile(cpu, lock, seen, SPIN_BUDGET)) === seen) return false;
  }
  return false;
}

/**
 * `__mutex_trylock_common`: 0 when this CPU now owns the lock, else the owner word that stood against it.
 * `handoff`: if it cannot have the lock, ask for it to be handed over (the first waiter does).
 */
function* mutexAttempt(cpu: Cpu, lock: number, handoff: boolean): Steps<number> {
  const me = ownerBits(cpu.id);
  let seen = yield* atomicLoad(cpu, lock);
  for (;;) {
    const owner = seen & ~MUTEX_FLAGS;
    let wanted = me | (seen & MUTEX_FLAGS & ~MUTEX_FLAG_PICKUP);
    if (owner !== 0 && !(owner === me && (seen & MUTEX_FLAG_PICKUP) !== 0)) {
      if (!handoff || (seen & (MUTEX_FLAG_HANDOFF | MUTEX_FLAG_PICKUP)) !== 0) return seen;
      wanted = seen | MUTEX_FLAG_HANDOFF;
    }
    const old = yield* cmpxchg(cpu, lock, seen, wanted);
    if (old === seen) return (wanted & ~MUTEX_FLAGS) === me ? 0 : wanted;
    seen = old;
  }
}

/** Appends this CPU; the caller holds `waitLock`. */
function* mutexEnqueue(cpu: Cpu, lock: number): Steps<void> {
  cpu.words[cpu.sync + CpuSync.node + QueueNode.lock] = lock;
  addLast(cpu, lock + Mutex.waiters, CpuSync.node);
  if (firstWaiter(cpu, lock + Mutex.waiters) === cpu.id) yield* fetchOr(cpu, lock, MUTEX_FLAG_WAITERS);
}

/** Takes this CPU off the list; flags go with the last waiter. The caller holds `waitLock`. */
function* mutexDequeue(cpu: Cpu, lock: number): Steps<void> {
  removeWaiter(cpu, lock + Mutex.waiters, cpu.id, CpuSync.node);
  cpu.words[cpu.sync + CpuSync.node + QueueNode.lock] = 0;
  if (firstWaiter(cpu, lock + Mutex.waiters) < 0) yield* fetchAnd(cpu, lock, ~MUTEX_FLAGS);
}

/** `mutex_trylock`: true when it now holds the lock; never waits. */
export function* mutexTrylock(cpu: Cpu, lock: number, cls: number): Steps<boolean> {
  if ((yield* mutexAttempt(cpu, lock, false)) !== 0) {
    noteTryFailed(cpu, cls);
    return false;
  }
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, HELD_WRITE | HELD_TRY);
  return true;
}

/** `mutex_unlock`: the caller owns the lock. */
export function* mutexUnlock(cpu: Cpu, lock: number, cls: number): Steps<void> {
  if (CHECKED) {
    if (mutexOwner(cpu.words, lock) !== cpu.id) notHeld("mutexUnlock", cpu, mutexOwner(cpu.words, lock));
    beforeRelease(cpu, lock, cls);
  }
  noteReleased(cpu, cls);
  const seen = yield* cmpxchg(cpu, lock, ownerBits(cpu.id), 0);
  if (seen !== ownerBits(cpu.id)) yield* mutexUnlockSlow(cpu, lock, seen);
}

/** `__mutex_unlock_slowpath`: frees the lock, or keeps it for the first waiter when that asked for it; wakes it. */
function* mutexUnlockSlow(cpu: Cpu, lock: number, first: number): Steps<void> {
  let seen = first;
  if (ownerIn(seen) !== cpu.id) notHeld("mutexUnlock", cpu, ownerIn(seen));
  while ((seen & MUTEX_FLAG_HANDOFF) === 0) {
    const old = yield* cmpxchg(cpu, lock, seen, seen & MUTEX_FLAGS);
    if (old === seen) break;
    seen = old;
  }
  yield* queueLock(cpu, lock + Mutex.waitLock);
  const next = firstWaiter(cpu, lock + Mutex.waiters);
  if ((seen & MUTEX_FLAG_HANDOFF) !== 0) yield* mutexHandoff(cpu, lock, next);
  yield* queueUnlock(cpu, lock + Mutex.waitLock);
  if (next >= 0) yield* unpark(cpu, next);
}

/** `__mutex_handoff`: gives the lock to the first waiter, or frees it if that one was killed and nobody is left. */
function* mutexHandoff(cpu: Cpu, lock: number, next: number): Steps<void> {
  // The owner field is this CPU's, and flags change under `waitLock`: nobody else writes the word now.
  const seen = yield* atomicLoad(cpu, lock);
  yield* atomicStore(cpu, lock, (seen & MUTEX_FLAG_WAITERS) | (next < 0 ? 0 : ownerBits(next) | MUTEX_FLAG_PICKUP));
}

/** CPU number of the owner, -1 when free. A plain read, for reports and checks. */
export function mutexOwner(words: Int32Array, lock: number): number {
  return ownerIn(words[lock] as number);
}
