/**
 * The reaper's queue (mm/oom_kill.c: queue_oom_reaper, wake_oom_reaper, oom_reaper; v6.18): a list on which the last
 * victim comes first, and before it, since v5.18, a timer per victim. There are no interrupts here: the kthread looks
 * after the timers itself and sleeps until the first is due.
 *
 * Thread safety: any CPU may queue; one CPU runs the kthread.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import {
  atomicLoad,
  atomicStore,
  fetchAdd,
  fetchOr,
  futexWake,
  load,
  NO_TIMEOUT,
  nowUs,
  racyLoad,
  store,
} from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { mmFlagSet } from "../mm/mm.ts";
import { MMF_OOM_REAP_QUEUED, MMF_OOM_SKIP, Mm } from "../mm/mm-struct.ts";
import type { TraversalOrder } from "../mm/traversal/order.ts";
import { sleepOn } from "../sync/sleep.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { Signal } from "../task/signal.ts";
import { signalOf, Task } from "../task/task.ts";
import { getTaskStruct, putTaskStruct } from "../task/tasklist.ts";
import { WAKE_REAPER } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { OOM_REAPER_LOCK, OomGlobals } from "./globals.ts";
import type { Protocol } from "./protocols/protocol.ts";
import { reapVictim } from "./reaper.ts";

const US_PER_MS = 1000;

/**
 * `queue_oom_reaper`: hands the victim to the kthread, if there is one, once per mm. `task` is marked as a victim, and cannot be
 * released during the call; the queue has a reference of its own on it.
 */
export function* queueOomReaper(cpu: Cpu, task: number, protocol: Protocol): Steps<void> {
  if (load(cpu, cpu.machine + OomGlobals.reaperPresent) === 0) return;
  const mm = yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomMm);
  if (((yield* fetchOr(cpu, mm + Mm.flags, MMF_OOM_REAP_QUEUED)) & MMF_OOM_REAP_QUEUED) !== 0) return;
  yield* getTaskStruct(cpu, task);
  yield* lockQueue(cpu);
  if (protocol.reaperDelayUs > 0) addTimer(cpu, task, protocol.reaperDelayUs);
  else pushFront(cpu, task);
  yield* unlockQueue(cpu);
  yield* wakeKthread(cpu);
}

/** The kthread, for as long as nobody calls `stopOomReaper`. Returns how many victims it took from the list. */
export function* oomReaper(cpu: Cpu, protocol: Protocol, order: TraversalOrder): Steps<number> {
  for (let taken = 0; ; ) {
    const seen = yield* atomicLoad(cpu, cpu.machine + OomGlobals.oomReaperWait);
    const stop = (yield* atomicLoad(cpu, cpu.machine + OomGlobals.oomReaperStop)) !== 0;
    yield* lockQueue(cpu);
    const through = yield* fireTimers(cpu, stop);
    const task = through === 0 ? popFront(cpu) : 0;
    const due = firstDueMs(cpu);
    yield* unlockQueue(cpu);
    if (through !== 0) yield* putTaskStruct(cpu, through);
    else if (task !== 0) {
      const mm = yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomMm);
      assert(mm !== 0, "oomReaper: the signal_struct of a queued victim is gone");
      yield* reapVictim(cpu, mm, protocol, order);
      yield* putTaskStruct(cpu, task);
      taken++;
    } else if (due !== NO_TIMEOUT) {
      const leftUs = Math.max(0, due * US_PER_MS - nowUs(cpu));
      yield* sleepOn(cpu, cpu.machine + OomGlobals.oomReaperWait, seen, leftUs);
    } else if (stop) return taken;
    else yield* sleepOn(cpu, cpu.machine + OomGlobals.oomReaperWait, seen, NO_TIMEOUT);
  }
}

/** Lets the kthread return when its queue is empty; the kernel's never does, a run has to end. Again: it looks again. */
export function* stopOomReaper(cpu: Cpu): Steps<void> {
  yield* atomicStore(cpu, cpu.machine + OomGlobals.oomReaperStop, 1);
  yield* wakeKthread(cpu);
}

function* wakeKthread(cpu: Cpu): Steps<void> {
  yield* fetchAdd(cpu, cpu.machine + OomGlobals.oomReaperWait, 1);
  yield* futexWake(cpu, cpu.machine + OomGlobals.oomReaperWait, 1);
}

function* lockQueue(cpu: Cpu): Steps<void> {
  yield* spinLock(cpu, cpu.machine + OomGlobals.oomReaperLock, OOM_REAPER_LOCK);
}

function* unlockQueue(cpu: Cpu): Steps<void> {
  yield* spinUnlock(cpu, cpu.machine + OomGlobals.oomReaperLock, OOM_REAPER_LOCK);
}

/** `wake_oom_reaper`. The caller holds oom_reaper_lock, as for the functions below. */
function pushFront(cpu: Cpu, task: number): void {
  const list = cpu.machine + OomGlobals.oomReaperList;
  store(cpu, task + Task.oomReaperNext, load(cpu, list));
  store(cpu, list, task);
  trace(cpu, WAKE_REAPER, racyLoad(cpu, task + Task.pid), 0);
}

/** The first task of the list, 0 for none. */
function popFront(cpu: Cpu): number {
  const list = cpu.machine + OomGlobals.oomReaperList;
  const task = load(cpu, list);
  if (task === 0) return 0;
  store(cpu, list, load(cpu, task + Task.oomReaperNext));
  store(cpu, task + Task.oomReaperNext, 0);
  return task;
}

/** All delays are equal, so the last one to come is the last one due. */
function addTimer(cpu: Cpu, task: number, delayUs: number): void {
  store(cpu, task + Task.oomReaperDueMs, Math.ceil((nowUs(cpu) + delayUs) / US_PER_MS));
  store(cpu, task + Task.oomReaperNext, 0);
  let at = cpu.machine + OomGlobals.oomReaperTimers;
  while (load(cpu, at) !== 0) at = load(cpu, at) + Task.oomReaperNext;
  store(cpu, at, task);
}

/** Milliseconds at which the first timer is due, NO_TIMEOUT when there is none. */
function firstDueMs(cpu: Cpu): number {
  const task = load(cpu, cpu.machine + OomGlobals.oomReaperTimers);
  return task === 0 ? NO_TIMEOUT : load(cpu, task + Task.oomReaperDueMs);
}

/**
 * The timers' callbacks. A victim that is through by itself is not put on the list but returned, for the caller to drop its
 * reference once the lock is released; 0 when all that are due were looked at. When all is to `stop`, one that is through is
 * not waited for either.
 */
function* fireTimers(cpu: Cpu, stop: boolean): Steps<number> {
  const timers = cpu.machine + OomGlobals.oomReaperTimers;
  for (;;) {
    const task = load(cpu, timers);
    if (task === 0) return 0;
    const due = load(cpu, task + Task.oomReaperDueMs) * US_PER_MS <= nowUs(cpu);
    if (!due && !stop) return 0;
    const mm = yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomMm);
    const through = yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP);
    if (!due && !through) return 0;
    store(cpu, timers, load(cpu, task + Task.oomReaperNext));
    store(cpu, task + Task.oomReaperNext, 0);
    if (through) return task;
    pushFront(cpu, task);
  }
}
