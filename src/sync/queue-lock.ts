/**
 * The lock inside a lock: guards the queue of a mutex, completion or wait queue (`wait_lock`, a raw_spinlock_t).
 * The word is a spinlock's (see spinlock.ts, also for why no wake-up is lost), but it has no class: what it costs
 * is part of the wait for the lock around it, and it is innermost, so the lock-order checker need not follow it.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { cmpxchg, futexWait, futexWake, NO_TIMEOUT, spinWhile, xchg } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";

const WAITERS = 1 << 16;

/** Pauses before sleeping; the holder only links a node, so a longer wait means that it lost its processor. */
const QUEUE_SPIN_BUDGET = 1000;

/** Returns holding the queue lock at word `lock`. */
export function* queueLock(cpu: Cpu, lock: number): Steps<void> {
  let taken = cpu.id + 1;
  for (;;) {
    let seen = yield* cmpxchg(cpu, lock, 0, taken);
    if (seen === 0) return;
    seen = yield* spinWhile(cpu, lock, seen, QUEUE_SPIN_BUDGET);
    if (seen === 0) continue;
    const waited = seen | WAITERS;
    if (seen !== waited && (yield* cmpxchg(cpu, lock, seen, waited)) !== seen) continue;
    yield* futexWait(cpu, lock, waited, NO_TIMEOUT);
    taken = (cpu.id + 1) | WAITERS;
  }
}

/** The caller holds the queue lock. */
export function* queueUnlock(cpu: Cpu, lock: number): Steps<void> {
  const old = yield* xchg(cpu, lock, 0);
  assert(((old ^ (cpu.id + 1)) & ~WAITERS) === 0, "queueUnlock: held by another CPU");
  if ((old & WAITERS) !== 0) yield* futexWake(cpu, lock, 1);
}
