/** Handing tasks to CPUs (kernel/sched/core.c: wake_up_new_task; v6.18), as far as a machine with a task per CPU needs it. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { futexWait, futexWake, load, NO_TIMEOUT, racyLoad, xchg } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { tlbActivate } from "../mm/tlb.ts";
import { CPU_PARKED, CPU_RUNNING, CpuSync, SIGKILL_BIT } from "../sync/cpu-sync.ts";
import { SIGNAL_GROUP_EXIT, Signal } from "./signal.ts";
import { NO_CPU, signalOf, switchTo, Task, TaskGlobals } from "./task.ts";
import { tasklistWriteLock, tasklistWriteUnlock } from "./tasklist.ts";

/** `wake_up_new_task`: the task runs on CPU number `id` as soon as that one is in `cpuIdle`. */
export function* wakeUpNewTask(cpu: Cpu, task: number, id: number): Steps<void> {
  assert(load(cpu, task + Task.cpu) === NO_CPU, "wakeUpNewTask: the task runs already");
  const next = cpu.machine + TaskGlobals.next + id;
  assert((yield* xchg(cpu, next, task)) === 0, `wakeUpNewTask: CPU ${id} was given another task`);
  yield* futexWake(cpu, next, 1);
}

/** The idle loop: waits for a task, and returns it once it runs here. */
export function* cpuIdle(cpu: Cpu): Steps<number> {
  const next = cpu.machine + TaskGlobals.next + cpu.id;
  let task = yield* xchg(cpu, next, 0);
  while (task === 0) {
    cpu.words[cpu.sync + CpuSync.state] = CPU_PARKED;
    yield* futexWait(cpu, next, 0, NO_TIMEOUT);
    cpu.words[cpu.sync + CpuSync.state] = CPU_RUNNING;
    task = yield* xchg(cpu, next, 0);
  }
  // Signals go to CPUs, by those who hold the list for reading: under the write lock none is on its way to the last task.
  yield* tasklistWriteLock(cpu);
  switchTo(cpu, task);
  const killed = (racyLoad(cpu, signalOf(cpu, task) + Signal.flags) & SIGNAL_GROUP_EXIT) !== 0;
  yield* xchg(cpu, cpu.sync + CpuSync.signal, killed ? SIGKILL_BIT : 0);
  yield* tasklistWriteUnlock(cpu);
  const mm = load(cpu, task + Task.mm);
  if (mm !== 0) yield* tlbActivate(cpu, mm);
  return task;
}
