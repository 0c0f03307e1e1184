/**
 * Core dumps as an OOM kill meets them (fs/coredump.c: do_coredump, zap_threads; kernel/exit.c: coredump_task_exit;
 * v6.18): one thread writes the process's memory out while the others wait inside their exit, and a killed process
 * stays for as long as that takes. What is written goes nowhere.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, cmpxchg, fetchAnd, fetchOr, load, NO_TIMEOUT, racyLoad } from "../arena/mem.ts";
import { mmapReadLock, mmapReadUnlock } from "../mm/mmap-lock.ts";
import { lockClass } from "../sync/lock-class.ts";
import { fatalSignalPending, sendSigkill } from "../sync/park.ts";
import { sleepUs } from "../sync/sleep.ts";
import { finishWait, prepareToWait, sleepOnQueue, wakeUpAll } from "../sync/wait-queue.ts";
import { SIGNAL_GROUP_COREDUMP, SIGNAL_GROUP_EXIT, Signal } from "./signal.ts";
import {
  currentTask,
  NO_CPU,
  PF_POSTCOREDUMP,
  sameThreadGroup,
  signalOf,
  Task,
  taskAt,
  taskCount,
  tasklistReadLock,
  tasklistReadUnlock,
} from "./task.ts";

const COREDUMP = lockClass("coredump");

/** Between two looks at whether the dump was interrupted. */
const DUMP_SLICE_US = 1_000;

/** `coredump_task_exit`: a thread of a process that is dumped waits here for the end of it. */
export function* coredumpTaskExit(cpu: Cpu, task: number): Steps<void> {
  const signal = signalOf(cpu, task);
  yield* fetchOr(cpu, task + Task.flags, PF_POSTCOREDUMP);
  // Either this load sees the dump, or the dumper sees the flag: each writes first and looks then.
  if (!(yield* dumping(cpu, signal))) return;
  yield* wakeUpAll(cpu, signal + Signal.coreWait);
  for (;;) {
    yield* prepareToWait(cpu, signal + Signal.coreWait);
    if (!(yield* dumping(cpu, signal))) break;
    yield* sleepOnQueue(cpu, signal + Signal.coreWait, COREDUMP, NO_TIMEOUT, false);
  }
  yield* finishWait(cpu, signal + Signal.coreWait);
}

function* dumping(cpu: Cpu, signal: number): Steps<boolean> {
  return ((yield* atomicLoad(cpu, signal + Signal.flags)) & SIGNAL_GROUP_COREDUMP) !== 0;
}

/**
 * `do_coredump` by the current task: writes for `us` emulated microseconds under mmap_lock (read), or until SIGKILL
 * comes (`dump_interrupted`). False, and nothing done, when the process was killed before; the caller exits in any case.
 */
export function* doCoredump(cpu: Cpu, us: number): Steps<boolean> {
  const task = currentTask(cpu);
  const signal = signalOf(cpu, task);
  if (!(yield* startDump(cpu, signal))) return false;
  yield* killSiblings(cpu, task);
  yield* waitForSiblings(cpu, task);
  const mm = load(cpu, task + Task.mm);
  yield* mmapReadLock(cpu, mm);
  for (let left = us; left > 0 && !(yield* fatalSignalPending(cpu)); left -= DUMP_SLICE_US) {
    yield* sleepUs(cpu, Math.min(left, DUMP_SLICE_US));
  }
  yield* mmapReadUnlock(cpu, mm);
  yield* fetchAnd(cpu, signal + Signal.flags, ~SIGNAL_GROUP_COREDUMP);
  yield* wakeUpAll(cpu, signal + Signal.coreWait);
  return true;
}

/** Marks the process, unless it is on its way out already. */
function* startDump(cpu: Cpu, signal: number): Steps<boolean> {
  let flags = yield* atomicLoad(cpu, signal + Signal.flags);
  while ((flags & SIGNAL_GROUP_EXIT) === 0) {
    const marked = flags | SIGNAL_GROUP_EXIT | SIGNAL_GROUP_COREDUMP;
    const seen = yield* cmpxchg(cpu, signal + Signal.flags, flags, marked);
    if (seen === flags) return true;
    flags = seen;
  }
  return false;
}

/** `zap_process`: SIGKILL to the process's other threads. */
export function* killSiblings(cpu: Cpu, task: number): Steps<void> {
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const thread = taskAt(cpu, index);
    if (thread === task || !sameThreadGroup(cpu, thread, task)) continue;
    const where = racyLoad(cpu, thread + Task.cpu);
    if (where !== NO_CPU) yield* sendSigkill(cpu, where);
  }
  yield* tasklistReadUnlock(cpu);
}

/** `coredump_wait`: until every other thread that runs is in its exit. */
function* waitForSiblings(cpu: Cpu, task: number): Steps<void> {
  const queue = signalOf(cpu, task) + Signal.coreWait;
  for (;;) {
    yield* prepareToWait(cpu, queue);
    if (yield* siblingsWait(cpu, task)) break;
    yield* sleepOnQueue(cpu, queue, COREDUMP, NO_TIMEOUT, false);
  }
  yield* finishWait(cpu, queue);
}

function* siblingsWait(cpu: Cpu, task: number): Steps<boolean> {
  let all = true;
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu) && all; index++) {
    const thread = taskAt(cpu, index);
    if (thread === task || !sameThreadGroup(cpu, thread, task)) continue;
    all = ((yield* atomicLoad(cpu, thread + Task.flags)) & PF_POSTCOREDUMP) !== 0;
  }
  yield* tasklistReadUnlock(cpu);
  return all;
}
