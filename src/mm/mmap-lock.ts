/** `mmap_lock` (include/linux/mmap_lock.h, v6.14; `mmap_sem` before v5.8) by its own names. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import {
  downRead,
  downReadKillable,
  downReadTrylock,
  downWrite,
  downWriteKillable,
  upRead,
  upWrite,
} from "../sync/rwsem.ts";
import { MMAP_LOCK_ACQUIRE_RETURNED, MMAP_LOCK_RELEASED, MMAP_LOCK_START_LOCKING } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { MMAP_LOCK, Mm } from "./mm-struct.ts";

export function* mmapReadLock(cpu: Cpu, mm: number): Steps<void> {
  trace(cpu, MMAP_LOCK_START_LOCKING, mm, 0);
  yield* downRead(cpu, mm + Mm.mmapLock, MMAP_LOCK);
  trace(cpu, MMAP_LOCK_ACQUIRE_RETURNED, mm, 1);
}

/** False when a fatal signal ended the wait. */
export function* mmapReadLockKillable(cpu: Cpu, mm: number): Steps<boolean> {
  trace(cpu, MMAP_LOCK_START_LOCKING, mm, 0);
  const locked = yield* downReadKillable(cpu, mm + Mm.mmapLock, MMAP_LOCK);
  trace(cpu, MMAP_LOCK_ACQUIRE_RETURNED, mm, locked ? 1 : 0);
  return locked;
}

/** False when a writer holds it or anybody is queued. */
export function* mmapReadTrylock(cpu: Cpu, mm: number): Steps<boolean> {
  const locked = yield* downReadTrylock(cpu, mm + Mm.mmapLock, MMAP_LOCK);
  trace(cpu, MMAP_LOCK_ACQUIRE_RETURNED, mm, locked ? 1 : 0);
  return locked;
}

export function* mmapReadUnlock(cpu: Cpu, mm: number): Steps<void> {
  yield* upRead(cpu, mm + Mm.mmapLock, MMAP_LOCK);
  trace(cpu, MMAP_LOCK_RELEASED, mm, 0);
}

export function* mmapWriteLock(cpu: Cpu, mm: number): Steps<void> {
  trace(cpu, MMAP_LOCK_START_LOCKING, mm, 1);
  yield* downWrite(cpu, mm + Mm.mmapLock, MMAP_LOCK);
  trace(cpu, MMAP_LOCK_ACQUIRE_RETURNED, mm, 1);
}

/** False when a fatal signal ended the wait. */
export function* mmapWriteLockKillable(cpu: Cpu, mm: number): Steps<boolean> {
  trace(cpu, MMAP_LOCK_START_LOCKING, mm, 1);
  const locked = yield* downWriteKillable(cpu, mm + Mm.mmapLock, MMAP_LOCK);
  trace(cpu, MMAP_LOCK_ACQUIRE_RETURNED, mm, locked ? 1 : 0);
  return locked;
}

export function* mmapWriteUnlock(cpu: Cpu, mm: number): Steps<void> {
  yield* upWrite(cpu, mm + Mm.mmapLock, MMAP_LOCK);
  trace(cpu, MMAP_LOCK_RELEASED, mm, 1);
}
