/**
 * Rules of kernel/locking/rwsem.c from v5.11 on (the wake condition of a new waiter as in v6.0): readers may steal
 * a free lock, a wake takes all queued readers along, and the first waiter claims the lock after 4 ms.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { atomicLoad, cmpxchg, fetchAdd, load, store } from "../../arena/mem.ts";
import { CpuSync, QueueNode } from "../cpu-sync.ts";
import { queueLock, queueUnlock } from "../queue-lock.ts";
import { firstWaiter, nextWaiter, nodeOf } from "../wait-list.ts";
import {
  detachReaders,
  detachWaiter,
  HANDOFF_SET,
  pastDeadline,
  RWSEM_WAITING_FOR_WRITE,
  RWSEM_WAKE_ANY,
  RWSEM_WAKE_READ_OWNED,
  stringLength,
  wakeOnly,
  wakeWaiters,
} from "./queue.ts";
import {
  RWSEM_FLAG_HANDOFF,
  RWSEM_FLAG_WAITERS,
  RWSEM_LOCK_MASK,
  RWSEM_READER_BIAS,
  RWSEM_READER_OWNED,
  RWSEM_READER_SHIFT,
  RWSEM_WRITER_LOCKED,
  Rwsem,
  setReaderOwned,
  setWriterOwned,
} from "./state.ts";

/**
 * The part of `rwsem_down_read_slowpath` before the queue: true when the reader is in. `count` already contains its
 * bias. Not if readers are probably in already: a stream of them would starve a sleeping writer.
 */
export function* stealRead(cpu: Cpu, sem: number, count: number): Steps<boolean> {
  const readers = count >> RWSEM_READER_SHIFT;
  const writer = (count & RWSEM_WRITER_LOCKED) !== 0;
  if (readers > 1 && !writer && ((yield* atomicLoad(cpu, sem + Rwsem.owner)) & RWSEM_READER_OWNED) !== 0) return false;
  if (writer || (count & RWSEM_FLAG_HANDOFF) !== 0) return false;
  yield* setReaderOwned(cpu, sem, cpu.id);
  // Somebody is queued, or this reader would have been in at once.
  if (readers === 1) {
    yield* queueLock(cpu, sem + Rwsem.waitLock);
    const wake = yield* markWakeModern(cpu, sem, RWSEM_WAKE_READ_OWNED);
    yield* queueUnlock(cpu, sem + Rwsem.waitLock);
    yield* wakeWaiters(cpu, wake);
  }
  return true;
}

/** `rwsem_mark_wake`: returns what to wake (`wakeWaiters`). The caller holds `waitLock`. */
export function* markWakeModern(cpu: Cpu, sem: number, type: number): Steps<number> {
  const first = firstWaiter(cpu, sem + Rwsem.waiters);
  if (first < 0) return 0;
  const node = nodeOf(cpu, first, CpuSync.node);
  if (load(cpu, node + QueueNode.kind) === RWSEM_WAITING_FOR_WRITE) {
    return type === RWSEM_WAKE_ANY ? wakeOnly(first) : 0;
  }
  let added = 0;
  if (type !== RWSEM_WAKE_READ_OWNED) {
    // This bias keeps writers out while the batch is counted.
    added = RWSEM_READER_BIAS;
    const old = yield* fetchAdd(cpu, sem + Rwsem.count, added);
    if ((old & RWSEM_WRITER_LOCKED) !== 0) {
      yield* refuseReaders(cpu, sem, node, old);
      return 0;
    }
    yield* setReaderOwned(cpu, sem, first);
  }
  const string = detachReaders(cpu, sem, true);
  let change = stringLength(cpu, string) * RWSEM_READER_BIAS - added;
  if (firstWaiter(cpu, sem + Rwsem.waiters) < 0) change -= RWSEM_FLAG_WAITERS;
  // Readers got in, so nobody has to hold back for the first waiter any more.
  if (((yield* atomicLoad(cpu, sem + Rwsem.count)) & RWSEM_FLAG_HANDOFF) !== 0) change -= RWSEM_FLAG_HANDOFF;
  if (change !== 0) yield* fetchAdd(cpu, sem + Rwsem.count, change);
  return string;
}

/** A writer was faster than the reader at the head: takes the bias back and, if that reader waits too long, claims. */
function* refuseReaders(cpu: Cpu, sem: number, node: number, count: number): Steps<void> {
  let change = -RWSEM_READER_BIAS;
  if (pastDeadline(cpu, node)) {
    if ((count & RWSEM_FLAG_HANDOFF) === 0) change += RWSEM_FLAG_HANDOFF;
    store(cpu, node + QueueNode.flags, HANDOFF_SET);
  }
  yield* fetchAdd(cpu, sem + Rwsem.count, change);
}

/**
 * `rwsem_try_write_lock`: this CPU, a queued writer, takes the lock and leaves the queue: true. Otherwise false, and
 * if it is the first and has waited too long, it claims the lock. The caller holds `waitLock`.
 */
export function* tryWriteLockModern(cpu: Cpu, sem: number): Steps<boolean> {
  const node = nodeOf(cpu, cpu.id, CpuSync.node);
  const first = firstWaiter(cpu, sem + Rwsem.waiters);
  const firstNode = nodeOf(cpu, first, CpuSync.node);
  const claimedByOther = first !== cpu.id && load(cpu, firstNode + QueueNode.flags) === HANDOFF_SET;
  let seen = yield* atomicLoad(cpu, sem + Rwsem.count);
  for (;;) {
    const claimed = (seen & RWSEM_FLAG_HANDOFF) !== 0;
    if (claimed && claimedByOther) return false;
    const free = (seen & RWSEM_LOCK_MASK) === 0;
    if (!free && (claimed || first !== cpu.id || !pastDeadline(cpu, node))) return false;
    const alone = first === cpu.id && nextWaiter(cpu, cpu.id, CpuSync.node) < 0;
    let wanted = seen | RWSEM_FLAG_HANDOFF;
    if (free) wanted = (seen | RWSEM_WRITER_LOCKED) & ~(RWSEM_FLAG_HANDOFF | (alone ? RWSEM_FLAG_WAITERS : 0));
    const old = yield* cmpxchg(cpu, sem + Rwsem.count, seen, wanted);
    if (old === seen) {
      if (!free) {
        store(cpu, node + QueueNode.flags, HANDOFF_SET);
        return false;
      }
      detachWaiter(cpu, sem, cpu.id);
      yield* setWriterOwned(cpu, sem);
      return true;
    }
    seen = old;
  }
}
