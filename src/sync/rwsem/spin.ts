/**
 * Optimistic spinning of writers, after `rwsem_optimistic_spin` (kernel/locking/rwsem.c, v5.11 and later).
 *
 * Differences. The kernel lines spinners up in an MCS queue; here one writer spins and the others go to sleep at
 * once. The kernel spins on a running writer for as long as it runs; here every spin has a budget, because a holder
 * can lose its processor unseen. A spin whose budget runs out ends the spinning. One on an owner that sleeps has no
 * budget (that is `owner_on_cpu`); schedulers choose for themselves whether a budget runs out.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, nowUs, spinWhile } from "../../arena/mem.ts";
import { CPU_DONE, CPU_PARKED, CpuSync } from "../cpu-sync.ts";
import { cpuSyncOf } from "../park.ts";
import { SPIN_BUDGET } from "../spinlock.ts";
import {
  OWNER_NONSPINNABLE,
  OWNER_READER,
  OWNER_WRITER,
  ownerState,
  RWSEM_FLAG_HANDOFF,
  RWSEM_LOCK_MASK,
  RWSEM_NONSPINNABLE,
  RWSEM_OWNER_SHIFT,
  RWSEM_READER_OWNED,
  RWSEM_READER_SHIFT,
  RWSEM_WRITER_LOCKED,
  Rwsem,
  setWriterOwned,
} from "./state.ts";

/** Pauses in a microsecond, roughly: translates the kernel's time limit into a budget. */
const PAUSES_PER_US = 32;

/** `rwsem_rspin_threshold`: microseconds to spin on this many readers, 10 to 25. */
export function readerSpinUs(readers: number): number {
  return (20 + Math.min(readers, 30)) / 2;
}

/** `owner_on_cpu`, a guess: a CPU that sleeps for another lock will not release this one soon. */
function ownerOnCpu(cpu: Cpu, owner: number): boolean {
  const state = cpu.words[cpuSyncOf(cpu, (owner >> RWSEM_OWNER_SHIFT) - 1) + CpuSync.state];
  return state !== CPU_PARKED && state !== CPU_DONE;
}

/** `rwsem_spin_on_owner`: waits while the same writer owns the lock; returns the OWNER_* state that ended it. */
export function* spinOnOwner(cpu: Cpu, sem: number): Steps<number> {
  const seen = yield* atomicLoad(cpu, sem + Rwsem.owner);
  if (ownerState(seen) !== OWNER_WRITER) return ownerState(seen);
  const now = yield* spinWhile(cpu, sem + Rwsem.owner, seen, ownerOnCpu(cpu, seen) ? SPIN_BUDGET : 0);
  return now === seen ? OWNER_NONSPINNABLE : ownerState(now);
}

/** `rwsem_try_write_lock_unqueued`, past the queue: 0 when it took the lock, else the count that stood against it. */
export function* stealWrite(cpu: Cpu, sem: number): Steps<number> {
  let seen = yield* atomicLoad(cpu, sem + Rwsem.count);
  while ((seen & (RWSEM_LOCK_MASK | RWSEM_FLAG_HANDOFF)) === 0) {
    const old = yield* cmpxchg(cpu, sem + Rwsem.count, seen, seen | RWSEM_WRITER_LOCKED);
    if (old === seen) {
      yield* setWriterOwned(cpu, sem);
      return 0;
    }
    seen = old;
  }
  return seen;
}

/** `rwsem_set_nonspinnable`: no writer spins on these readers until the last of them has left. */
function* stopSpinningOnReaders(cpu: Cpu, sem: number): Steps<void> {
  const owner = yield* atomicLoad(cpu, sem + Rwsem.owner);
  if ((owner & RWSEM_READER_OWNED) !== 0) {
    yield* cmpxchg(cpu, sem + Rwsem.owner, owner, owner | RWSEM_NONSPINNABLE);
  }
}

/** Tries to get the write lock without queueing; `onReaders`: spin on readers too. True when it has the lock. */
export function* optimisticSpin(cpu: Cpu, sem: number, onReaders: boolean): Steps<boolean> {
  if (((yield* atomicLoad(cpu, sem + Rwsem.owner)) & RWSEM_NONSPINNABLE) !== 0) return false;
  if ((yield* cmpxchg(cpu, sem + Rwsem.osq, 0, cpu.id + 1)) !== 0) return false;
  const taken = yield* spinForWrite(cpu, sem, onReaders);
  yield* atomicStore(cpu, sem + Rwsem.osq, 0);
  return taken;
}

/** The active spinner's loop. Each turn either sees the lock change or is the last. */
function* spinForWrite(cpu: Cpu, sem: number, onReaders: boolean): Steps<boolean> {
  let before = OWNER_NONSPINNABLE;
  let limitUs = 0;
  for (;;) {
    const state = yield* spinOnOwner(cpu, sem);
    if (state === OWNER_NONSPINNABLE || (state === OWNER_READER && !onReaders)) return false;
    const seen = yield* stealWrite(cpu, sem);
    if (seen === 0) return true;
    if (state === OWNER_READER) {
      const patienceUs = readerSpinUs(seen >>> RWSEM_READER_SHIFT);
      if (before !== OWNER_READER) limitUs = nowUs(cpu) + patienceUs;
      const now = yield* spinWhile(cpu, sem + Rwsem.count, seen, patienceUs * PAUSES_PER_US);
      if (now === seen || nowUs(cpu) > limitUs) {
        yield* stopSpinningOnReaders(cpu, sem);
        return false;
      }
    } else if (state !== OWNER_WRITER) {
      // Owned by nobody and yet not to be had: somebody is just entering or leaving, or it is reserved (HANDOFF).
      if ((yield* spinWhile(cpu, sem + Rwsem.count, seen, SPIN_BUDGET)) === seen) return false;
    }
    before = state;
  }
}
