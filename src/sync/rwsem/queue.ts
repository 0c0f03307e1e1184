/**
 * The queue of an rwsem: who waits for what, who leaves it, and how the ones that left it are told.
 *
 * A waiter is granted the lock in two steps. Under `waitLock` it is taken off the queue and `count` is changed in
 * its name; after `waitLock` is dropped its `granted` word is set and it is woken. In between its node belongs to
 * the waker, which strings several such nodes together by their `next` links; a node with `lock` 0 and `granted` 0
 * is on such a string. Nobody touches a node after granting it.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd, fetchAnd, load, NO_TIMEOUT, nowUs, store } from "../../arena/mem.ts";
import { CpuSync, QueueNode } from "../cpu-sync.ts";
import { beginPark, endPark, endWait } from "../lock-stat.ts";
import { fatalSignalPending, park, unpark } from "../park.ts";
import { queueLock, queueUnlock } from "../queue-lock.ts";
import { addFirst, addLast, firstWaiter, nextWaiter, nodeOf, removeWaiter } from "../wait-list.ts";
import {
  RWSEM_FLAG_HANDOFF,
  RWSEM_FLAG_WAITERS,
  RWSEM_READER_BIAS,
  RWSEM_WRITER_LOCKED,
  Rwsem,
  setReaderOwned,
} from "./state.ts";

/** `QueueNode.kind` */
export const RWSEM_WAITING_FOR_WRITE = 0;
export const RWSEM_WAITING_FOR_READ = 1;

/** `QueueNode.flags` bit: this waiter has claimed the lock by HANDOFF. */
export const HANDOFF_SET = 1;

/** What a wake may do. ANY: the lock may be free. READERS: readers hold it. READ_OWNED: the caller is such a reader. */
export const RWSEM_WAKE_ANY = 0;
export const RWSEM_WAKE_READERS = 1;
export const RWSEM_WAKE_READ_OWNED = 2;

/** Most readers woken at once. */
export const MAX_READERS_WAKEUP = 256;

/** RWSEM_WAIT_TIMEOUT: emulated microseconds after which a waiter may ask for HANDOFF. */
export const RWSEM_WAIT_TIMEOUT_US = 4000;

const CLOCK_MASK = 0x3fffffff;

/** Puts this CPU on the queue, at its end or (`first`) at its head. The caller holds `waitLock`. */
export function addWaiter(cpu: Cpu, sem: number, kind: number, first: boolean): void {
  const node = nodeOf(cpu, cpu.id, CpuSync.node);
  store(cpu, node + QueueNode.lock, sem);
  store(cpu, node + QueueNode.kind, kind);
  store(cpu, node + QueueNode.granted, 0);
  store(cpu, node + QueueNode.deadline, (nowUs(cpu) + RWSEM_WAIT_TIMEOUT_US) & CLOCK_MASK);
  store(cpu, node + QueueNode.flags, 0);
  if (first) addFirst(cpu, sem + Rwsem.waiters, CpuSync.node);
  else addLast(cpu, sem + Rwsem.waiters, CpuSync.node);
}

/** Has the waiter with this node waited longer than RWSEM_WAIT_TIMEOUT_US? */
export function pastDeadline(cpu: Cpu, node: number): boolean {
  const late = (nowUs(cpu) - load(cpu, node + QueueNode.deadline)) & CLOCK_MASK;
  return late > 0 && late <= CLOCK_MASK >> 1;
}

/** Takes CPU number `id` off the queue. The caller holds `waitLock`. */
export function detachWaiter(cpu: Cpu, sem: number, id: number): void {
  removeWaiter(cpu, sem + Rwsem.waiters, id, CpuSync.node);
  store(cpu, nodeOf(cpu, id, CpuSync.node) + QueueNode.lock, 0);
}

/**
 * Takes readers off the queue in order, up to the first writer or (`overWriters`) leaving writers where they are.
 * Returns the string of their nodes: CPU number + 1 of its first, 0 for none. The caller holds `waitLock`.
 */
export function detachReaders(cpu: Cpu, sem: number, overWriters: boolean): number {
  let string = 0;
  let last = 0;
  let id = firstWaiter(cpu, sem + Rwsem.waiters);
  for (let taken = 0; id >= 0 && taken < MAX_READERS_WAKEUP; ) {
    const node = nodeOf(cpu, id, CpuSync.node);
    const behind = nextWaiter(cpu, id, CpuSync.node);
    if (load(cpu, node + QueueNode.kind) === RWSEM_WAITING_FOR_READ) {
      detachWaiter(cpu, sem, id);
      store(cpu, node + QueueNode.next, 0);
      if (last === 0) string = id + 1;
      else store(cpu, last + QueueNode.next, id + 1);
      last = node;
      taken++;
    } else if (!overWriters) {
      break;
    }
    id = behind;
  }
  return string;
}

/** Number of nodes on a string. */
export function stringLength(cpu: Cpu, string: number): number {
  let length = 0;
  for (let at = string; at !== 0; at = nextWaiter(cpu, at - 1, CpuSync.node) + 1) length++;
  return length;
}

/**
 * The wake rule for readers at the head before v5.3: the leading readers get the lock unless a writer is in, the
 * first writer behind them ends the batch. Returns what to wake (`wakeWaiters`). The caller holds `waitLock`.
 */
export function* grantLeadingReaders(cpu: Cpu, sem: number, first: number, type: number): Steps<number> {
  let added = 0;
  if (type !== RWSEM_WAKE_READ_OWNED) {
    // This bias keeps writers out while the batch is counted. If one is in already, its release will come here again.
    added = RWSEM_READER_BIAS;
    if (((yield* fetchAdd(cpu, sem + Rwsem.count, added)) & RWSEM_WRITER_LOCKED) !== 0) {
      yield* fetchAdd(cpu, sem + Rwsem.count, -added);
      return 0;
    }
    yield* setReaderOwned(cpu, sem, first);
  }
  const string = detachReaders(cpu, sem, false);
  let change = stringLength(cpu, string) * RWSEM_READER_BIAS - added;
  if (firstWaiter(cpu, sem + Rwsem.waiters) < 0) change -= RWSEM_FLAG_WAITERS;
  if (change !== 0) yield* fetchAdd(cpu, sem + Rwsem.count, change);
  return string;
}

/** A wake result that only wakes CPU number `id`, which stays on the queue and competes for the lock. */
export function wakeOnly(id: number): number {
  return -(id + 1);
}

/** Carries out what a wake rule returned: a string of nodes to grant, `wakeOnly`, or 0. `waitLock` is free again. */
export function* wakeWaiters(cpu: Cpu, wake: number): Steps<void> {
  if (wake < 0) yield* unpark(cpu, -wake - 1);
  for (let at = wake; at > 0; ) {
    const id = at - 1;
    at = nextWaiter(cpu, id, CpuSync.node) + 1;
    yield* atomicStore(cpu, nodeOf(cpu, id, CpuSync.node) + QueueNode.granted, 1);
    yield* unpark(cpu, id);
  }
}

/**
 * Sleeps until this CPU, queued, has been granted the lock, then ends the wait that began at `since`: true. Killable
 * and killed first: false, still queued, and `waitLock` is held.
 */
export function* awaitGrant(cpu: Cpu, sem: number, cls: number, since: number, killable: boolean): Steps<boolean> {
  const node = nodeOf(cpu, cpu.id, CpuSync.node);
  let mayDie = killable;
  let parkedNs = 0;
  while ((yield* atomicLoad(cpu, node + QueueNode.granted)) === 0) {
    if (mayDie && (yield* fatalSignalPending(cpu))) {
      yield* queueLock(cpu, sem + Rwsem.waitLock);
      if (load(cpu, node + QueueNode.lock) !== 0) {
        endWait(cpu, cls, since, parkedNs, false);
        return false;
      }
      // Too late to die: the lock is ours and the news is on its way.
      yield* queueUnlock(cpu, sem + Rwsem.waitLock);
      mayDie = false;
    }
    const parkedAt = beginPark(cpu, cls);
    yield* park(cpu, NO_TIMEOUT);
    parkedNs += endPark(cpu, parkedAt);
  }
  endWait(cpu, cls, since, parkedNs, true);
  return true;
}

/**
 * `rwsem_del_waiter`: this CPU gives up waiting. True when it was the first of several, so that the new first one
 * must be looked after. The caller holds `waitLock`.
 */
export function* leaveQueue(cpu: Cpu, sem: number): Steps<boolean> {
  const first = firstWaiter(cpu, sem + Rwsem.waiters) === cpu.id;
  detachWaiter(cpu, sem, cpu.id);
  if (firstWaiter(cpu, sem + Rwsem.waiters) >= 0) return first;
  yield* fetchAnd(cpu, sem + Rwsem.count, ~(RWSEM_FLAG_WAITERS | RWSEM_FLAG_HANDOFF));
  return false;
}
