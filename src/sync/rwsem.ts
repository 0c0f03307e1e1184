/**
 * Reader-writer semaphore that sleeps: models kernel/locking/rwsem.c by three rule sets (rwsem/rules.ts). Layout and
 * bits are in rwsem/state.ts, the queue in rwsem/queue.ts.
 *
 * Uncontended, every operation is one atomic operation on `count`, in all rule sets alike: a reader is in when it
 * finds neither a writer nor anybody queued. So downReadTrylock fails while anybody is queued, even behind readers.
 *
 * Every function takes the lock's word address and its class. Killable forms return false, with nothing held, when
 * SIGKILL is pending for this CPU; what an unpaired release means is said by name and stops the run.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { cmpxchg, fetchAdd, hint, racyLoad } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import {
  afterAcquire,
  afterDowngrade,
  beforeAcquire,
  beforeRelease,
  HELD_READ,
  HELD_TRY,
  HELD_WRITE,
} from "./lock-order.ts";
import { noteAcquired, noteReleased, noteTryFailed } from "./lock-stat.ts";
import { queueLock, queueUnlock } from "./queue-lock.ts";
import { RWSEM_WAKE_READ_OWNED, wakeWaiters } from "./rwsem/queue.ts";
import { markWake, RULES_FIFO_2010, RULES_NAMES, rulesOf } from "./rwsem/rules.ts";
import { downReadSlow, downWriteSlow, wakeAfterLastReader, wakeAfterRelease } from "./rwsem/slow.ts";
import {
  notWriter,
  RWSEM_FLAG_WAITERS,
  RWSEM_LOCK_MASK,
  RWSEM_READ_FAILED_MASK,
  RWSEM_READER_BIAS,
  RWSEM_WRITER_LOCKED,
  Rwsem,
  setReaderOwned,
  setWriterOwned,
  writerOwner,
} from "./rwsem/state.ts";

export { describeRwsem } from "./rwsem/report.ts";
export { RULES_FIFO_2010, RULES_MODERN, RULES_NAMES, RULES_PRE_V5_3 } from "./rwsem/rules.ts";
export { Rwsem } from "./rwsem/state.ts";

/** Makes the words at `sem` a free rwsem that follows RULES_*; before any CPU uses it. */
export function initRwsem(words: Int32Array, sem: number, rules: number): void {
  assert(rules >= 0 && rules < RULES_NAMES.length, "initRwsem: no such rules");
  words.fill(0, sem, sem + Rwsem.WORDS);
  words[sem + Rwsem.rules] = rules;
}

function* downReadCommon(cpu: Cpu, sem: number, cls: number, killable: boolean): Steps<boolean> {
  if (CHECKED) beforeAcquire(cpu, sem, cls, HELD_READ);
  const old = yield* fetchAdd(cpu, sem + Rwsem.count, RWSEM_READER_BIAS);
  if ((old & RWSEM_READ_FAILED_MASK) === 0) {
    yield* setReaderOwned(cpu, sem, cpu.id);
  } else if (!(yield* downReadSlow(cpu, sem, cls, old + RWSEM_READER_BIAS, killable, false))) {
    return false;
  }
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, sem, cls, HELD_READ);
  return true;
}

/** `down_read`: returns holding the lock for reading. */
export function* downRead(cpu: Cpu, sem: number, cls: number): Steps<void> {
  yield* downReadCommon(cpu, sem, cls, false);
}

/** `down_read_killable`: false when a fatal signal came first. */
export function* downReadKillable(cpu: Cpu, sem: number, cls: number): Steps<boolean> {
  return yield* downReadCommon(cpu, sem, cls, true);
}

/** `down_read_unfair`, RULES_FIFO_2010 only: like `downRead`, but waits for an active writer only. */
export function* downReadUnfair(cpu: Cpu, sem: number, cls: number): Steps<void> {
  assert(rulesOf(cpu, sem) === RULES_FIFO_2010, "downReadUnfair: only the 2010 rules have it");
  if (CHECKED) beforeAcquire(cpu, sem, cls, HELD_READ);
  const old = yield* fetchAdd(cpu, sem + Rwsem.count, RWSEM_READER_BIAS);
  if ((old & RWSEM_WRITER_LOCKED) === 0) yield* setReaderOwned(cpu, sem, cpu.id);
  else yield* downReadSlow(cpu, sem, cls, old + RWSEM_READER_BIAS, false, true);
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, sem, cls, HELD_READ);
}

/** `down_read_trylock`: never waits; false also when the lock is only read-held but somebody is queued for it. */
export function* downReadTrylock(cpu: Cpu, sem: number, cls: number): Steps<boolean> {
  let seen = 0;
  while ((seen & RWSEM_READ_FAILED_MASK) === 0) {
    const old = yield* cmpxchg(cpu, sem + Rwsem.count, seen, seen + RWSEM_READER_BIAS);
    if (old === seen) {
      yield* setReaderOwned(cpu, sem, cpu.id);
      noteAcquired(cpu, cls);
      if (CHECKED) afterAcquire(cpu, sem, cls, HELD_READ | HELD_TRY);
      return true;
    }
    seen = old;
  }
  noteTryFailed(cpu, cls);
  return false;
}

/** `up_read`: the caller holds it for reading. */
export function* upRead(cpu: Cpu, sem: number, cls: number): Steps<void> {
  if (CHECKED) beforeRelease(cpu, sem, cls);
  noteReleased(cpu, cls);
  const old = yield* fetchAdd(cpu, sem + Rwsem.count, -RWSEM_READER_BIAS);
  assert(old >= RWSEM_READER_BIAS, "upRead: no reader holds it");
  const left = old - RWSEM_READER_BIAS;
  if ((left & (RWSEM_LOCK_MASK | RWSEM_FLAG_WAITERS)) === RWSEM_FLAG_WAITERS) yield* wakeAfterLastReader(cpu, sem);
}

function* downWriteCommon(cpu: Cpu, sem: number, cls: number, killable: boolean): Steps<boolean> {
  if (CHECKED) beforeAcquire(cpu, sem, cls, HELD_WRITE);
  if ((yield* cmpxchg(cpu, sem + Rwsem.count, 0, RWSEM_WRITER_LOCKED)) === 0) {
    yield* setWriterOwned(cpu, sem);
  } else if (!(yield* downWriteSlow(cpu, sem, cls, killable))) {
    return false;
  }
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, sem, cls, HELD_WRITE);
  return true;
}

/** `down_write`: returns holding the lock for writing. */
export function* downWrite(cpu: Cpu, sem: number, cls: number): Steps<void> {
  yield* downWriteCommon(cpu, sem, cls, false);
}

/** `down_write_killable`: false when a fatal signal came first. */
export function* downWriteKillable(cpu: Cpu, sem: number, cls: number): Steps<boolean> {
  return yield* downWriteCommon(cpu, sem, cls, true);
}

/** `down_write_trylock`: never waits; the lock must be free and nobody queued. */
export function* downWriteTrylock(cpu: Cpu, sem: number, cls: number): Steps<boolean> {
  if ((yield* cmpxchg(cpu, sem + Rwsem.count, 0, RWSEM_WRITER_LOCKED)) !== 0) {
    noteTryFailed(cpu, cls);
    return false;
  }
  yield* setWriterOwned(cpu, sem);
  noteAcquired(cpu, cls);
  if (CHECKED) afterAcquire(cpu, sem, cls, HELD_WRITE | HELD_TRY);
  return true;
}

/** `up_write`: the caller holds it for writing. */
export function* upWrite(cpu: Cpu, sem: number, cls: number): Steps<void> {
  if (CHECKED) beforeRelease(cpu, sem, cls);
  if (racyLoad(cpu, sem + Rwsem.owner) !== writerOwner(cpu)) notWriter("upWrite", cpu);
  noteReleased(cpu, cls);
  yield* hint(cpu, sem + Rwsem.owner, 0, 0);
  const old = yield* fetchAdd(cpu, sem + Rwsem.count, -RWSEM_WRITER_LOCKED);
  if ((old & RWSEM_FLAG_WAITERS) !== 0) yield* wakeAfterRelease(cpu, sem);
}

/** `downgrade_write`: a writer becomes a reader without letting another writer in, and queued readers may join. */
export function* downgradeWrite(cpu: Cpu, sem: number, cls: number): Steps<void> {
  if (CHECKED) afterDowngrade(cpu, sem, cls);
  if (racyLoad(cpu, sem + Rwsem.owner) !== writerOwner(cpu)) notWriter("downgradeWrite", cpu);
  const old = yield* fetchAdd(cpu, sem + Rwsem.count, RWSEM_READER_BIAS - RWSEM_WRITER_LOCKED);
  yield* setReaderOwned(cpu, sem, cpu.id);
  if ((old & RWSEM_FLAG_WAITERS) === 0) return;
  yield* queueLock(cpu, sem + Rwsem.waitLock);
  const wake = yield* markWake(cpu, sem, RWSEM_WAKE_READ_OWNED);
  yield* queueUnlock(cpu, sem + Rwsem.waitLock);
  yield* wakeWaiters(cpu, wake);
}
