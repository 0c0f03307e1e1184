/**
 * Reader-writer spinlock: models the kernel's `rwlock_t` (include/linux/rwlock.h, kernel/locking/qrwlock.c, v6.12),
 * with spin-then-sleep like spinlock.ts, and for the same reason.
 *
 * The rule modelled is that of recursive readers: a reader gets in whenever no writer holds the lock, even if a
 * writer waits, so a CPU may nest `readLock` (tasklist_lock is used like that). qrwlock keeps this rule for readers
 * in interrupt context; in task context its readers queue behind a waiting writer. So a stream of readers can starve
 * a writer here, and a reader's nesting never deadlocks.
 *
 * The word:
 * - bits 0-14 READERS: read holds, each nested one counted.
 * - bits 15-29 WRITER: CPU number + 1 of the writer, 0 when none. Never non-zero together with READERS.
 * - bit 30 WAITERS: somebody sleeps on the word, or may.
 *
 * No wake-up is lost: a sleeper sleeps only on a word with WAITERS set, and whoever clears WAITERS wakes all
 * sleepers afterwards. A reader that leaves last clears it in a second step, so for that moment a free or newly
 * taken lock can carry it; what it clears then, it also wakes.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { cmpxchg, fetchAdd, fetchAnd, futexWait, futexWake, NO_TIMEOUT, spinWhile, WAKE_ALL } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import {
  afterAcquire,
  beforeAcquire,
  beforeRelease,
  HELD_READ,
  HELD_READ_RECURSIVE,
  HELD_TRY,
  HELD_WRITE,
} from "./lock-order.ts";
import { beginPark, beginWait, endPark, endWait, noteAcquired, noteReleased, noteTryFailed } from "./lock-stat.ts";
import { heldAlready, notHeld } from "./misuse.ts";
import { SPIN_BUDGET, SPIN_ROUNDS } from "./spinlock.ts";

export const Rwlock = struct("rwlock", { word: 1 });

const READERS = 0x7fff;
const WRITER_SHIFT = 15;
const WRITER = 0x7fff << WRITER_SHIFT;
const WAITERS = 1 << 30;

const READ_HOW = HELD_READ | HELD_READ_RECURSIVE;

function writerBits(id: number): number {
  return (id + 1) << WRITER_SHIFT;
}

/** `read_lock`: returns holding the lock for reading. */
export function* readLock(cpu: Cpu, lock: number, cls: number): Steps<void> {
  if (CHECKED) beforeAcquire(cpu, lock, cls, READ_HOW);
  let seen = yield* cmpxchg(cpu, lock, 0, 1);
  if (seen !== 0) {
    seen = yield* readAttempt(cpu, lock, seen);
    if (seen !== 0) yield* rwlockSlow(cpu, lock, cls, seen, false);
  }
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, READ_HOW);
}

/** `write_lock`: returns holding the lock for writing. */
export function* writeLock(cpu: Cpu, lock: number, cls: number): Steps<void> {
  if (CHECKED) beforeAcquire(cpu, lock, cls, HELD_WRITE);
  const seen = yield* cmpxchg(cpu, lock, 0, writerBits(cpu.id));
  if (seen !== 0) yield* rwlockSlow(cpu, lock, cls, seen, true);
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, HELD_WRITE);
}

/** Adds a reader as long as no writer is in: 0 when done, else the word with the writer. `first`: the word as seen. */
function* readAttempt(cpu: Cpu, lock: number, first: number): Steps<number> {
  let seen = first;
  while ((seen & WRITER) === 0) {
    const old = yield* cmpxchg(cpu, lock, seen, seen + 1);
    if (old === seen) return 0;
    seen = old;
  }
  return seen;
}

/** Takes the lock for writing as long as it is free: 0 when done, else the word that stood against it. */
function* writeAttempt(cpu: Cpu, lock: number, first: number): Steps<number> {
  let seen = first;
  while ((seen & ~WAITERS) === 0) {
    const old = yield* cmpxchg(cpu, lock, seen, seen | writerBits(cpu.id));
    if (old === seen) return 0;
    seen = old;
  }
  return seen;
}

/** Somebody is in the way: spin while the budget lasts, then sleep until the lock may be had. */
function* rwlockSlow(cpu: Cpu, lock: number, cls: number, first: number, write: boolean): Steps<void> {
  if ((first & WRITER) === writerBits(cpu.id)) heldAlready(write ? "writeLock" : "readLock", cpu);
  const since = beginWait(cpu, lock, cls);
  let parkedNs = 0;
  let seen = first;
  let rounds = 0;
  for (;;) {
    if (write) seen = yield* writeAttempt(cpu, lock, seen);
    else seen = yield* readAttempt(cpu, lock, seen);
    if (seen === 0) break;
    if (rounds++ < SPIN_ROUNDS) {
      const watched: number = seen;
      seen = yield* spinWhile(cpu, lock, watched, SPIN_BUDGET);
      if (seen !== watched) continue;
    }
    const waited = seen | WAITERS;
    if (seen !== waited) {
      const old = yield* cmpxchg(cpu, lock, seen, waited);
      if (old !== seen) {
        seen = old;
        continue;
      }
    }
    const parkedAt = beginPark(cpu, cls);
    yield* futexWait(cpu, lock, waited, NO_TIMEOUT);
    parkedNs += endPark(cpu, parkedAt);
    seen = 0;
    rounds = 0;
  }
  endWait(cpu, cls, since, parkedNs, true);
}

/** `read_trylock`: true when it now holds the lock for reading; never waits. */
export function* readTrylock(cpu: Cpu, lock: number, cls: number): Steps<boolean> {
  if ((yield* readAttempt(cpu, lock, 0)) !== 0) {
    noteTryFailed(cpu, cls);
    return false;
  }
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, READ_HOW | HELD_TRY);
  return true;
}

/** `write_trylock`: true when it now holds the lock for writing; never waits. */
export function* writeTrylock(cpu: Cpu, lock: number, cls: number): Steps<boolean> {
  if ((yield* writeAttempt(cpu, lock, 0)) !== 0) {
    noteTryFailed(cpu, cls);
    return false;
  }
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, HELD_WRITE | HELD_TRY);
  return true;
}

/** `read_unlock`: the caller holds the lock for reading. */
export function* readUnlock(cpu: Cpu, lock: number, cls: number): Steps<void> {
  if (CHECKED) {
    if (rwlockReaders(cpu.words, lock) === 0) notHeld("readUnlock", cpu, rwlockWriter(cpu.words, lock));
    beforeRelease(cpu, lock, cls);
  }
  noteReleased(cpu, cls);
  const old = yield* fetchAdd(cpu, lock, -1);
  if ((old & READERS) === 0) notHeld("readUnlock", cpu, (old >> WRITER_SHIFT) - 1);
  if ((old & READERS) === 1 && (old & WAITERS) !== 0) yield* wakeSleepers(cpu, lock);
}

/** `write_unlock`: the caller holds the lock for writing. */
export function* writeUnlock(cpu: Cpu, lock: number, cls: number): Steps<void> {
  if (CHECKED) {
    if (rwlockWriter(cpu.words, lock) !== cpu.id) notHeld("writeUnlock", cpu, rwlockWriter(cpu.words, lock));
    beforeRelease(cpu, lock, cls);
  }
  noteReleased(cpu, cls);
  const seen = yield* cmpxchg(cpu, lock, writerBits(cpu.id), 0);
  if (seen !== writerBits(cpu.id)) yield* writeUnlockSlow(cpu, lock, seen);
}

/** Sleepers are to be woken, or the caller does not hold the lock. */
function* writeUnlockSlow(cpu: Cpu, lock: number, seen: number): Steps<void> {
  if ((seen & WRITER) !== writerBits(cpu.id)) notHeld("writeUnlock", cpu, ((seen & WRITER) >> WRITER_SHIFT) - 1);
  yield* fetchAnd(cpu, lock, ~WRITER);
  yield* wakeSleepers(cpu, lock);
}

/** The lock may be had: everybody who sleeps tries again. Order matters: see "No wake-up is lost". */
function* wakeSleepers(cpu: Cpu, lock: number): Steps<void> {
  yield* fetchAnd(cpu, lock, ~WAITERS);
  yield* futexWake(cpu, lock, WAKE_ALL);
}

/** CPU number of the writer, -1 when none. A plain read, for reports and checks. */
export function rwlockWriter(words: Int32Array, lock: number): number {
  return (((words[lock] as number) & WRITER) >> WRITER_SHIFT) - 1;
}

/** Read holds. A plain read, for reports and checks. */
export function rwlockReaders(words: Int32Array, lock: number): number {
  return (words[lock] as number) & READERS;
}
