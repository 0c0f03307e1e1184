/** Another task's address space, to look into it (kernel/fork.c: get_task_mm; v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchAdd, load } from "../arena/mem.ts";
import { Mm } from "../mm/mm-struct.ts";
import { findLockThread, PF_KTHREAD, Task, taskUnlock } from "./task.ts";

/**
 * `get_task_mm`, of the whole process: its mm, of which the caller is a user until its `mmput`; 0 when it has none any more, and for a
 * kthread, which only borrows. The task's own use keeps mm_users above zero while task_lock is held.
 */
export function* getTaskMm(cpu: Cpu, task: number): Steps<number> {
  const thread = yield* findLockThread(cpu, task);
  if (thread === 0) return 0;
  const mm = load(cpu, thread + Task.mm);
  const borrowed = ((yield* atomicLoad(cpu, thread + Task.flags)) & PF_KTHREAD) !== 0;
  if (!borrowed) yield* fetchAdd(cpu, mm + Mm.mmUsers, 1);
  yield* taskUnlock(cpu, thread);
  return borrowed ? 0 : mm;
}
