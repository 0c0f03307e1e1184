/** Kernel threads that borrow a process's address space (kernel/kthread.c: kthread_use_mm, kthread_unuse_mm; v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicStore, load } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { mmdrop, mmgrab } from "../mm/mm.ts";
import { tlbActivate } from "../mm/tlb.ts";
import { spinLock } from "../sync/spinlock.ts";
import { ALLOC_LOCK, currentTask, PF_KTHREAD, Task, taskUnlock } from "./task.ts";

/** The current kthread works in `mm`, of which its caller is a user (mm_users) until `kthreadUnuseMm`. */
export function* kthreadUseMm(cpu: Cpu, mm: number): Steps<void> {
  const task = currentTask(cpu);
  assert((load(cpu, task + Task.flags) & PF_KTHREAD) !== 0, "kthreadUseMm: not a kernel thread");
  assert(load(cpu, task + Task.mm) === 0, "kthreadUseMm: it uses an mm already");
  yield* mmgrab(cpu, mm);
  yield* setMm(cpu, task, mm);
  yield* tlbActivate(cpu, mm);
}

export function* kthreadUnuseMm(cpu: Cpu): Steps<void> {
  const task = currentTask(cpu);
  const mm = load(cpu, task + Task.mm);
  assert((load(cpu, task + Task.flags) & PF_KTHREAD) !== 0 && mm !== 0, "kthreadUnuseMm: nothing is used");
  yield* setMm(cpu, task, 0);
  yield* mmdrop(cpu, mm);
}

function* setMm(cpu: Cpu, task: number, mm: number): Steps<void> {
  yield* spinLock(cpu, task + Task.allocLock, ALLOC_LOCK);
  yield* atomicStore(cpu, task + Task.mm, mm);
  yield* taskUnlock(cpu, task);
}
