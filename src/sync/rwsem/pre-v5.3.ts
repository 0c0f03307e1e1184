/**
 * Rules of kernel/locking/rwsem-xadd.c in v5.2 and before (down to v3.16, where spinning came in): a wake takes the
 * leading readers only, up to the first writer; readers never overtake the queue; writers, spinning or just woken,
 * do so without limit, for there is no hand-off; nobody spins on readers.
 *
 * Left out: `rwsem_has_spinner`, by which a release skips the wake while a writer spins.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { atomicLoad, cmpxchg, load } from "../../arena/mem.ts";
import { CpuSync, QueueNode } from "../cpu-sync.ts";
import { firstWaiter, nextWaiter, nodeOf } from "../wait-list.ts";
import { detachWaiter, grantLeadingReaders, RWSEM_WAITING_FOR_WRITE, RWSEM_WAKE_ANY, wakeOnly } from "./queue.ts";
import { RWSEM_FLAG_WAITERS, RWSEM_LOCK_MASK, RWSEM_WRITER_LOCKED, Rwsem, setWriterOwned } from "./state.ts";

/** `__rwsem_mark_wake`: returns what to wake (`wakeWaiters`). The caller holds `waitLock`. */
export function* markWakePreV53(cpu: Cpu, sem: number, type: number): Steps<number> {
  const first = firstWaiter(cpu, sem + Rwsem.waiters);
  if (first < 0) return 0;
  if (load(cpu, nodeOf(cpu, first, CpuSync.node) + QueueNode.kind) === RWSEM_WAITING_FOR_WRITE) {
    return type === RWSEM_WAKE_ANY ? wakeOnly(first) : 0;
  }
  return yield* grantLeadingReaders(cpu, sem, first, type);
}

/** `rwsem_try_write_lock`: this CPU, a queued writer, takes a free lock and leaves the queue. Holds `waitLock`. */
export function* tryWriteLockPreV53(cpu: Cpu, sem: number): Steps<boolean> {
  const first = firstWaiter(cpu, sem + Rwsem.waiters);
  const alone = first === cpu.id && nextWaiter(cpu, cpu.id, CpuSync.node) < 0;
  let seen = yield* atomicLoad(cpu, sem + Rwsem.count);
  while ((seen & RWSEM_LOCK_MASK) === 0) {
    const wanted = RWSEM_WRITER_LOCKED | (alone ? 0 : RWSEM_FLAG_WAITERS);
    const old = yield* cmpxchg(cpu, sem + Rwsem.count, seen, wanted);
    if (old === seen) {
      detachWaiter(cpu, sem, cpu.id);
      yield* setWriterOwned(cpu, sem);
      return true;
    }
    seen = old;
  }
  return false;
}
