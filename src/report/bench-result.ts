/**
 * What `oomrace bench` found, as data: schema "oomrace.bench/1". schemas/oomrace.bench.1.json says the same to other
 * programs. Times are nanoseconds, rates are per second, pages are 4 KiB.
 */

import type {
  BenchOptions,
  BlockSetup,
  BlockWithoutFigures,
  Cost,
  LayoutSummary,
  LockOperation,
  RawMreleaseRow,
  RawNativeRow,
  RawPressure,
  RawVariant,
  TimerScale,
} from "../run/bench/record.ts";
import type { MachineInfo } from "../run/cpu-info.ts";
import type { CpuTimeSource } from "../run/messages.ts";
import type { StagingSample } from "../run/samples.ts";
import type { Comparison } from "./stats.ts";

export type {
  BenchOptions,
  BlockSetup,
  Cost,
  LayoutSummary,
  LockOperation,
  PressureSetup,
  RawPressure,
  TimerScale,
} from "../run/bench/record.ts";
export type { AloneKill, MreleaseError, MreleasePair, ReapedKill } from "../run/native-mrelease.ts";
export type { ActorSample, LockSample, Role, StagingSample, StallSample, TrialSample } from "../run/samples.ts";

export const BENCH_SCHEMA = "oomrace.bench/1";

/** Names of the two lock classes (`lockClass`) that the report singles out. */
export const PTE_LOCK_NAME = "pte_lock";
export const MMAP_LOCK_NAME = "mmap_lock";

/** Medians over the trials of a variant. Lock figures are sums over victim and reaper unless a side is named. */
export interface VariantSummary {
  readonly phaseNs: number;
  readonly teardownNs: number;
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

export interface VariantResult extends RawVariant {
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

export type BenchBlock =
  | {
      readonly state: "measured";
      readonly setup: BlockSetup;
      readonly layout: LayoutSummary;
      readonly staging: StagingSample;
      readonly peakRssBytes: number;
      readonly pairs: number;
      readonly variants: readonly VariantResult[];
      readonly comparisons: readonly ComparisonResult[];
      readonly notes: readonly string[];
    }
  | BlockWithoutFigures;

export type MeasuredBlock = Extract<BenchBlock, { state: "measured" }>;

/** One size of a sweep. */
export interface GrowthPoint {
  readonly layout: string;
  readonly frames: BlockSetup["frames"];
  readonly pages: number;
  readonly vmas: number;
  /** Boot and build. */
  readonly setupNs: number;
  /** Alone, median. */
  readonly teardownNs: number;
  /** Times what the size before took; null for the first, and where not everything is at least as large. */
  readonly setupTimes: number | null;
  readonly teardownTimes: number | null;
}

export interface NativeRow extends RawNativeRow {
  /** Speed of oomrace / speed of C. */
  readonly ratio: Comparison;
}

export type NativeTwin =
  | { readonly state: "measured"; readonly compiler: string; readonly rows: readonly NativeRow[] }
  | { readonly state: "absent"; readonly reason: string };

/** One layout killed on the kernel below, beside the emulated kill of the same layout. */
export type MreleaseRow =
  | (Extract<RawMreleaseRow, { state: "measured" }> & {
      /** Pairs in which process_mrelease did not reap; the figures are of the others. */
      readonly notReaped: number;
      /** Medians, kill to wait; null where every pair is among notReaped. */
      readonly aloneNs: number | null;
      readonly reapedNs: number | null;
      /** Alone / with process_mrelease. */
      readonly speedup: Comparison | null;
      /** Solo / the order in which this kernel reaps, phase time; null where the bench has no such pair. */
      readonly emulated: EmulatedSpeedup | null;
    })
  | Extract<RawMreleaseRow, { state: "absent" }>;

export interface EmulatedSpeedup {
  readonly order: string;
  readonly speedup: Comparison;
}

export type Mrelease =
  | {
      readonly state: "measured";
      readonly compiler: string;
      /** The kernel's. */
      readonly release: string;
      readonly rows: readonly MreleaseRow[];
    }
  | { readonly state: "absent"; readonly reason: string };

export interface BenchResult {
  readonly schema: typeof BENCH_SCHEMA;
  /** Interrupted, or ended by a hang: what was measured until then. */
  readonly partial: boolean;
  /** The watchdog's report when it ended a hang. */
  readonly hang: string | null;
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
  /** Sizes of the layouts that were measured in several, in the order of the blocks. */
  readonly growth: readonly GrowthPoint[];
  /** The same block with a lock per mm, per PTE table, per PTE. */
  readonly granularity: readonly BenchBlock[];
  /** With allocators stalling on watermarks. */
  readonly allocators: readonly BenchBlock[];
  /** Several processes under memory pressure. */
  readonly pressure: readonly RawPressure[];
  readonly lockOperations: readonly LockOperation[];
  readonly native: NativeTwin;
  readonly mrelease: Mrelease;
  readonly costs: readonly Cost[];
  readonly notes: readonly string[];
}
