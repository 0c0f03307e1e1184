/** New processes and threads (kernel/fork.c: copy_process, copy_mm, wait_for_vfork_done; v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchAdd, load, store } from "../arena/mem.ts";
import { EAGAIN, EINTR, EINVAL } from "../base/errno.ts";
import { dupMm } from "../mm/dup-mmap.ts";
import { mmput } from "../mm/mm.ts";
import { Mm } from "../mm/mm-struct.ts";
import { reinitCompletion, waitForCompletionKillable } from "../sync/completion.ts";
import { lockClass } from "../sync/lock-class.ts";
import { fatalSignalPending } from "../sync/park.ts";
import { spinLock } from "../sync/spinlock.ts";
import { inheritNodes } from "./cpuset.ts";
import { Signal } from "./signal.ts";
import {
  ALLOC_LOCK,
  currentTask,
  fillTask,
  signalOf,
  Task,
  TaskGlobals,
  taskAt,
  taskComm,
  taskCount,
  taskUnlock,
} from "./task.ts";
import { putTaskStruct, tasklistWriteLock, tasklistWriteUnlock } from "./tasklist.ts";

const VFORK_DONE = lockClass("vfork_done");

/** Flags of clone, with the kernel's numbers. */
export const CLONE_VM = 0x100;
export const CLONE_VFORK = 0x4000;
export const CLONE_THREAD = 0x10000;

/**
 * `copy_process` by the current task, of which the new one is a thread (CLONE_THREAD), or a child that shares its address
 * space (CLONE_VM) or has a copy of it. Returns the new task, which runs nowhere yet (`wakeUpNewTask`); or -EINVAL,
 * -EAGAIN (no slot), -ENOMEM, -EINTR (a fatal signal is pending). With CLONE_VFORK the caller then `waitForVforkDone`s.
 */
export function* copyProcess(cpu: Cpu, flags: number): Steps<number> {
  if ((flags & CLONE_THREAD) !== 0 && (flags & CLONE_VM) === 0) return -EINVAL;
  const parent = currentTask(cpu);
  if (yield* fatalSignalPending(cpu)) return -EINTR;
  const reserved = yield* reserveTask(cpu);
  if (reserved.task === 0) return -EAGAIN;
  const mm = yield* copyMm(cpu, parent, flags, reserved.pid);
  if (mm > 0) {
    if (yield* linkTask(cpu, parent, flags, reserved, mm)) return reserved.task;
    yield* mmput(cpu, mm);
  }
  yield* fetchAdd(cpu, reserved.task + Task.usage, -1);
  return mm > 0 ? -EINTR : mm;
}

/** A slot that is the caller's, on no list yet, and a pid for it. */
interface ReservedTask {
  readonly task: number;
  readonly slot: number;
  readonly pid: number;
}

function* reserveTask(cpu: Cpu): Steps<ReservedTask> {
  yield* tasklistWriteLock(cpu);
  const slots = taskCount(cpu);
  let slot = 0;
  while (slot < slots && !(yield* slotIsFree(cpu, slot))) slot++;
  const task = slot < slots ? taskAt(cpu, slot) : 0;
  const pid = load(cpu, cpu.machine + TaskGlobals.lastPid) + 1;
  if (task !== 0) {
    yield* fetchAdd(cpu, task + Task.usage, 1);
    store(cpu, cpu.machine + TaskGlobals.lastPid, pid);
  }
  yield* tasklistWriteUnlock(cpu);
  return { task, slot, pid };
}

/** A slot goes with its signal_struct: other threads may still need that one when its leader's struct is gone. */
function* slotIsFree(cpu: Cpu, slot: number): Steps<boolean> {
  if ((yield* atomicLoad(cpu, taskAt(cpu, slot) + Task.usage)) !== 0) return false;
  const signal = load(cpu, cpu.machine + TaskGlobals.signals) + slot * Signal.WORDS;
  return (yield* atomicLoad(cpu, signal + Signal.sigcnt)) === 0;
}

/** `copy_mm`: the new task's use of an address space, or a negative errno. */
function* copyMm(cpu: Cpu, parent: number, flags: number, pid: number): Steps<number> {
  const mm = load(cpu, parent + Task.mm);
  if ((flags & CLONE_VM) === 0) return yield* dupMm(cpu, mm, pid);
  yield* fetchAdd(cpu, mm + Mm.mmUsers, 1);
  return mm;
}

/**
 * Puts the task on the list, unless the caller was killed: whoever kills a process, or all that share its mm, walks that
 * list afterwards, and so finds either this task or a parent that gives up here.
 */
function* linkTask(cpu: Cpu, parent: number, flags: number, reserved: ReservedTask, mm: number): Steps<boolean> {
  const { task, slot, pid } = reserved;
  yield* tasklistWriteLock(cpu);
  const killed = yield* fatalSignalPending(cpu);
  if (!killed) {
    const signal = signalOf(cpu, parent);
    fillTask(cpu, task, slot, {
      pid,
      comm: taskComm(cpu.words, parent),
      mm,
      oomScoreAdj: yield* atomicLoad(cpu, signal + Signal.oomScoreAdj),
      memcg: load(cpu, signal + Signal.memcg),
      uid: load(cpu, signal + Signal.uid),
      capSysAdmin: load(cpu, signal + Signal.capSysAdmin) !== 0,
      ...((flags & CLONE_THREAD) !== 0 && { threadOf: parent }),
    });
    yield* inheritNodes(cpu, parent, task);
    store(cpu, task + Task.realParent, (flags & CLONE_THREAD) !== 0 ? load(cpu, parent + Task.realParent) : parent);
    if ((flags & CLONE_VFORK) !== 0) {
      yield* reinitCompletion(cpu, parent + Task.vforkWait);
      store(cpu, task + Task.vforkDone, parent + Task.vforkWait);
    }
  }
  yield* tasklistWriteUnlock(cpu);
  return !killed;
}

/**
 * `wait_for_vfork_done`: until `child`, on which the caller has a reference, has left its parent's mm. A fatal signal ends
 * the wait (false), and the child then completes nothing. Puts the reference.
 */
export function* waitForVforkDone(cpu: Cpu, child: number): Steps<boolean> {
  const done = yield* waitForCompletionKillable(cpu, currentTask(cpu) + Task.vforkWait, VFORK_DONE);
  if (!done) {
    yield* spinLock(cpu, child + Task.allocLock, ALLOC_LOCK);
    store(cpu, child + Task.vforkDone, 0);
    yield* taskUnlock(cpu, child);
  }
  yield* putTaskStruct(cpu, child);
  return done;
}

/** `in_vfork`: it borrows its parent's address space. Caller holds tasklist_lock (read) and the task's task_lock. */
export function* inVfork(cpu: Cpu, task: number): Steps<boolean> {
  const parent = load(cpu, task + Task.realParent);
  if (load(cpu, task + Task.vforkDone) === 0 || parent === 0) return false;
  return (yield* atomicLoad(cpu, parent + Task.mm)) === load(cpu, task + Task.mm);
}
