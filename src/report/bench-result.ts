/**
 * What `oomrace bench` found, as data: schema "oomrace.bench/1". schemas/oomrace.bench.1.json says the same to other
 * programs. Times are nanoseconds, rates are per second, pages are 4 KiB.
 */

import type { FrameOrder } from "../machine/address-space.ts";
import type { LockGranularity } from "../machine/shape.ts";
import type { MachineInfo } from "../run/cpu-info.ts";
import type { CpuTimeSource } from "../run/messages.ts";
import type { TrialSample } from "../run/samples.ts";
import type { LayoutCounts } from "../scenario/layout.ts";
import type { Comparison } from "./stats.ts";

export type { ActorSample, LockSample, Role, TrialSample } from "../run/samples.ts";

export const BENCH_SCHEMA = "oomrace.bench/1";

/** Names of the two lock classes (`lockClass`) that the report singles out. */
export const PTE_LOCK_NAME = "pte_lock";
export const MMAP_LOCK_NAME = "mmap_lock";

export type ReaperKind = "kthread" | "mrelease" | "none";

/** Medians over the trials of a variant. Lock figures are sums over victim and reaper unless a side is named. */
export interface VariantSummary {
  readonly phaseNs: number;
  readonly pagesPerSecond: number;
  readonly victimWallNs: number;
  readonly reaperWallNs: number | null;
  readonly victimCpuNs: number | null;
  readonly reaperCpuNs: number | null;
  readonly victimPages: number;
  readonly reaperPages: number;
  readonly pteAcquired: number;
  readonly pteContended: number;
  readonly pteWaitNs: number;
  /** Longest wait of all trials. */
  readonly pteMaxNs: number;
  /** Part of the reaper's wall time that it waited for PTE locks, 0..1. */
  readonly reaperWaitShare: number | null;
  readonly mmapContended: number;
  readonly mmapWaitNs: number;
}

export interface VariantResult {
  /** "solo", or the order's name. */
  readonly name: string;
  /** null without a reaper. */
  readonly order: string | null;
  readonly reaper: ReaperKind;
  readonly trials: readonly TrialSample[];
  /** The same variant once more in each pair, for A/A controls; null where it was not measured. */
  readonly again: readonly TrialSample[] | null;
  readonly summary: VariantSummary;
}

export type MetricName = "contended" | "phase" | "work";

/** Ratio a / b of a metric. */
export interface ComparisonResult {
  readonly metric: MetricName;
  /** Names of the variants. */
  readonly a: string;
  readonly b: string;
  readonly ratio: Comparison;
  /** Same metric of one variant against itself; its interval must contain 1. null where it was not measured. */
  readonly control: Comparison | null;
  /** Name of the variant that the control repeated. */
  readonly controlOf: string | null;
}

export interface LayoutSummary extends LayoutCounts {
  readonly name: string;
  readonly idea: string;
  readonly notes: readonly string[];
}

/** What one block was meant to measure. */
export interface BlockSetup {
  readonly layout: string;
  readonly frames: FrameOrder;
  readonly protocol: string;
  readonly lockGranularity: LockGranularity;
  /** Actors that run at the same time. */
  readonly actors: number;
  /** More actors than CPUs: a lock holder then gets preempted. */
  readonly oversubscribed: boolean;
}

export type BenchBlock =
  | {
      readonly state: "measured";
      readonly setup: BlockSetup;
      readonly layout: LayoutSummary;
      readonly pairs: number;
      readonly variants: readonly VariantResult[];
      readonly comparisons: readonly ComparisonResult[];
      readonly notes: readonly string[];
    }
  /** An invariant broke: its figures are not shown. */
  | { readonly state: "broken"; readonly setup: BlockSetup; readonly reason: string }
  | { readonly state: "skipped"; readonly setup: BlockSetup; readonly reason: string };

export type MeasuredBlock = Extract<BenchBlock, { state: "measured" }>;

/** One lock operation without contention, timed with tinybench. */
export interface LockOperation {
  readonly lock: string;
  readonly operation: string;
  /** Median per operation. */
  readonly ns: number;
  /** null with fewer than 100 samples. */
  readonly p99Ns: number | null;
  readonly samples: number;
}

/** oomrace against the same loop in C over the same arena image. */
export interface NativeRow {
  readonly layout: string;
  readonly frames: FrameOrder;
  readonly pages: number;
  readonly oomraceNs: readonly number[];
  readonly nativeNs: readonly number[];
  /** Speed of oomrace / speed of C. */
  readonly ratio: Comparison;
  /** Both ended with the same bytes. */
  readonly identicalArenas: boolean;
}

export type NativeTwin =
  | { readonly state: "measured"; readonly compiler: string; readonly rows: readonly NativeRow[] }
  | { readonly state: "absent"; readonly reason: string };

/** How kernel timers run: real milliseconds of a kernel second. */
export interface TimerScale {
  readonly kernelSecondMs: number;
  /** Unmapping rate of the kernel that the scale rests on. */
  readonly kernelPagesPerSecond: number;
  /** Our solo rate; null when --hz set the scale. */
  readonly soloPagesPerSecond: number | null;
}

/** Something that measuring itself costs, or that a check costs. */
export interface Cost {
  readonly name: string;
  readonly value: number;
  readonly unit: "ns" | "pages/s";
}

export interface BenchOptions {
  readonly protocol: string;
  readonly orders: readonly string[];
  readonly reaper: ReaperKind;
  readonly layouts: readonly string[];
  /** File or process id of --smaps. */
  readonly smaps: string | null;
  readonly pages: number | null;
  readonly vmas: number | null;
  readonly allocators: number;
  readonly lockGranularity: LockGranularity;
  readonly pairs: number;
  readonly hz: number | null;
  readonly quick: boolean;
}

export interface BenchResult {
  readonly schema: typeof BENCH_SCHEMA;
  /** Interrupted: the blocks finished so far. */
  readonly partial: boolean;
  /** Version of oomrace. */
  readonly version: string;
  readonly machine: MachineInfo;
  readonly options: BenchOptions;
  readonly seed: number;
  readonly timers: TimerScale;
  readonly cpuTime: {
    readonly source: CpuTimeSource;
    readonly resolutionNs: number | null;
  };
  readonly blocks: readonly BenchBlock[];
  /** The same block with a lock per mm, per PTE table, per PTE. */
  readonly granularity: readonly BenchBlock[];
  /** With allocators stalling on watermarks. */
  readonly allocators: readonly BenchBlock[];
  readonly lockOperations: readonly LockOperation[];
  readonly native: NativeTwin;
  readonly costs: readonly Cost[];
  readonly notes: readonly string[];
}
