/**
 * Frozen threads (kernel/freezer.c: try_to_freeze, __thaw_task, thaw_process; v6.18). SIGKILL does not thaw: a killed
 * thread that stays frozen keeps its use of the mm, and nothing of it is freed but by the reaper (B19).
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, NO_TIMEOUT, xchg } from "../arena/mem.ts";
import { lockClass } from "../sync/lock-class.ts";
import { finishWait, prepareToWait, sleepOnQueue, wakeUpAll } from "../sync/wait-queue.ts";
import {
  currentTask,
  sameThreadGroup,
  Task,
  TaskGlobals,
  taskAt,
  taskCount,
  tasklistReadLock,
  tasklistReadUnlock,
} from "./task.ts";

const FREEZER = lockClass("freezer");

/** Tells a thread to stand still at its next `tryToFreeze`; not one that the OOM killer chose, which is to exit. */
export function* freezeTask(cpu: Cpu, task: number): Steps<void> {
  if ((yield* atomicLoad(cpu, task + Task.tifMemdie)) === 0) yield* atomicStore(cpu, task + Task.frozen, 1);
}

/** `try_to_freeze` of the current thread, on its way to user space: stands still until it is thawed. */
export function* tryToFreeze(cpu: Cpu): Steps<void> {
  const frozen = currentTask(cpu) + Task.frozen;
  if ((yield* atomicLoad(cpu, frozen)) === 0) return;
  const queue = cpu.machine + TaskGlobals.freezerWait;
  for (;;) {
    yield* prepareToWait(cpu, queue);
    if ((yield* atomicLoad(cpu, frozen)) === 0) break;
    yield* sleepOnQueue(cpu, queue, FREEZER, NO_TIMEOUT, false);
  }
  yield* finishWait(cpu, queue);
}

/** `__thaw_task`: this thread goes on. What the OOM killer did for its victim before v6.18. */
export function* thawTask(cpu: Cpu, task: number): Steps<void> {
  if ((yield* xchg(cpu, task + Task.frozen, 0)) !== 0) yield* wakeUpAll(cpu, cpu.machine + TaskGlobals.freezerWait);
}

/** `thaw_process`: all threads of the task's process go on (59d4d36158ba, v6.18). */
export function* thawProcess(cpu: Cpu, task: number): Steps<void> {
  yield* tasklistReadLock(cpu);
  let frozen = false;
  for (let index = 0; index < taskCount(cpu); index++) {
    const thread = taskAt(cpu, index);
    if (sameThreadGroup(cpu, thread, task) && (yield* xchg(cpu, thread + Task.frozen, 0)) !== 0) frozen = true;
  }
  if (frozen) yield* wakeUpAll(cpu, cpu.machine + TaskGlobals.freezerWait);
  yield* tasklistReadUnlock(cpu);
}
