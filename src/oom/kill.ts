/** Killing the chosen process (mm/oom_kill.c: oom_kill_process, __oom_kill_process, oom_kill_memcg_member; v4.6 to v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchAdd, futexWake, load, store, WAKE_ALL } from "../arena/mem.ts";
import { Memcg, memcgEvent, memcgIsDescendant, memcgOomGroup } from "../mm/memcg.ts";
import { mmdrop, mmgrab, setMmFlag } from "../mm/mm.ts";
import { MMF_OOM_SKIP, Mm } from "../mm/mm-struct.ts";
import { thawProcess, thawTask } from "../task/freezer.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../task/signal.ts";
import {
  findLockThread,
  killTask,
  processSharesMm,
  signalOf,
  Task,
  taskAt,
  taskCount,
  tasklistReadLock,
  tasklistReadUnlock,
  taskUnlock,
  taskWillFreeMem,
} from "../task/task.ts";
import { getTaskStruct, putTaskStruct } from "../task/tasklist.ts";
import { isGlobalInit, isKthread } from "./badness.ts";
import { OomGlobals } from "./globals.ts";
import type { KillerRules } from "./killer-rules.ts";
import { OomControl } from "./oom-control.ts";
import { logExiting, logInvoked, logKilled, logPinned, logVictim } from "./oom-log.ts";
import type { Protocol } from "./protocols/protocol.ts";
import { queueOomReaper } from "./reaper-queue.ts";
import { sacrificeChild } from "./sacrifice-child.ts";
import { isProcess } from "./select.ts";
import { markOomVictim } from "./victim.ts";

/** A process on its way out is marked and queued, without a signal or a log line: true when `task` was one. */
export function* helpTaskToDie(cpu: Cpu, task: number, protocol: Protocol): Steps<boolean> {
  const thread = yield* findLockThread(cpu, task);
  if (thread === 0) return false;
  const dying = yield* taskWillFreeMem(cpu, thread, load(cpu, thread + Task.mm));
  if (dying) yield* markLocked(cpu, thread, task, protocol);
  yield* taskUnlock(cpu, thread);
  return dying;
}

/** As `helpTaskToDie`, of a task that is known to die; false when it has let go of its mm. */
export function* markDying(cpu: Cpu, task: number, protocol: Protocol): Steps<boolean> {
  const thread = yield* findLockThread(cpu, task);
  if (thread === 0) return false;
  yield* markLocked(cpu, thread, task, protocol);
  yield* taskUnlock(cpu, thread);
  return true;
}

/** Caller holds task_lock of `thread`, which has an mm; it is of the process of `task`. */
function* markLocked(cpu: Cpu, thread: number, task: number, protocol: Protocol): Steps<void> {
  yield* markOomVictim(cpu, thread);
  yield* thawVictim(cpu, task, protocol.killer);
  if (protocol.killer.reapsDying) yield* queueOomReaper(cpu, task, protocol);
}

/**
 * `oom_kill_process` of the control's choice, on which the caller has a reference: it is put. `message` is a MESSAGE_*. The
 * caller holds oom_lock.
 */
export function* oomKillProcess(cpu: Cpu, oc: number, message: number, protocol: Protocol): Steps<void> {
  let victim = load(cpu, oc + OomControl.chosen);
  if (!(yield* helpTaskToDie(cpu, victim, protocol))) {
    logInvoked(cpu, oc);
    if (protocol.killer.sacrificesChild) victim = yield* sacrificeChild(cpu, oc, victim, protocol.killer);
    const memcg = load(cpu, signalOf(cpu, victim) + Signal.memcg);
    store(cpu, oc + OomControl.chosen, victim);
    logVictim(cpu, oc, message);
    yield* killAndQueue(cpu, victim, message, protocol);
    const group = memcgOomGroup(cpu, memcg, load(cpu, oc + OomControl.memcg));
    if (group !== 0) yield* killGroup(cpu, group, message, protocol);
  }
  yield* putTaskStruct(cpu, victim);
}

/** Kills what lives in a memory group that dies as a whole. */
function* killGroup(cpu: Cpu, group: number, message: number, protocol: Protocol): Steps<void> {
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    if (!(yield* getGroupMember(cpu, task, group))) continue;
    yield* killAndQueue(cpu, task, message, protocol);
    yield* putTaskStruct(cpu, task);
  }
}

/** Takes a reference on the task if it is a process of the group that may be killed. */
function* getGroupMember(cpu: Cpu, task: number, group: number): Steps<boolean> {
  yield* tasklistReadLock(cpu);
  let member = isProcess(cpu, task) && memcgIsDescendant(cpu, load(cpu, signalOf(cpu, task) + Signal.memcg), group);
  if (member) member = !isGlobalInit(cpu, task) && !(yield* isExempt(cpu, task));
  if (member) yield* getTaskStruct(cpu, task);
  yield* tasklistReadUnlock(cpu);
  return member;
}

function* isExempt(cpu: Cpu, task: number): Steps<boolean> {
  return (yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomScoreAdj)) === OOM_SCORE_ADJ_MIN;
}

/** A frozen victim goes on, so that it can exit. */
function* thawVictim(cpu: Cpu, task: number, rules: KillerRules): Steps<void> {
  if (rules.thawsProcess) yield* thawProcess(cpu, task);
  else yield* thawTask(cpu, task);
}

/**
 * `__oom_kill_process`: SIGKILL first, so that a victim cannot use the reserves at leisure, then the mark; then every other
 * process with the same mm. Nothing happens to a task that has let go of its mm meanwhile.
 */
function* killAndQueue(cpu: Cpu, process: number, message: number, protocol: Protocol): Steps<void> {
  const victim = yield* findLockThread(cpu, process);
  if (victim === 0) {
    logExiting(cpu, process, message);
    return;
  }
  const mm = load(cpu, victim + Task.mm);
  yield* mmgrab(cpu, mm);
  yield* fetchAdd(cpu, cpu.machine + OomGlobals.oomKills, 1);
  yield* memcgEvent(cpu, load(cpu, mm + Mm.memcg), Memcg.eventsOomKill);
  // memory.events tells user space of the kill before the signal goes out.
  yield* futexWake(cpu, cpu.machine + OomGlobals.oomKills, WAKE_ALL);
  yield* killTask(cpu, victim);
  yield* markOomVictim(cpu, victim);
  logKilled(cpu, victim, mm, message);
  yield* thawVictim(cpu, victim, protocol.killer);
  yield* taskUnlock(cpu, victim);
  // From here on the thread may be gone; on the process the caller has a reference.
  if (yield* killSharers(cpu, process, mm, protocol.killer)) yield* queueOomReaper(cpu, process, protocol);
  yield* mmdrop(cpu, mm);
}

/** Kills whoever shares the mm; false when it must not be reaped, because somebody uses it who stays alive. */
function* killSharers(cpu: Cpu, victim: number, mm: number, { sharers }: KillerRules): Steps<boolean> {
  let mayReap = true;
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    if (!isProcess(cpu, task) || signalOf(cpu, task) === signalOf(cpu, victim)) continue;
    if (!(yield* processSharesMm(cpu, task, mm))) continue;
    const init = isGlobalInit(cpu, task);
    const exempt = sharers === "spare" && (yield* isExempt(cpu, task));
    if (!init && !exempt && !(yield* isKthread(cpu, task))) yield* killTask(cpu, task);
    else if (init || sharers !== "reap") {
      mayReap = false;
      if (sharers !== "spare") yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
      logPinned(cpu, victim, task);
    }
  }
  yield* tasklistReadUnlock(cpu);
  return mayReap;
}
