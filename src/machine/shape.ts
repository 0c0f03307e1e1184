/** How large a machine is and how it behaves: plain data, so that it crosses threads and prints. */

import { UsageError } from "../base/errors.ts";
import { GRANULARITY_MM, GRANULARITY_PTE, GRANULARITY_TABLE } from "../mm/globals.ts";
import { MAX_NUMNODES } from "../mm/mempolicy.ts";
import type { ZoneShape } from "../mm/page-init.ts";
import { MAX_NR_ZONES } from "../mm/zone.ts";
import { MAX_CPUS } from "../task/task.ts";

export const LOCK_GRANULARITIES = ["mm", "table", "pte"] as const;
export type LockGranularity = (typeof LOCK_GRANULARITIES)[number];

export interface MachineShape {
  readonly cpus: number;
  /** Page frames of the machine, the reserved first one included; at most 2^29 - 1. */
  readonly frames: number;
  /**
   * Zones of page frames, by ascending frame, those of one node next to each other; by default one zone of node 0, of all
   * frames but the reserved first. At most 4 zones, of nodes 0 to 7.
   */
  readonly zones?: readonly ZoneShape[];
  /** Node of each CPU; default 0 for all. */
  readonly cpuNodes?: readonly number[];
  /** Most cpusets and memory groups besides the roots; default 0. */
  readonly cpusets?: number;
  readonly memcgs?: number;
  /** Swap slots; default 0. With the frames at most 2^29 - 1. */
  readonly swapSlots?: number;
  /** Most files and shared memory objects there may be, and pages of them all together; default 0. */
  readonly files?: number;
  readonly filePages?: number;
  /** Most objects of each kind that may exist at once. */
  readonly tables: number;
  readonly vmas: number;
  readonly mms: number;
  readonly tasks: number;
  /** Name of the teardown protocol: decides how VMAs are reached and how mmap_lock behaves. */
  readonly protocol: string;
  readonly lockGranularity: LockGranularity;
  /** Page-table levels, 4 or 5. */
  readonly levels: 4 | 5;
  /** PTEs that a zap looks at between two reschedules; 0 for never. */
  readonly reschedEvery: number;
  /** Watermark min in pages; undefined: the kernel's formula. */
  readonly minFreePages?: number;
  /** vm.overcommit_memory; default 1, as machines are cut to what their processes have, not to what they were promised. */
  readonly overcommitMemory?: 0 | 1 | 2;
  /** Whether allocations that meet exhausted memory call the OOM killer; by default they fail instead. */
  readonly oomKiller?: boolean;
  /** Whether the OOM killer finds the reaper's kthread and hands victims to it; default true. */
  readonly oomReaper?: boolean;
  /** vm.panic_on_oom; default 0. */
  readonly panicOnOom?: 0 | 1 | 2;
  /** vm.oom_kill_allocating_task; default false. */
  readonly oomKillAllocatingTask?: boolean;
  /** Whether there is a lock for the explorer's lock cases; default false. */
  readonly lockLab?: boolean;
  /** Events that each CPU's trace ring holds; 0 switches tracing off. */
  readonly traceEvents: number;
  /** Whether the lock-order checker watches (CHECKED builds only). */
  readonly lockOrder: boolean;
}

/** HZ = 250 and the kernel's 3.1 million unmapped pages a second: entries a zap gets through in one tick. */
export const RESCHED_EVERY = 12_400;

/** A small machine: four CPUs, a few hundred frames. Override what matters. */
export const TOY_SHAPE: MachineShape = {
  cpus: 2,
  frames: 257,
  tables: 24,
  vmas: 16,
  mms: 2,
  tasks: 4,
  protocol: "v6.1",
  lockGranularity: "table",
  levels: 4,
  reschedEvery: 0,
  minFreePages: 0,
  traceEvents: 0,
  lockOrder: true,
};

/** The arena's number for a granularity name. */
export function granularityNumber(name: LockGranularity): number {
  return name === "mm" ? GRANULARITY_MM : name === "table" ? GRANULARITY_TABLE : GRANULARITY_PTE;
}

/** Throws UsageError when no machine of this shape can be. */
export function checkShape(shape: MachineShape): void {
  const bad = (what: string): never => {
    throw new UsageError(`machine: ${what}`);
  };
  if (!(shape.cpus >= 1 && shape.cpus <= MAX_CPUS)) bad(`${shape.cpus} CPUs, expected 1 to ${MAX_CPUS}`);
  if (!(shape.frames >= 2 && shape.frames < 2 ** 29)) bad(`${shape.frames} page frames, expected 2 to 2^29 - 1`);
  checkNodes(shape, bad);
}

function checkNodes({ cpus, frames, zones, cpuNodes }: MachineShape, bad: (what: string) => never): void {
  const isNode = (node: number): boolean => Number.isInteger(node) && node >= 0 && node < MAX_NUMNODES;
  if (zones && !(zones.length >= 1 && zones.length <= MAX_NR_ZONES)) {
    bad(`${zones.length} zones, expected 1 to ${MAX_NR_ZONES}`);
  }
  let free = 1;
  for (const { node, start, end } of zones ?? []) {
    if (!isNode(node)) bad(`zone of node ${node}, expected 0 to ${MAX_NUMNODES - 1}`);
    if (!(start >= free && start < end && end <= frames)) {
      bad(`zone of frames ${start} to ${end}, expected some between ${free} and ${frames}`);
    }
    free = end;
  }
  if (cpuNodes && cpuNodes.length !== cpus) bad(`nodes of ${cpuNodes.length} CPUs, expected ${cpus}`);
  for (const node of cpuNodes ?? []) if (!isNode(node)) bad(`CPU on node ${node}, expected 0 to ${MAX_NUMNODES - 1}`);
}
