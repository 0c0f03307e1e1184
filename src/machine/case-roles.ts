/** Roles that only the explorer's cases need: the bystanders and latecomers of the races that the mails tell of. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, futexWait, futexWake, NO_TIMEOUT, WAKE_ALL } from "../arena/mem.ts";
import { userStore } from "../mm/fault.ts";
import { mmput } from "../mm/mm.ts";
import { MMAP_LOCK, Mm } from "../mm/mm-struct.ts";
import { mmapReadLock, mmapReadUnlock, mmapWriteLock, mmapWriteUnlock } from "../mm/mmap-lock.ts";
import { tlbActivate } from "../mm/tlb.ts";
import { downReadUnfair } from "../sync/rwsem.ts";
import { Task } from "../task/task.ts";

/** Somebody who looked into the process (reading /proc/PID/smaps, say) and now lets go of its mm. */
function* dropsMm(cpu: Cpu, { mm }: { readonly mm: number }): Steps<void> {
  yield* mmput(cpu, mm);
}

/** A user of the mm whose SIGKILL is still on its way: writes once to each of `vpns`, then lets go. */
function* lateThread(cpu: Cpu, params: { readonly mm: number; readonly vpns: readonly number[] }): Steps<void> {
  yield* tlbActivate(cpu, params.mm);
  for (let i = 0; i < params.vpns.length; i++) yield* userStore(cpu, params.mm, params.vpns[i] as number, i);
  yield* mmput(cpu, params.mm);
}

/** 2010, T1: has killed the victim, and waits for its memory without holding anything. */
function* waitsForVictim(cpu: Cpu, { task }: { readonly task: number }): Steps<void> {
  yield* untilExited(cpu, task);
}

/** 2010, T4: took a page fault, hence mmap_sem for reading, and finds no memory until the victim has exited. */
function* faultsWithoutMemory(cpu: Cpu, { mm, task }: { readonly mm: number; readonly task: number }): Steps<void> {
  yield* mmapReadLock(cpu, mm);
  yield* untilExited(cpu, task);
  yield* mmapReadUnlock(cpu, mm);
}

/** 2010, T3: in mmap(), so it wants mmap_sem for writing. */
function* maps(cpu: Cpu, { mm }: { readonly mm: number }): Steps<void> {
  yield* mmapWriteLock(cpu, mm);
  yield* mmapWriteUnlock(cpu, mm);
}

/** 2010, T2, the victim: exit_mm takes mmap_sem for reading, with `unfair` past whoever is queued. */
function* exitsIn2010(
  cpu: Cpu,
  { mm, task, unfair }: { readonly mm: number; readonly task: number; readonly unfair: boolean },
): Steps<void> {
  if (unfair) yield* downReadUnfair(cpu, mm + Mm.mmapLock, MMAP_LOCK);
  else yield* mmapReadLock(cpu, mm);
  yield* atomicStore(cpu, task + Task.mm, 0);
  yield* mmapReadUnlock(cpu, mm);
  yield* futexWake(cpu, task + Task.mm, WAKE_ALL);
}

/** The allocator's loop around a scan that finds a victim already: it ends when the victim's mm is gone. */
function* untilExited(cpu: Cpu, task: number): Steps<void> {
  for (;;) {
    const mm = yield* atomicLoad(cpu, task + Task.mm);
    if (mm === 0) return;
    yield* futexWait(cpu, task + Task.mm, mm, NO_TIMEOUT);
  }
}

export const caseRoles = { dropsMm, lateThread, waitsForVictim, faultsWithoutMemory, maps, exitsIn2010 };
