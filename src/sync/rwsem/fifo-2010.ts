/**
 * Rules of the rwsem of 2010 (lib/rwsem-spinlock.c, which x86-64 used up to v2.6.34): strictly first come, first
 * served. Whoever releases the lock hands it to the head of the queue, a writer or the leading readers; nobody
 * spins, nobody overtakes, with one exception: `down_read_unfair` (Lespinasse, never merged) enters whenever no
 * writer is in, and waits at the head of the queue otherwise. Killable waits are younger (v4.7) but work here too.
 *
 * The original did everything under the lock that guards the queue; here the uncontended case is one atomic
 * operation, which lets nobody in whom the original would have kept out.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { atomicLoad, cmpxchg, load, store } from "../../arena/mem.ts";
import { CpuSync, QueueNode } from "../cpu-sync.ts";
import { firstWaiter, nextWaiter, nodeOf } from "../wait-list.ts";
import { detachWaiter, grantLeadingReaders, RWSEM_WAITING_FOR_WRITE, RWSEM_WAKE_ANY } from "./queue.ts";
import { RWSEM_FLAG_WAITERS, RWSEM_LOCK_MASK, RWSEM_WRITER_LOCKED, Rwsem } from "./state.ts";

/** `__rwsem_do_wake`: gives the lock to the head of the queue; returns what to wake. The caller holds `waitLock`. */
export function* markWakeFifo2010(cpu: Cpu, sem: number, type: number): Steps<number> {
  const first = firstWaiter(cpu, sem + Rwsem.waiters);
  if (first < 0) return 0;
  if (load(cpu, nodeOf(cpu, first, CpuSync.node) + QueueNode.kind) === RWSEM_WAITING_FOR_WRITE) {
    return type === RWSEM_WAKE_ANY ? yield* grantWriter(cpu, sem, first) : 0;
  }
  return yield* grantLeadingReaders(cpu, sem, first, type);
}

/** Gives a free lock to the writer at the head; 0 when somebody is in, whose release comes here again. */
function* grantWriter(cpu: Cpu, sem: number, first: number): Steps<number> {
  const alone = nextWaiter(cpu, first, CpuSync.node) < 0;
  let seen = yield* atomicLoad(cpu, sem + Rwsem.count);
  while ((seen & RWSEM_LOCK_MASK) === 0) {
    const wanted = RWSEM_WRITER_LOCKED | (alone ? 0 : RWSEM_FLAG_WAITERS);
    const old = yield* cmpxchg(cpu, sem + Rwsem.count, seen, wanted);
    if (old === seen) {
      detachWaiter(cpu, sem, first);
      store(cpu, nodeOf(cpu, first, CpuSync.node) + QueueNode.next, 0);
      return first + 1;
    }
    seen = old;
  }
  return 0;
}
