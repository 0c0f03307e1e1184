/**
 * The package's main export, for programs that measure or explore by themselves: run a bench, build and render its
 * result; make layouts; step generator programs in an order of one's own choosing.
 *
 * The emulated kernel is `oomrace/kernel`, its locks for your own buffers are `oomrace/sync`.
 */

export { UsageError, Violation } from "./base/errors.ts";
export { UnknownPrimitive } from "./explore/atomics-guard.ts";
export { DEFAULT_MAX_STEPS, Engine, type EngineOptions, type InterleaveOptions, interleave } from "./explore/engine.ts";
export type { Watch } from "./explore/executor.ts";
export {
  type Exploration,
  type ExploredViolation,
  type ExploreOptions,
  Explorer,
  explore,
  Nondeterminism,
} from "./explore/explore.ts";
export { describeOutcome, isInternalFault, isViolation, type Outcome } from "./explore/outcome.ts";
export type { Program } from "./explore/program.ts";
export type { RaceReport, RaceSite } from "./explore/race-report.ts";
export { MAX_CPUS, type Schedule, scheduleOf, timerChoice } from "./explore/schedule.ts";
export type { Scheduler, StepView } from "./explore/scheduler.ts";
export { fixedScheduler } from "./explore/schedulers/fixed.ts";
export { schedulers } from "./explore/schedulers/index.ts";
export { randomScheduler } from "./explore/schedulers/random.ts";
export { type StepTrace, type TracedStep, traceSchedule } from "./explore/step-trace.ts";
export { buildBenchResult } from "./report/bench-build.ts";
export type * from "./report/bench-result.ts";
export { BENCH_SCHEMA } from "./report/bench-result.ts";
export { type RenderOptions, renderBench } from "./report/bench-text.ts";
export { type DiagramOptions, drawMermaid, drawText } from "./report/diagram.ts";
export { type ExplorationTextOptions, renderExploration } from "./report/exploration-text.ts";
export { toJson } from "./report/json.ts";
export { type Comparison, compare, compareCounts, containsOne, type Outlier } from "./report/stats.ts";
export { type BenchRequest, runBench } from "./run/bench/bench.ts";
export type { BenchHooks } from "./run/bench/context.ts";
export type { RawBench } from "./run/bench/record.ts";
export { exploreInParallel, type JobsOptions } from "./run/explore-jobs.ts";
export { packageVersion } from "./run/version.ts";
export {
  checkLayout,
  countLayout,
  type Layout,
  type LayoutCounts,
  type LayoutKind,
  type LayoutRequest,
  type LayoutVma,
  NotAvailable,
} from "./scenario/layout.ts";
export { buildLayout, LAYOUTS } from "./scenario/layouts/index.ts";
export { readOwnSmaps, readProcess, readSmaps } from "./scenario/process.ts";
