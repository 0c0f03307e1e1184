/**
 * Tasks (include/linux/sched.h, sched/signal.h; v6.18), as far as an exit and the OOM code look at them. One thread
 * per process so far, so the words of signal_struct stand here too.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchOr, load, store } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { MmGlobals } from "../mm/globals.ts";
import { MMF_OOM_SKIP, Mm } from "../mm/mm-struct.ts";
import { lockClass } from "../sync/lock-class.ts";
import { sendSigkill } from "../sync/park.ts";
import { Spinlock, spinLock, spinUnlock } from "../sync/spinlock.ts";
import { SIGNAL_GENERATE } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";

/** `task_lock`: `Task.mm` is changed under it only. */
export const ALLOC_LOCK = lockClass("alloc_lock");

/** Bits of `Task.flags`, with the kernel's numbers. */
export const PF_EXITING = 0x4;
export const PF_KTHREAD = 0x200000;
/** Bits of `Task.signalFlags`. */
export const SIGNAL_GROUP_EXIT = 0x4;
/** Its number, for traces. */
const SIGKILL = 9;

export const Task = struct(
  "task",
  {
    /** 0 while the slot is unused. */
    pid: 1,
    /** CPU it runs on. */
    cpu: 1,
    /** (atomic) PF_* */
    flags: 1,
    /** (atomic) SIGNAL_* of the whole process. */
    signalFlags: 1,
    /** (atomic) `signal->oom_mm`: set once, when the process becomes an OOM victim; pins the struct of that mm. */
    oomMm: 1,
    /** (atomic) TIF_MEMDIE of the victim's thread. */
    tifMemdie: 1,
    /** Who holds it knows that mm stays what it is. */
    allocLock: { words: Spinlock.WORDS, align: 1 },
    /** (atomic) Cleared under allocLock; may be glanced at without. */
    mm: 1,
  },
  CACHE_PAIR,
);

/** Most CPUs a machine may have: an mm's CPU mask is one word. */
export const MAX_CPUS = 31;

export const TaskGlobals = struct(
  "taskGlobals",
  {
    mm: MmGlobals,
    /** Word address and number of task slots; constant. */
    tasks: 1,
    taskCount: 1,
    /** Task that runs on each CPU, 0 for none; written by that CPU. */
    current: MAX_CPUS,
  },
  CACHE_PAIR,
);

/** Word address of task slot `index`. */
export function taskAt(cpu: Cpu, index: number): number {
  return load(cpu, cpu.machine + TaskGlobals.tasks) + index * Task.WORDS;
}

/** Slots of this machine. */
export function taskCount(cpu: Cpu): number {
  return load(cpu, cpu.machine + TaskGlobals.taskCount);
}

/** `current` */
export function currentTask(cpu: Cpu): number {
  return load(cpu, cpu.machine + TaskGlobals.current + cpu.id);
}

/** This CPU runs `task` from now on. */
export function switchTo(cpu: Cpu, task: number): void {
  store(cpu, cpu.machine + TaskGlobals.current + cpu.id, task);
  if (task !== 0) store(cpu, task + Task.cpu, cpu.id);
}

/** `tsk_is_oom_victim` */
export function* tskIsOomVictim(cpu: Cpu, task: number): Steps<boolean> {
  return task !== 0 && (yield* atomicLoad(cpu, task + Task.oomMm)) !== 0;
}

/** `find_lock_task_mm`: the task's mm with `task_lock` held, or 0 with nothing held. */
export function* findLockTaskMm(cpu: Cpu, task: number): Steps<number> {
  yield* spinLock(cpu, task + Task.allocLock, ALLOC_LOCK);
  const mm = load(cpu, task + Task.mm);
  if (mm === 0) yield* taskUnlock(cpu, task);
  return mm;
}

export function* taskUnlock(cpu: Cpu, task: number): Steps<void> {
  yield* spinUnlock(cpu, task + Task.allocLock, ALLOC_LOCK);
}

/** SIGKILL to the process, delivered to the CPU it runs on. */
export function* killTask(cpu: Cpu, task: number): Steps<void> {
  assert(load(cpu, task + Task.pid) !== 0, "killTask: no such task");
  trace(cpu, SIGNAL_GENERATE, load(cpu, task + Task.pid), SIGKILL);
  yield* fetchOr(cpu, task + Task.signalFlags, SIGNAL_GROUP_EXIT);
  yield* sendSigkill(cpu, load(cpu, task + Task.cpu));
}

/** `task_will_free_mem` for one process: it is on its way out and its memory is not given up on yet. */
export function* taskWillFreeMem(cpu: Cpu, task: number, mm: number): Steps<boolean> {
  if (!(yield* exiting(cpu, task))) return false;
  if (((yield* atomicLoad(cpu, mm + Mm.flags)) & MMF_OOM_SKIP) !== 0) return false;
  if ((yield* atomicLoad(cpu, mm + Mm.mmUsers)) <= 1) return true;
  for (let index = 0; index < taskCount(cpu); index++) {
    const other = taskAt(cpu, index);
    if (other !== task && (yield* sharesMm(cpu, other, mm)) && !(yield* exiting(cpu, other))) return false;
  }
  return true;
}

function* exiting(cpu: Cpu, task: number): Steps<boolean> {
  if (((yield* atomicLoad(cpu, task + Task.signalFlags)) & SIGNAL_GROUP_EXIT) !== 0) return true;
  return ((yield* atomicLoad(cpu, task + Task.flags)) & PF_EXITING) !== 0;
}

/** `process_shares_mm`. A glance without the other's task_lock: the caller holds the asked task's, and two do not nest. */
function* sharesMm(cpu: Cpu, task: number, mm: number): Steps<boolean> {
  return load(cpu, task + Task.pid) !== 0 && (yield* atomicLoad(cpu, task + Task.mm)) === mm;
}
