/**
 * Spinlock of one word, after the kernel's `spin_lock` (include/linux/spinlock.h) with a difference that user
 * space forces: the holder can lose its processor, so a waiter spins a bounded while and then sleeps on the word.
 *
 * The word:
 * - bits 0-15 OWNER: CPU number + 1 of the holder, 0 when free. Only the holder changes a non-zero owner.
 * - bit 16 WAITERS: somebody sleeps on the word, or may. Never set on a free lock: the word of a free lock is 0.
 *
 * No wake-up is lost: whenever a CPU sleeps, either WAITERS is set, or a releaser that saw it has its wake still to
 * do, or a woken waiter is on its way to set it again. That is why a woken waiter carries WAITERS into the word
 * when it takes the lock (others may still sleep), and why a sleeper goes to sleep only on the very word it set.
 *
 * Unlike the kernel's queued spinlock it is not fair: a newcomer may take the lock ahead of a woken waiter, which then
 * spins and sleeps again. A CPU that hammers one lock can keep another out for many milliseconds.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { cmpxchg, futexWait, futexWake, NO_TIMEOUT, spinWhile, xchg } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { afterAcquire, beforeAcquire, beforeRelease, HELD_TRY, HELD_WRITE } from "./lock-order.ts";
import { beginPark, beginWait, endPark, endWait, noteAcquired, noteReleased, noteTryFailed } from "./lock-stat.ts";
import { heldAlready, notHeld } from "./misuse.ts";

export const Spinlock = struct("spinlock", { word: 1 });

export const SPIN_OWNER_MASK = 0xffff;
export const SPIN_WAITERS = 1 << 16;

/** Pauses spent on one holder: long enough for one that clears a page table of 512 entries. */
export const SPIN_BUDGET = 4000;
/** Changes of the word that a spinner watches before it sleeps: passing holders must not keep it spinning for ever. */
export const SPIN_ROUNDS = 100;

/** `spin_lock`: returns holding the lock. */
export function* spinLock(cpu: Cpu, lock: number, cls: number): Steps<void> {
  if (CHECKED) beforeAcquire(cpu, lock, cls, HELD_WRITE);
  const seen = yield* cmpxchg(cpu, lock, 0, cpu.id + 1);
  if (seen !== 0) yield* spinLockSlow(cpu, lock, cls, seen);
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, HELD_WRITE);
}

/** Somebody else holds it: spin while the budget lasts, then sleep until a release. */
function* spinLockSlow(cpu: Cpu, lock: number, cls: number, first: number): Steps<void> {
  if ((first & SPIN_OWNER_MASK) === cpu.id + 1) heldAlready("spinLock", cpu);
  const since = beginWait(cpu, lock, cls);
  let taken = cpu.id + 1;
  let parkedNs = 0;
  let seen = first;
  let rounds = 0;
  for (;;) {
    if (seen === 0) {
      seen = yield* cmpxchg(cpu, lock, 0, taken);
      if (seen === 0) break;
    }
    if (rounds++ < SPIN_ROUNDS) {
      const watched: number = seen;
      seen = yield* spinWhile(cpu, lock, watched, SPIN_BUDGET);
      if (seen !== watched) continue;
    }
    const waited = seen | SPIN_WAITERS;
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
    taken = (cpu.id + 1) | SPIN_WAITERS;
    seen = 0;
    rounds = 0;
  }
  endWait(cpu, cls, since, parkedNs, true);
}

/** `spin_trylock`: true when it now holds the lock; never waits. */
export function* spinTrylock(cpu: Cpu, lock: number, cls: number): Steps<boolean> {
  if ((yield* cmpxchg(cpu, lock, 0, cpu.id + 1)) !== 0) {
    noteTryFailed(cpu, cls);
    return false;
  }
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, lock, cls, HELD_WRITE | HELD_TRY);
  return true;
}

/** `spin_unlock`: the caller holds the lock. */
export function* spinUnlock(cpu: Cpu, lock: number, cls: number): Steps<void> {
  if (CHECKED) {
    if (spinOwner(cpu.words, lock) !== cpu.id) notHeld("spinUnlock", cpu, spinOwner(cpu.words, lock));
    beforeRelease(cpu, lock, cls);
  }
  noteReleased(cpu, cls);
  const seen = yield* cmpxchg(cpu, lock, cpu.id + 1, 0);
  if (seen !== cpu.id + 1) yield* spinUnlockSlow(cpu, lock, seen);
}

/** Sleepers are to be woken, or the caller does not hold the lock. */
function* spinUnlockSlow(cpu: Cpu, lock: number, seen: number): Steps<void> {
  if ((seen & SPIN_OWNER_MASK) !== cpu.id + 1) notHeld("spinUnlock", cpu, (seen & SPIN_OWNER_MASK) - 1);
  yield* xchg(cpu, lock, 0);
  yield* futexWake(cpu, lock, 1);
}

/** CPU number of the holder, -1 when free. A plain read, for reports and checks. */
export function spinOwner(words: Int32Array, lock: number): number {
  return ((words[lock] as number) & SPIN_OWNER_MASK) - 1;
}
