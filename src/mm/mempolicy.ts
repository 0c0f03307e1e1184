/**
 * Which nodes the current task's memory may come from (mm/mempolicy.c: policy_nodemask, alloc_pages_mpol;
 * kernel/cgroup/cpuset.c: cpuset_node_allowed; v6.18).
 *
 * Left out: policies of single VMAs, MPOL_PREFERRED_MANY, weights, and distances between nodes.
 *
 * Thread safety: `policy` is written by its task alone, `memsAllowed` by whoever changes the cpuset; both may be read by
 * anybody. `ilPrev` is the task's own.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, store } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { highestBit } from "../base/bits.ts";
import { PageGlobals } from "./page.ts";
import { CpuPcp, cpuPcp } from "./pcp.ts";

/** Modes, with the kernel's numbers. */
export const MPOL_DEFAULT = 0;
export const MPOL_PREFERRED = 1;
export const MPOL_BIND = 2;
export const MPOL_INTERLEAVE = 3;

/** One bit per node; all of them. */
export const ALL_NODES = -1;

/** Most nodes: their numbers are below it, so that a mask and a mode fit one word. */
export const MAX_NUMNODES = 8;
const MODE_BITS = 8;

/** A task's policy, and what its cpuset allows. All zeros: whatever there is, its CPU's node first. */
export const NodePolicy = struct("nodePolicy", {
  /** (atomic) `packPolicy` of mode and nodes. */
  policy: 1,
  /** (atomic) `mems_allowed`, one bit per node; 0 for all. */
  memsAllowed: 1,
  /** Node that MPOL_INTERLEAVE took last. */
  ilPrev: 1,
});

/** The word for a mode and its nodes, one bit each. */
export function packPolicy(mode: number, nodes: number): number {
  return mode | (nodes << MODE_BITS);
}

export function policyMode(policy: number): number {
  return policy & ((1 << MODE_BITS) - 1);
}

export function policyNodes(policy: number): number {
  return policy >>> MODE_BITS;
}

/** `node_states[N_MEMORY]`: the nodes that have memory, one bit each. */
export function memoryNodes(cpu: Cpu): number {
  return cpu.words[cpu.machine + PageGlobals.nodes] as number;
}

/** Whether there is anything to choose: on a machine of one node no policy means anything. */
export function isNuma(cpu: Cpu): boolean {
  const nodes = memoryNodes(cpu);
  return (nodes & (nodes - 1)) !== 0;
}

/** `NodePolicy` of the task that runs here; 0 for none. */
function currentPolicy(cpu: Cpu): number {
  return load(cpu, cpuPcp(cpu) + CpuPcp.policy);
}

/** Whether a policy or a cpuset says which nodes the current task's memory comes from. */
export function* currentHasPolicy(cpu: Cpu): Steps<boolean> {
  const at = currentPolicy(cpu);
  if (at === 0) return false;
  const policy = yield* atomicLoad(cpu, at + NodePolicy.policy);
  return policy !== MPOL_DEFAULT || (yield* atomicLoad(cpu, at + NodePolicy.memsAllowed)) !== 0;
}

/** `mems_allowed` of a `NodePolicy`, 0 for no task's: ALL_NODES where no cpuset says anything. */
export function* memsAllowed(cpu: Cpu, policy: number): Steps<number> {
  const mems = policy === 0 ? 0 : yield* atomicLoad(cpu, policy + NodePolicy.memsAllowed);
  return mems === 0 ? ALL_NODES : mems;
}

/** `cpuset_current_mems_allowed` */
export function* currentMemsAllowed(cpu: Cpu): Steps<number> {
  return yield* memsAllowed(cpu, currentPolicy(cpu));
}

/** `policy_nodemask`: the nodes that the current task is bound to, of which its cpuset allows one at least; 0 for no mask. */
export function* policyNodemask(cpu: Cpu): Steps<number> {
  const at = currentPolicy(cpu);
  if (at === 0) return 0;
  const policy = yield* atomicLoad(cpu, at + NodePolicy.policy);
  if (policyMode(policy) !== MPOL_BIND) return 0;
  return (policyNodes(policy) & (yield* memsAllowed(cpu, at))) === 0 ? 0 : policyNodes(policy);
}

/** Nodes that an allocation may take from: the policy's, as far as the cpuset allows them. */
export function* allowedNodes(cpu: Cpu): Steps<number> {
  const mask = yield* policyNodemask(cpu);
  return (mask === 0 ? ALL_NODES : mask) & (yield* currentMemsAllowed(cpu));
}

/** Node that an allocation looks at first: the preferred one, the next in turn, or that of this CPU. */
export function* preferredNode(cpu: Cpu): Steps<number> {
  const here = load(cpu, cpuPcp(cpu) + CpuPcp.node);
  const at = currentPolicy(cpu);
  if (at === 0) return here;
  const policy = yield* atomicLoad(cpu, at + NodePolicy.policy);
  const nodes = policyNodes(policy);
  if (nodes === 0) return here;
  if (policyMode(policy) === MPOL_PREFERRED) return lowestNode(nodes);
  if (policyMode(policy) !== MPOL_INTERLEAVE) return here;
  const above = nodes & (ALL_NODES << (load(cpu, at + NodePolicy.ilPrev) + 1));
  const next = lowestNode(above === 0 ? nodes : above);
  store(cpu, at + NodePolicy.ilPrev, next);
  return next;
}

function lowestNode(nodes: number): number {
  return highestBit(nodes & -nodes);
}
