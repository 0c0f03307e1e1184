/** What a crowd is made of, as plain data, and the machine that it needs. */

import { countKinds, countPresent, countTables, type FrameOrder, type Mapping } from "./address-space.ts";
import type { LockGranularity, MachineShape } from "./shape.ts";

export const VISITORS = ["crowdReader", "crowdKthread"] as const;
export type Visitor = (typeof VISITORS)[number];

export interface CrowdVictim {
  /** Apart by two pages or more; one of them anonymous memory that is neither hugetlb nor a device. */
  readonly mappings: readonly Mapping[];
  /** Threads beside the first. */
  readonly threads: number;
  /** Other processes in the same address space (CLONE_VM). */
  readonly sharers: number;
  readonly visitors: readonly Visitor[];
  /** Whether it was forked by the bystander, with whom it then shares that one's private pages. */
  readonly forked: boolean;
  /** Accesses of each thread. */
  readonly accesses: number;
  /** Its last thread crashes and dumps core for so long, in emulated microseconds; 0: none does. */
  readonly dumpUs: number;
  /** How long asynchronous I/O keeps its exit, in emulated microseconds; 0 for none. */
  readonly aioUs: number;
  readonly oomScoreAdj: number;
}

export interface CrowdBystander {
  /** Private pages. */
  readonly pages: number;
  /** Whether it maps the first file of a victim, too. */
  readonly sharesFile: boolean;
  readonly accesses: number;
  readonly children: number;
  readonly childAccesses: number;
}

export interface CrowdSetup {
  readonly protocol: string;
  /** Of the reaper. */
  readonly order: string;
  readonly frames: FrameOrder;
  readonly seed: number;
  readonly victims: readonly CrowdVictim[];
  readonly bystander: CrowdBystander;
  /** Processes, less worth a kill than victims, that no CPU runs: what they have only a reaper can give back. */
  readonly stuck: number;
  /** Pages that each allocator wants; at least one. */
  readonly allocators: readonly number[];
  /** Calls of process_mrelease that somebody makes, one victim after the other; 0: nobody does. */
  readonly mreleaseCalls: number;
}

/** What a crowd leaves open of its machine. */
export interface CrowdMachine {
  readonly lockGranularity: LockGranularity;
  readonly levels: 4 | 5;
}

/** CPUs for a victim's threads, sharers and visitors. */
function cpusOf({ threads, sharers, visitors }: CrowdVictim): number {
  return 1 + threads + sharers + visitors.length;
}

/** Each allocator, the reaper, the bystander and its children's, the mrelease caller; and the victims' people. */
export function crowdCpus({ victims, allocators, mreleaseCalls }: CrowdSetup): number {
  const common = allocators.length + 3 + (mreleaseCalls > 0 ? 1 : 0);
  return victims.reduce((sum, victim) => sum + cpusOf(victim), common);
}

/** Pages of a process that no CPU runs. */
export const STUCK_PAGES = 40;

/** Room beside what is mapped at the start: it is taken away before the start, down to the watermarks. */
const SPARE_FRAMES = 2048;
/** Watermarks that bite, and yet per-CPU lists so short that not all of a small victim ends on them. */
const MIN_FREE_PAGES = 16;
/** Page tables, and VMAs, that a process may need beyond its first ones. */
const MORE_TABLES = 24;
const MORE_VMAS = 96;

/** The machine for a crowd. Its OOM killer comes to life when the crowd is staged. */
export function crowdShape(setup: CrowdSetup, { lockGranularity, levels }: CrowdMachine): MachineShape {
  const mappings = setup.victims.map((victim) => victim.mappings);
  const total = (of: (one: readonly Mapping[]) => number): number => mappings.reduce((sum, one) => sum + of(one), 0);
  const cpus = crowdCpus(setup);
  // Victims, the bystander, one child of it at a time.
  const processes = mappings.length + setup.stuck + 2;
  const tables = total((one) => countTables(one, levels)) + processes * MORE_TABLES;
  return {
    cpus,
    frames: 1 + total(countPresent) + setup.bystander.pages + setup.stuck * STUCK_PAGES + tables + SPARE_FRAMES,
    swapSlots: total((one) => countKinds(one).swapSlots ?? 0),
    files: total((one) => countKinds(one).files ?? 0),
    filePages: total((one) => countKinds(one).filePages ?? 0),
    tables,
    vmas: total((one) => one.length) + processes * MORE_VMAS,
    mms: processes,
    tasks: cpus + setup.stuck + 2,
    protocol: setup.protocol,
    lockGranularity,
    levels,
    reschedEvery: 0,
    minFreePages: MIN_FREE_PAGES,
    traceEvents: 0,
    lockOrder: true,
  };
}
