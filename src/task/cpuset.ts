/**
 * Memory policies and cpusets of tasks (mm/mempolicy.c: do_set_mempolicy, mpol_dup, mempolicy_in_oom_domain;
 * kernel/cgroup/cpuset.c: cpuset_attach, update_tasks_nodemask, cpuset_mems_allowed_intersects; v6.18).
 *
 * Left out: the hierarchy of cpusets (a group's nodes are what it effectively has), their CPUs, and moving pages to the
 * new nodes (cpuset.memory_migrate).
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, load, store } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import {
  MPOL_BIND,
  MPOL_INTERLEAVE,
  memsAllowed,
  NodePolicy,
  packPolicy,
  policyMode,
  policyNodes,
} from "../mm/mempolicy.ts";
import {
  currentTask,
  sameThreadGroup,
  Task,
  TaskGlobals,
  taskAt,
  taskCount,
  tasklistReadLock,
  tasklistReadUnlock,
} from "./task.ts";

export const Cpuset = struct("cpuset", {
  /** (atomic) Nodes it allows, one bit each; 0 while the slot is unused. */
  mems: 1,
});

/** `set_mempolicy` by the current task: where its memory comes from, from now on. One bit per node. */
export function* setMempolicy(cpu: Cpu, mode: number, nodes: number): Steps<void> {
  yield* atomicStore(cpu, currentTask(cpu) + Task.numa + NodePolicy.policy, packPolicy(mode, nodes));
}

/** A new cpuset that allows these nodes; 0 when the machine has no more. For set-up, while nobody else makes one. */
export function* createCpuset(cpu: Cpu, mems: number): Steps<number> {
  assert(mems !== 0, "createCpuset: no node is allowed");
  const count = load(cpu, cpu.machine + TaskGlobals.cpusetCount);
  for (let i = 0; i < count; i++) {
    const cpuset = load(cpu, cpu.machine + TaskGlobals.cpusets) + i * Cpuset.WORDS;
    if ((yield* atomicLoad(cpu, cpuset + Cpuset.mems)) !== 0) continue;
    yield* atomicStore(cpu, cpuset + Cpuset.mems, mems);
    return cpuset;
  }
  return 0;
}

/** Moves all threads of the task's process to a cpuset, 0 for the root (a write to cgroup.procs). */
export function* attachToCpuset(cpu: Cpu, task: number, cpuset: number): Steps<void> {
  const mems = cpuset === 0 ? 0 : yield* atomicLoad(cpu, cpuset + Cpuset.mems);
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const thread = taskAt(cpu, index);
    if (!sameThreadGroup(cpu, thread, task)) continue;
    yield* atomicStore(cpu, thread + Task.cpuset, cpuset);
    yield* atomicStore(cpu, thread + Task.numa + NodePolicy.memsAllowed, mems);
  }
  yield* tasklistReadUnlock(cpu);
}

/** A write to cpuset.mems: the cpuset, and every task in it, may use these nodes from now on. */
export function* setCpusetMems(cpu: Cpu, cpuset: number, mems: number): Steps<void> {
  assert(mems !== 0, "setCpusetMems: no node is allowed");
  yield* atomicStore(cpu, cpuset + Cpuset.mems, mems);
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    const inside = load(cpu, task + Task.pid) !== 0 && (yield* atomicLoad(cpu, task + Task.cpuset)) === cpuset;
    if (inside) yield* atomicStore(cpu, task + Task.numa + NodePolicy.memsAllowed, mems);
  }
  yield* tasklistReadUnlock(cpu);
}

/** `mpol_dup` and `cpuset_fork`: a new task has its parent's policy and cpuset. Caller holds tasklist_lock for writing. */
export function* inheritNodes(cpu: Cpu, parent: number, task: number): Steps<void> {
  store(cpu, task + Task.cpuset, yield* atomicLoad(cpu, parent + Task.cpuset));
  for (const word of [NodePolicy.policy, NodePolicy.memsAllowed]) {
    store(cpu, task + Task.numa + word, yield* atomicLoad(cpu, parent + Task.numa + word));
  }
}

/** `cpuset_mems_allowed_intersects`; a CPU without a task (0) may use all nodes. */
export function* memsAllowedIntersect(cpu: Cpu, task: number, other: number): Steps<boolean> {
  const mems = yield* memsAllowed(cpu, task === 0 ? 0 : task + Task.numa);
  return (mems & (yield* memsAllowed(cpu, other + Task.numa))) !== 0;
}

/**
 * `mempolicy_in_oom_domain`: whether the task may have memory on these nodes. Only who is bound elsewhere may not; before
 * v5.14 `interleaveBinds`, which was `mempolicy_nodemask_intersects`.
 */
export function* mempolicyInOomDomain(cpu: Cpu, task: number, nodes: number, interleaveBinds: boolean): Steps<boolean> {
  const policy = yield* atomicLoad(cpu, task + Task.numa + NodePolicy.policy);
  const mode = policyMode(policy);
  if (mode !== MPOL_BIND && !(interleaveBinds && mode === MPOL_INTERLEAVE)) return true;
  return (policyNodes(policy) & nodes) !== 0;
}
