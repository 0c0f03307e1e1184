/** The child that died for its parent (mm/oom_kill.c: oom_kill_process, until v5.0; bbbe48029720 ended it). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load } from "../arena/mem.ts";
import { signalOf, Task, taskAt, taskCount, tasklistReadLock, tasklistReadUnlock } from "../task/task.ts";
import { getTaskStruct, putTaskStruct } from "../task/tasklist.ts";
import { oomBadness } from "./badness.ts";
import { inOomDomain } from "./domain.ts";
import type { KillerRules } from "./killer-rules.ts";
import { OomControl } from "./oom-control.ts";
import { isProcess } from "./select.ts";

/**
 * Whom to kill in place of the chosen `parent`: the child of one of its threads that has an mm of its own and the most
 * points, or else the parent itself. The caller's reference goes from `parent` to what is returned.
 */
export function* sacrificeChild(cpu: Cpu, oc: number, parent: number, rules: KillerRules): Steps<number> {
  const mm = yield* atomicLoad(cpu, parent + Task.mm);
  let victim = parent;
  let most = 0;
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const child = taskAt(cpu, index);
    if (!isChild(cpu, child, parent) || (yield* atomicLoad(cpu, child + Task.mm)) === mm) continue;
    if (!(yield* inOomDomain(cpu, oc, child, rules))) continue;
    const points = yield* oomBadness(cpu, child, load(cpu, oc + OomControl.totalpages), rules);
    if (points <= most) continue;
    most = points;
    victim = child;
  }
  if (victim !== parent) yield* getTaskStruct(cpu, victim);
  yield* tasklistReadUnlock(cpu);
  if (victim !== parent) yield* putTaskStruct(cpu, parent);
  return victim;
}

function isChild(cpu: Cpu, task: number, parent: number): boolean {
  if (!isProcess(cpu, task)) return false;
  const realParent = load(cpu, task + Task.realParent);
  return realParent !== 0 && signalOf(cpu, realParent) === signalOf(cpu, parent);
}
