/**
 * What a shortage of memory is limited to, and who is of that domain (mm/oom_kill.c: constrained_alloc,
 * oom_cpuset_eligible, has_intersects_mems_allowed, mem_cgroup_scan_tasks; v4.6 to v6.18).
 *
 * `__GFP_THISNODE` is left out. Nodes count with the pages that are there; before v5.9 the kernel counted holes, too.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { memcgGetMax, memcgIsDescendant } from "../mm/memcg.ts";
import { ALL_NODES, currentMemsAllowed, isNuma, memoryNodes } from "../mm/mempolicy.ts";
import { PageGlobals } from "../mm/page.ts";
import { Zone } from "../mm/zone.ts";
import { mempolicyInOomDomain, memsAllowedIntersect } from "../task/cpuset.ts";
import { Signal } from "../task/signal.ts";
import {
  currentTask,
  sameThreadGroup,
  signalOf,
  taskAt,
  taskCount,
  tasklistReadLock,
  tasklistReadUnlock,
  tskIsOomVictim,
} from "../task/task.ts";
import { CONSTRAINT_CPUSET, CONSTRAINT_MEMCG, CONSTRAINT_MEMORY_POLICY, CONSTRAINT_NONE } from "./constraint.ts";
import type { KillerRules } from "./killer-rules.ts";
import { OomControl } from "./oom-control.ts";

/** Pages of these nodes, and of all swap. */
export function pagesOfNodes(cpu: Cpu, nodes: number): number {
  const zones = load(cpu, cpu.machine + PageGlobals.zonesBase);
  const count = load(cpu, cpu.machine + PageGlobals.zoneCount);
  let pages = load(cpu, cpu.machine + PageGlobals.swapSlots);
  for (let i = 0; i < count; i++) {
    const zone = zones + i * Zone.WORDS;
    if (((nodes >>> load(cpu, zone + Zone.node)) & 1) !== 0) pages += load(cpu, zone + Zone.managedPages);
  }
  return pages;
}

/**
 * `constrained_alloc`: sets `constraint` and `totalpages` of the control, and takes a nodemask away that is no
 * constraint.
 */
export function* constrainedAlloc(cpu: Cpu, oc: number): Steps<void> {
  const memcg = load(cpu, oc + OomControl.memcg);
  if (memcg !== 0) setConstraint(cpu, oc, CONSTRAINT_MEMCG, Math.max(1, memcgGetMax(cpu, memcg)));
  else yield* constrainedByNodes(cpu, oc);
  if (load(cpu, oc + OomControl.constraint) !== CONSTRAINT_MEMORY_POLICY) store(cpu, oc + OomControl.nodemask, 0);
}

function* constrainedByNodes(cpu: Cpu, oc: number): Steps<void> {
  setConstraint(cpu, oc, CONSTRAINT_NONE, pagesOfNodes(cpu, ALL_NODES));
  if (load(cpu, oc + OomControl.zonelist) === 0 || !isNuma(cpu)) return;
  const nodemask = load(cpu, oc + OomControl.nodemask);
  if (nodemask !== 0 && (memoryNodes(cpu) & ~nodemask) !== 0) {
    setConstraint(cpu, oc, CONSTRAINT_MEMORY_POLICY, pagesOfNodes(cpu, nodemask));
    return;
  }
  const mems = yield* currentMemsAllowed(cpu);
  // A victim may allocate anywhere.
  const limited = (memoryNodes(cpu) & ~mems) !== 0 && !(yield* tskIsOomVictim(cpu, currentTask(cpu)));
  if (limited) setConstraint(cpu, oc, CONSTRAINT_CPUSET, pagesOfNodes(cpu, mems));
}

function setConstraint(cpu: Cpu, oc: number, constraint: number, totalpages: number): void {
  store(cpu, oc + OomControl.constraint, constraint);
  store(cpu, oc + OomControl.totalpages, totalpages);
}

/** Whether killing the process could help: it is in the memory group that is short, or may have memory on its nodes. */
export function* inOomDomain(cpu: Cpu, oc: number, task: number, rules: KillerRules): Steps<boolean> {
  const memcg = load(cpu, oc + OomControl.memcg);
  if (memcg !== 0) {
    if (!memcgIsDescendant(cpu, load(cpu, signalOf(cpu, task) + Signal.memcg), memcg)) return false;
    if (!rules.memcgAsksCpusets) return true;
  }
  return yield* oomCpusetEligible(cpu, oc, task, rules);
}

/**
 * `oom_cpuset_eligible`, up to v5.2 `has_intersects_mems_allowed`: whether one of the process's threads may use a node of
 * the policy's mask or, without a mask, one that the caller's cpuset has, too.
 */
export function* oomCpusetEligible(cpu: Cpu, oc: number, task: number, rules: KillerRules): Steps<boolean> {
  if (!isNuma(cpu)) return true;
  const mask = load(cpu, oc + OomControl.nodemask);
  let eligible = false;
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu) && !eligible; index++) {
    const thread = taskAt(cpu, index);
    if (!sameThreadGroup(cpu, thread, task)) continue;
    eligible =
      mask !== 0
        ? yield* mempolicyInOomDomain(cpu, thread, mask, rules.interleaveBinds)
        : yield* memsAllowedIntersect(cpu, currentTask(cpu), thread);
  }
  yield* tasklistReadUnlock(cpu);
  return eligible;
}
