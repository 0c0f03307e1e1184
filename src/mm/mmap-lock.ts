/** `mmap_lock` (include/linux/mmap_lock.h, v6.14; `mmap_sem` before v5.8) by its own names. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { downRead, downReadKillable, downReadTrylock, downWrite, upRead, upWrite } from "../sync/rwsem.ts";
import { MMAP_LOCK, Mm } from "./mm-struct.ts";

export function* mmapReadLock(cpu: Cpu, mm: number): Steps<void> {
  yield* downRead(cpu, mm + Mm.mmapLock, MMAP_LOCK);
}

/** False when a fatal signal ended the wait. */
export function* mmapReadLockKillable(cpu: Cpu, mm: number): Steps<boolean> {
  return yield* downReadKillable(cpu, mm + Mm.mmapLock, MMAP_LOCK);
}

/** False when a writer holds it or anybody is queued. */
export function* mmapReadTrylock(cpu: Cpu, mm: number): Steps<boolean> {
  return yield* downReadTrylock(cpu, mm + Mm.mmapLock, MMAP_LOCK);
}

export function* mmapReadUnlock(cpu: Cpu, mm: number): Steps<void> {
  yield* upRead(cpu, mm + Mm.mmapLock, MMAP_LOCK);
}

export function* mmapWriteLock(cpu: Cpu, mm: number): Steps<void> {
  yield* downWrite(cpu, mm + Mm.mmapLock, MMAP_LOCK);
}

export function* mmapWriteUnlock(cpu: Cpu, mm: number): Steps<void> {
  yield* upWrite(cpu, mm + Mm.mmapLock, MMAP_LOCK);
}
