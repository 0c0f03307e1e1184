/** What a bench measured, raw: what `report/` turns into medians, ratios and text. Times are nanoseconds. */

import type { FrameOrder } from "../../machine/address-space.ts";
import type { Reaper } from "../../machine/race.ts";
import type { LockGranularity } from "../../machine/shape.ts";
import type { LayoutCounts } from "../../scenario/layout.ts";
import type { Actors } from "../actors.ts";
import type { MachineInfo } from "../cpu-info.ts";
import type { MreleasePair } from "../native-mrelease.ts";
import type { CpuTimeInfo } from "../parallel.ts";
import type { StagingSample, TrialSample } from "../samples.ts";

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

/** How kernel timers run: real milliseconds of a kernel second. */
export interface TimerScale {
  readonly kernelSecondMs: number;
  /** Unmapping rate of the kernel that the scale rests on. */
  readonly kernelPagesPerSecond: number;
  /** Our solo rate; null when --hz set the scale. */
  readonly soloPagesPerSecond: number | null;
}

/** What measuring itself costs, what a check costs, and what the machine can give. */
export interface Cost {
  readonly name: string;
  readonly value: number;
  readonly unit: "ns" | "pages/s" | "times";
}

export interface BenchOptions extends Actors {
  readonly protocol: string;
  readonly orders: readonly string[];
  readonly layouts: readonly string[];
  /** File or process id of --smaps. */
  readonly smaps: string | null;
  /** One block per number; empty: the layouts' own sizes. */
  readonly pages: readonly number[];
  /** One block per number; empty: the layouts' own. */
  readonly vmas: readonly number[];
  readonly frames: readonly FrameOrder[];
  /** Nothing beside the layouts: no other granularity or allocators, no costs, no locks, no C. */
  readonly layoutsOnly: boolean;
  /** Under pressure: processes that may be killed, and kills of each row. */
  readonly victims: number;
  readonly kills: number;
  /** Nothing but needless kills, of every protocol. */
  readonly needless: boolean;
  readonly pairs: number;
  readonly hz: number | null;
  readonly quick: boolean;
}

/** What was under pressure. */
export interface PressureSetup {
  readonly protocol: string;
  /** The kthread's walk. */
  readonly order: string;
  /** Processes that may be killed, and pages of each. */
  readonly victims: number;
  readonly pages: number;
  /** Emulated microseconds that a killed process waits for I/O before it frees anything. */
  readonly aioUs: number;
  readonly allocators: number;
  readonly seed: number;
  /** Actors that run at the same time. */
  readonly actors: number;
  readonly oversubscribed: boolean;
}

/** Kills by the OOM killer, many of them; or why there are none. */
export type RawPressure =
  | {
      readonly state: "measured";
      readonly setup: PressureSetup;
      readonly rounds: number;
      readonly kills: number;
      /** Of those, how many met an earlier victim that still had pages to reap. */
      readonly needless: number;
      /** Rounds that ended with nobody left to kill. */
      readonly panics: number;
      /** Each stall of an allocation, in emulated microseconds; those of rounds that panicked are lost. */
      readonly stallsUs: readonly number[];
    }
  | { readonly state: "broken"; readonly setup: PressureSetup; readonly reason: string };

/** One variant's trials. */
export interface RawVariant {
  /** "solo", or the order's name. */
  readonly name: string;
  /** null without a reaper. */
  readonly order: string | null;
  readonly reaper: Reaper;
  readonly trials: readonly TrialSample[];
  /** The same variant once more in each pair, for A/A controls; null where it was not measured. */
  readonly again: readonly TrialSample[] | null;
}

/** A block without figures: an invariant broke, or there is no such machine. */
export type BlockWithoutFigures =
  | { readonly state: "broken"; readonly setup: BlockSetup; readonly reason: string }
  | { readonly state: "skipped"; readonly setup: BlockSetup; readonly reason: string };

export type RawBlock =
  | {
      readonly state: "measured";
      readonly setup: BlockSetup;
      readonly layout: LayoutSummary;
      readonly staging: StagingSample;
      /** Most memory that the process has had resident until the block's end. */
      readonly peakRssBytes: number;
      readonly pairs: number;
      readonly variants: readonly RawVariant[];
      readonly notes: readonly string[];
    }
  | BlockWithoutFigures;

/** oomrace against the same loop in C over the same arena image, in pairs. */
export interface RawNativeRow {
  readonly layout: string;
  readonly frames: FrameOrder;
  readonly pages: number;
  readonly oomraceNs: readonly number[];
  readonly nativeNs: readonly number[];
  /** Both ended with the same bytes. */
  readonly identicalArenas: boolean;
}

export type RawNative =
  | { readonly state: "measured"; readonly compiler: string; readonly rows: readonly RawNativeRow[] }
  | { readonly state: "absent"; readonly reason: string };

/** One layout on the kernel below, killed with and without process_mrelease in pairs. */
export type RawMreleaseRow =
  | {
      readonly state: "measured";
      readonly layout: string;
      /** Present pages of the layout, and of the victims: a layout may be too large to be killed whole. */
      readonly pages: number;
      readonly kernelPages: number;
      readonly kernelVmas: number;
      readonly notes: readonly string[];
      readonly pairs: readonly MreleasePair[];
    }
  | { readonly state: "absent"; readonly layout: string; readonly pages: number; readonly reason: string };

export type RawMrelease =
  | {
      readonly state: "measured";
      readonly compiler: string;
      /** The kernel's. */
      readonly release: string;
      readonly rows: readonly RawMreleaseRow[];
    }
  | { readonly state: "absent"; readonly reason: string };

export interface RawBench {
  /** Interrupted, or ended by a hang: what was measured until then. */
  readonly partial: boolean;
  /** The watchdog's report when it ended a hang. */
  readonly hang: string | null;
  readonly version: string;
  readonly machine: MachineInfo;
  readonly options: BenchOptions;
  readonly seed: number;
  readonly timers: TimerScale;
  readonly cpuTime: CpuTimeInfo;
  readonly blocks: readonly RawBlock[];
  /** The same block with a lock per mm, per PTE table, per PTE. */
  readonly granularity: readonly RawBlock[];
  /** With allocators stalling on watermarks. */
  readonly allocators: readonly RawBlock[];
  /** Several processes under memory pressure. */
  readonly pressure: readonly RawPressure[];
  readonly lockOperations: readonly LockOperation[];
  readonly native: RawNative;
  readonly mrelease: RawMrelease;
  readonly costs: readonly Cost[];
  readonly notes: readonly string[];
}
