/**
 * Which tasks there are, and for how long their structs stay (kernel/exit.c: release_task; kernel/fork.c:
 * __put_task_struct, free_signal_struct; v6.18). The task list is the array of slots: a task is on it while its pid is
 * not 0.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { fetchAdd, load, store, xchg } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { Violation } from "../base/errors.ts";
import { mmdrop } from "../mm/mm.ts";
import { writeLock, writeUnlock } from "../sync/rwlock.ts";
import { Signal } from "./signal.ts";
import { PF_EXITING, signalOf, TASKLIST_LOCK, Task, TaskGlobals, taskAt, taskCount } from "./task.ts";

/** Nobody looks at tasks until `tasklistWriteUnlock`. Whoever holds it takes no task_lock. */
export function* tasklistWriteLock(cpu: Cpu): Steps<void> {
  yield* writeLock(cpu, cpu.machine + TaskGlobals.tasklistLock, TASKLIST_LOCK);
}

export function* tasklistWriteUnlock(cpu: Cpu): Steps<void> {
  yield* writeUnlock(cpu, cpu.machine + TaskGlobals.tasklistLock, TASKLIST_LOCK);
}

/** `get_task_struct`: the struct stays, whatever becomes of the task. Caller found it under tasklist_lock, or holds it. */
export function* getTaskStruct(cpu: Cpu, task: number): Steps<void> {
  const old = yield* fetchAdd(cpu, task + Task.usage, 1);
  if (old < 1) throw new Violation("I1", `getTaskStruct: task at word ${task} had ${old} references`);
}

/** `put_task_struct`: the last reference gives the slot back, and the last of the process its signal_struct. */
export function* putTaskStruct(cpu: Cpu, task: number): Steps<void> {
  const signal = signalOf(cpu, task);
  const old = yield* fetchAdd(cpu, task + Task.usage, -1);
  if (old < 1) throw new Violation("I2", `putTaskStruct: task at word ${task} had ${old} references`);
  if (old > 1) return;
  const users = yield* fetchAdd(cpu, signal + Signal.sigcnt, -1);
  if (users < 1) throw new Violation("I2", `putTaskStruct: signal_struct at word ${signal} had ${users} tasks`);
  if (users > 1) return;
  yield* dropOomMm(cpu, signal);
  store(cpu, signal + Signal.tgid, 0);
}

/** Drops the pin that `mark_oom_victim` took, once the process is gone (`free_signal_struct`) or its race is over. */
export function* putOomMm(cpu: Cpu, task: number): Steps<void> {
  yield* dropOomMm(cpu, signalOf(cpu, task));
}

function* dropOomMm(cpu: Cpu, signal: number): Steps<void> {
  const mm = yield* xchg(cpu, signal + Signal.oomMm, 0);
  if (mm !== 0) yield* mmdrop(cpu, mm);
}

/**
 * `release_task`: the exited task leaves the list. Of a process's first thread only after the others, by its parent
 * (wait); other threads release themselves. Its children have no parent from here on (the kernel gives them to init).
 */
export function* releaseTask(cpu: Cpu, task: number): Steps<void> {
  assert((load(cpu, task + Task.flags) & PF_EXITING) !== 0, "releaseTask: the task has not exited");
  const signal = signalOf(cpu, task);
  yield* tasklistWriteLock(cpu);
  const pid = load(cpu, task + Task.pid);
  assert(pid !== 0, "releaseTask: the task is released already");
  const threads = load(cpu, signal + Signal.nrThreads);
  assert(pid !== load(cpu, signal + Signal.tgid) || threads === 1, "releaseTask: a leader goes last");
  store(cpu, signal + Signal.nrThreads, threads - 1);
  for (let index = 0; index < taskCount(cpu); index++) {
    const child = taskAt(cpu, index);
    if (load(cpu, child + Task.realParent) === task) store(cpu, child + Task.realParent, 0);
  }
  store(cpu, task + Task.pid, 0);
  yield* tasklistWriteUnlock(cpu);
  yield* putTaskStruct(cpu, task);
}
