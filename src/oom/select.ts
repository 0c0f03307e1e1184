/** Choosing a victim (mm/oom_kill.c: select_bad_process, oom_evaluate_task, oom_scan_process_thread; v4.6 to v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, store } from "../arena/mem.ts";
import { mmFlagSet } from "../mm/mm.ts";
import { MMF_OOM_SKIP } from "../mm/mm-struct.ts";
import { Signal } from "../task/signal.ts";
import {
  findLockThread,
  sameThreadGroup,
  signalOf,
  Task,
  taskAt,
  taskCount,
  tasklistReadLock,
  tasklistReadUnlock,
  taskUnlock,
} from "../task/task.ts";
import { getTaskStruct } from "../task/tasklist.ts";
import { INELIGIBLE, MOST_POINTS, oomBadness, oomUnkillableTask } from "./badness.ts";
import { inOomDomain } from "./domain.ts";
import type { KillerRules } from "./killer-rules.ts";
import { CHOSEN_ABORT, OomControl, ORDER_SYSRQ } from "./oom-control.ts";

/** Whether the slot holds the first thread of a process: `for_each_process` meets these only. */
export function isProcess(cpu: Cpu, task: number): boolean {
  const pid = load(cpu, task + Task.pid);
  return pid !== 0 && load(cpu, signalOf(cpu, task) + Signal.tgid) === pid;
}

/**
 * `select_bad_process`: sets `chosen` to a task, on which the caller then has a reference, 0 or CHOSEN_ABORT, and
 * `chosenPoints`. The caller holds oom_lock.
 */
export function* selectBadProcess(cpu: Cpu, oc: number, rules: KillerRules): Steps<void> {
  store(cpu, oc + OomControl.chosen, 0);
  store(cpu, oc + OomControl.chosenPoints, INELIGIBLE);
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    if (!isProcess(cpu, task) || !(yield* oomEvaluateTask(cpu, oc, task, rules))) continue;
    store(cpu, oc + OomControl.chosen, CHOSEN_ABORT);
    break;
  }
  const chosen = load(cpu, oc + OomControl.chosen);
  if (chosen > 0) yield* getTaskStruct(cpu, chosen);
  yield* tasklistReadUnlock(cpu);
}

/** `oom_evaluate_task`: true when the scan ends because a victim has not freed its memory yet. */
function* oomEvaluateTask(cpu: Cpu, oc: number, task: number, rules: KillerRules): Steps<boolean> {
  if ((yield* oomUnkillableTask(cpu, task)) || !(yield* inOomDomain(cpu, oc, task, rules))) return false;
  if (load(cpu, oc + OomControl.order) !== ORDER_SYSRQ && (yield* wasKilled(cpu, task, rules))) {
    return !(yield* isGivenUp(cpu, task, rules));
  }
  const points = yield* pointsOf(cpu, oc, task, rules);
  const best = load(cpu, oc + OomControl.chosenPoints);
  if (points === INELIGIBLE || points < best || (points === best && !rules.equalPicksLater)) return false;
  store(cpu, oc + OomControl.chosen, task);
  store(cpu, oc + OomControl.chosenPoints, points);
  return false;
}

/** `oom_task_origin` goes first, whatever it has. */
function* pointsOf(cpu: Cpu, oc: number, task: number, rules: KillerRules): Steps<number> {
  if ((yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomFlagOrigin)) !== 0) return MOST_POINTS;
  return yield* oomBadness(cpu, task, load(cpu, oc + OomControl.totalpages), rules);
}

/** Whether the process is a victim as its kernel knows victims. The caller holds tasklist_lock. */
function* wasKilled(cpu: Cpu, task: number, rules: KillerRules): Steps<boolean> {
  if (rules.victimScan === "oom_mm") return (yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomMm)) !== 0;
  for (let index = 0; index < taskCount(cpu); index++) {
    const thread = taskAt(cpu, index);
    if (!sameThreadGroup(cpu, thread, task)) continue;
    if ((yield* atomicLoad(cpu, thread + Task.tifMemdie)) !== 0) return true;
  }
  return false;
}

/** Whether nothing more is to be expected of the victim, so that the scan passes it over. */
function* isGivenUp(cpu: Cpu, task: number, rules: KillerRules): Steps<boolean> {
  if (rules.victimScan === "memdie") return false;
  if (rules.victimScan === "oom_mm") {
    return yield* mmFlagSet(cpu, yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomMm), MMF_OOM_SKIP);
  }
  const thread = yield* findLockThread(cpu, task);
  if (thread === 0) return false;
  const hidden = yield* mmFlagSet(cpu, load(cpu, thread + Task.mm), MMF_OOM_SKIP);
  yield* taskUnlock(cpu, thread);
  return hidden;
}
