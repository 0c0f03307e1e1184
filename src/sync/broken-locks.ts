/**
 * Locks that are broken on purpose, each in the way that such locks usually are: a tool that explores locks must find
 * them out, or what it says of the sound ones is worth nothing. Not in `LOCKS`.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, cmpxchg, fetchAdd, fetchAnd, futexWait, futexWake, NO_TIMEOUT, WAKE_ALL } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { bustedLock } from "./busted-lock.ts";
import type { LockContract } from "./lock-contract.ts";
import { beforeRelease } from "./lock-order.ts";
import { noteAcquired } from "./lock-stat.ts";
import { MUTEX_FLAG_WAITERS, Mutex, mutexLock, mutexOwner, mutexTrylock } from "./mutex.ts";
import { unpark } from "./park.ts";
import { queueLock, queueUnlock } from "./queue-lock.ts";
import { firstWaiter } from "./wait-list.ts";

/** The word: CPU number + 1 of the holder, 0 when free. */
const ForgetfulLock = struct("forgetfulLock", { word: 1 });

function* tryWord(cpu: Cpu, lock: number, cls: number): Steps<boolean> {
  if ((yield* cmpxchg(cpu, lock, 0, cpu.id + 1)) !== 0) return false;
  noteAcquired(cpu, cls);
  return true;
}

/** Sleeps on what the word holds now, and forgets that this may be "free" by now: then nobody is left to wake it. */
const forgetful: LockContract = {
  name: "forgetful",
  struct: ForgetfulLock,
  initLock: () => {},
  *lockWrite(cpu, lock, cls) {
    while (!(yield* tryWord(cpu, lock, cls))) {
      const seen = yield* atomicLoad(cpu, lock);
      yield* futexWait(cpu, lock, seen, NO_TIMEOUT);
    }
  },
  trylockWrite: tryWord,
  *unlockWrite(cpu, lock) {
    yield* fetchAnd(cpu, lock, 0);
    yield* futexWake(cpu, lock, 1);
  },
  writerOf: (words, lock) => (words[lock] as number) - 1,
};

/** The word: CPU number + 1 of the writer in the upper half, readers in the lower. */
const LeakyLock = struct("leakyLock", { word: 1 });
const READERS = 0xffff;
const WRITER_SHIFT = 16;

function* tryWriter(cpu: Cpu, lock: number, cls: number): Steps<boolean> {
  if ((yield* cmpxchg(cpu, lock, 0, (cpu.id + 1) << WRITER_SHIFT)) !== 0) return false;
  noteAcquired(cpu, cls);
  return true;
}

function* tryReader(cpu: Cpu, lock: number, cls: number): Steps<boolean> {
  if ((yield* atomicLoad(cpu, lock)) > READERS) return false;
  // Here a writer may come in.
  yield* fetchAdd(cpu, lock, 1);
  noteAcquired(cpu, cls);
  return true;
}

function* sleepWhileTaken(cpu: Cpu, lock: number): Steps<void> {
  const seen = yield* atomicLoad(cpu, lock);
  if (seen !== 0) yield* futexWait(cpu, lock, seen, NO_TIMEOUT);
}

/** A reader looks for a writer in one step, and enters in another. */
const leaky: LockContract = {
  name: "leaky",
  struct: LeakyLock,
  initLock: () => {},
  *lockWrite(cpu, lock, cls) {
    while (!(yield* tryWriter(cpu, lock, cls))) yield* sleepWhileTaken(cpu, lock);
  },
  trylockWrite: tryWriter,
  *unlockWrite(cpu, lock) {
    yield* fetchAnd(cpu, lock, READERS);
    yield* futexWake(cpu, lock, WAKE_ALL);
  },
  writerOf: (words, lock) => ((words[lock] as number) >> WRITER_SHIFT) - 1,
  read: {
    recursive: true,
    *lockRead(cpu, lock, cls) {
      while (!(yield* tryReader(cpu, lock, cls))) yield* sleepWhileTaken(cpu, lock);
    },
    trylockRead: tryReader,
    *unlockRead(cpu, lock) {
      if ((yield* fetchAdd(cpu, lock, -1)) === 1) yield* futexWake(cpu, lock, WAKE_ALL);
    },
  },
};

/** The mutex, but for a release that wakes the first waiter and forgets that this one was promised the lock. */
const graceless: LockContract = {
  name: "graceless",
  struct: Mutex,
  initLock: () => {},
  lockWrite: mutexLock,
  trylockWrite: mutexTrylock,
  *unlockWrite(cpu, lock, cls) {
    if (CHECKED) beforeRelease(cpu, lock, cls);
    const old = yield* fetchAnd(cpu, lock, MUTEX_FLAG_WAITERS);
    if ((old & MUTEX_FLAG_WAITERS) === 0) return;
    yield* queueLock(cpu, lock + Mutex.waitLock);
    const next = firstWaiter(cpu, lock + Mutex.waiters);
    yield* queueUnlock(cpu, lock + Mutex.waitLock);
    if (next >= 0) yield* unpark(cpu, next);
  },
  writerOf: mutexOwner,
};

export const BROKEN_LOCKS: readonly LockContract[] = [bustedLock, forgetful, leaky, graceless];
