/**
 * How a task dies (kernel/exit.c: do_exit, exit_mm; v6.18), in the kernel's order. Not modelled yet: robust futexes
 * and clear_child_tid (exit_mm_release), exit_aio, coredumps.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd, fetchOr, futexWake, load } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { mmdrop, mmgrab, mmput } from "../mm/mm.ts";
import { mmapReadLock, mmapReadUnlock } from "../mm/mmap-lock.ts";
import { spinLock } from "../sync/spinlock.ts";
import { SCHED_PROCESS_EXIT } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { ALLOC_LOCK, MAX_CPUS, PF_EXITING, switchTo, Task, TaskGlobals, taskUnlock } from "./task.ts";

/** `do_exit` of the task that runs on this CPU. */
export function* doExit(cpu: Cpu, task: number): Steps<void> {
  const flags = yield* fetchOr(cpu, task + Task.flags, PF_EXITING);
  assert((flags & PF_EXITING) === 0, "doExit: the task is exiting already");
  trace(cpu, SCHED_PROCESS_EXIT, load(cpu, task + Task.pid), 0);
  const mm = yield* exitMm(cpu, task);
  // The next task's context switch drops the lazy TLB reference (finish_task_switch).
  switchTo(cpu, 0);
  if (mm !== 0) yield* mmdrop(cpu, mm);
}

/**
 * `exit_mm`: detaches the task from its mm, then drops its use of it, which tears the address space down here when it
 * was the last. Returns the mm, whose struct stays pinned for the lazy TLB; 0 for a task without one.
 */
function* exitMm(cpu: Cpu, task: number): Steps<number> {
  const mm = load(cpu, task + Task.mm);
  if (mm === 0) return 0;
  yield* mmapReadLock(cpu, mm);
  yield* mmgrab(cpu, mm);
  yield* spinLock(cpu, task + Task.allocLock, ALLOC_LOCK);
  yield* atomicStore(cpu, task + Task.mm, 0);
  yield* taskUnlock(cpu, task);
  yield* mmapReadUnlock(cpu, mm);
  yield* mmput(cpu, mm);
  if ((yield* atomicLoad(cpu, task + Task.tifMemdie)) !== 0) yield* exitOomVictim(cpu, task);
  return mm;
}

/** `exit_oom_victim`: only after mmput, so nobody may conclude that the victim is gone while its memory is not. */
function* exitOomVictim(cpu: Cpu, task: number): Steps<void> {
  yield* atomicStore(cpu, task + Task.tifMemdie, 0);
  const victims = cpu.machine + TaskGlobals.oomVictims;
  if ((yield* fetchAdd(cpu, victims, -1)) === 1) yield* futexWake(cpu, victims, MAX_CPUS);
}
