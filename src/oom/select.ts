/** Choosing a victim (mm/oom_kill.c: select_bad_process, oom_evaluate_task; v4.9 to v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, store } from "../arena/mem.ts";
import { mmFlagSet } from "../mm/mm.ts";
import { MMF_OOM_SKIP } from "../mm/mm-struct.ts";
import { Signal } from "../task/signal.ts";
import { signalOf, Task, taskAt, taskCount } from "../task/task.ts";
import { INELIGIBLE, oomBadness, oomUnkillableTask } from "./badness.ts";
import type { KillerRules } from "./killer-rules.ts";
import { CHOSEN_ABORT, OomControl, ORDER_SYSRQ } from "./oom-control.ts";

/** Whether the slot holds the first thread of a process: `for_each_process` meets these only. */
export function isProcess(cpu: Cpu, task: number): boolean {
  const pid = load(cpu, task + Task.pid);
  return pid !== 0 && load(cpu, signalOf(cpu, task) + Signal.tgid) === pid;
}

/** `select_bad_process`: sets `chosen` to a task, 0 or CHOSEN_ABORT, and `chosenPoints`. The caller holds oom_lock. */
export function* selectBadProcess(cpu: Cpu, oc: number, rules: KillerRules): Steps<void> {
  store(cpu, oc + OomControl.chosen, 0);
  store(cpu, oc + OomControl.chosenPoints, INELIGIBLE);
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    if (!isProcess(cpu, task) || !(yield* oomEvaluateTask(cpu, oc, task, rules))) continue;
    store(cpu, oc + OomControl.chosen, CHOSEN_ABORT);
    return;
  }
}

/** `oom_evaluate_task`: true when the scan ends because a victim has not freed its memory yet. */
function* oomEvaluateTask(cpu: Cpu, oc: number, task: number, rules: KillerRules): Steps<boolean> {
  if (yield* oomUnkillableTask(cpu, task)) return false;
  const oomMm = yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomMm);
  if (load(cpu, oc + OomControl.order) !== ORDER_SYSRQ && oomMm !== 0) {
    return !(yield* mmFlagSet(cpu, oomMm, MMF_OOM_SKIP));
  }
  const points = yield* oomBadness(cpu, task, load(cpu, oc + OomControl.totalpages), rules);
  const best = load(cpu, oc + OomControl.chosenPoints);
  if (points === INELIGIBLE || points < best || (points === best && !rules.equalPicksLater)) return false;
  store(cpu, oc + OomControl.chosen, task);
  store(cpu, oc + OomControl.chosenPoints, points);
  return false;
}
