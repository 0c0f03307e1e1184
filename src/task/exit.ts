/**
 * How a task dies (kernel/exit.c: do_exit, exit_mm; kernel/fork.c: exit_mm_release; v6.18), in the kernel's order.
 * Left out: files, timers, cgroups, and mm_update_next_owner.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicStore, fetchAdd, fetchAnd, fetchOr, futexWake, load, racyLoad, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { mmdrop, mmgrab, mmput } from "../mm/mm.ts";
import { mmapReadLock, mmapReadUnlock } from "../mm/mmap-lock.ts";
import { complete } from "../sync/completion.ts";
import { CpuSync, SIGKILL_BIT } from "../sync/cpu-sync.ts";
import { spinLock } from "../sync/spinlock.ts";
import { SCHED_PROCESS_EXIT } from "../trace/event.ts";
import { traceWords } from "../trace/ring.ts";
import { coredumpTaskExit, killSiblings } from "./coredump.ts";
import { clearChildTid, exitRobustList } from "./futex.ts";
import { SIGNAL_GROUP_EXIT, Signal } from "./signal.ts";
import {
  ALLOC_LOCK,
  MAX_CPUS,
  NO_CPU,
  PF_EXITING,
  signalOf,
  switchTo,
  Task,
  TaskGlobals,
  taskCommWords,
  taskUnlock,
} from "./task.ts";
import { releaseTask } from "./tasklist.ts";

/** `do_group_exit` of the task that runs on this CPU: the process's other threads are told to exit, too. */
export function* doGroupExit(cpu: Cpu, task: number): Steps<void> {
  const flags = yield* fetchOr(cpu, signalOf(cpu, task) + Signal.flags, SIGNAL_GROUP_EXIT);
  if ((flags & SIGNAL_GROUP_EXIT) === 0) yield* killSiblings(cpu, task);
  yield* doExit(cpu, task);
}

/** `do_exit` of the task that runs on this CPU, which is idle afterwards. */
export function* doExit(cpu: Cpu, task: number): Steps<void> {
  assert((load(cpu, task + Task.flags) & PF_EXITING) === 0, "doExit: the task is exiting already");
  // get_signal takes the SIGKILL that led here off the queue: an exit waits like any other code.
  yield* fetchAnd(cpu, cpu.sync + CpuSync.signal, ~SIGKILL_BIT);
  yield* coredumpTaskExit(cpu, task);
  yield* fetchOr(cpu, task + Task.flags, PF_EXITING);
  yield* fetchAdd(cpu, signalOf(cpu, task) + Signal.live, -1);
  if (cpu.trace !== 0) traceWords(cpu, SCHED_PROCESS_EXIT, [load(cpu, task + Task.pid), ...taskCommWords(cpu, task)]);
  const mm = yield* exitMm(cpu, task);
  // The next task's context switch drops the lazy TLB reference (finish_task_switch).
  switchTo(cpu, 0);
  store(cpu, task + Task.cpu, NO_CPU);
  if (mm !== 0) yield* mmdrop(cpu, mm);
  // exit_notify: a process's first thread is its parent's to release.
  const isLeader = load(cpu, task + Task.pid) === load(cpu, signalOf(cpu, task) + Signal.tgid);
  if (!isLeader) yield* releaseTask(cpu, task);
}

/**
 * `exit_mm`: detaches the task from its mm, then drops its use of it, which tears the address space down here when it
 * was the last. Returns the mm, whose struct stays pinned for the lazy TLB; 0 for a task without one.
 */
function* exitMm(cpu: Cpu, task: number): Steps<number> {
  const mm = load(cpu, task + Task.mm);
  if (mm === 0) return 0;
  yield* exitMmRelease(cpu, task, mm);
  yield* mmapReadLock(cpu, mm);
  yield* mmgrab(cpu, mm);
  yield* spinLock(cpu, task + Task.allocLock, ALLOC_LOCK);
  yield* atomicStore(cpu, task + Task.mm, 0);
  yield* taskUnlock(cpu, task);
  yield* mmapReadUnlock(cpu, mm);
  yield* mmput(cpu, mm);
  if (load(cpu, task + Task.tifMemdie) !== 0) yield* exitOomVictim(cpu, task);
  return mm;
}

/** `exit_mm_release`: what others wait for that this thread owes them. It touches user memory. */
function* exitMmRelease(cpu: Cpu, task: number, mm: number): Steps<void> {
  yield* exitRobustList(cpu, task, mm);
  yield* clearChildTid(cpu, task, mm);
  yield* completeVforkDone(cpu, task);
}

/** `complete_vfork_done`. The glance needs no lock: the word is set before the task runs, and then only cleared. */
export function* completeVforkDone(cpu: Cpu, task: number): Steps<void> {
  if (racyLoad(cpu, task + Task.vforkDone) === 0) return;
  yield* spinLock(cpu, task + Task.allocLock, ALLOC_LOCK);
  const done = load(cpu, task + Task.vforkDone);
  store(cpu, task + Task.vforkDone, 0);
  if (done !== 0) yield* complete(cpu, done);
  yield* taskUnlock(cpu, task);
}

/** `exit_oom_victim`: only after mmput, so nobody may conclude that the victim is gone while its memory is not. */
function* exitOomVictim(cpu: Cpu, task: number): Steps<void> {
  yield* atomicStore(cpu, task + Task.tifMemdie, 0);
  const victims = cpu.machine + TaskGlobals.oomVictims;
  if ((yield* fetchAdd(cpu, victims, -1)) === 1) yield* futexWake(cpu, victims, MAX_CPUS);
}
