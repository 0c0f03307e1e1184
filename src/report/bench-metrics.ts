/** From raw trials to medians and ratios. */

import { assert } from "../base/assert.ts";
import { median } from "../base/median.ts";
import {
  type ActorSample,
  type ComparisonResult,
  type LockSample,
  type MetricName,
  MMAP_LOCK_NAME,
  PTE_LOCK_NAME,
  type Role,
  type TrialSample,
  type VariantResult,
  type VariantSummary,
} from "./bench-result.ts";
import { type Comparison, compare, compareCounts } from "./stats.ts";

export interface Metric {
  readonly label: string;
  /** Counts may be 0 and compare as at least 1. */
  readonly kind: "time" | "count";
  /** null where the system cannot say. */
  of(trial: TrialSample): number | null;
}

export const METRICS: Readonly<Record<MetricName, Metric>> = {
  contended: {
    label: "contended PTE locks",
    kind: "count",
    of: (trial) => lockSum(trial, PTE_LOCK_NAME, "contended"),
  },
  phase: { label: "time", kind: "time", of: (trial) => trial.phaseNs },
  work: { label: "CPU less spinning", kind: "time", of: workNs },
};

/** Sum of a lock figure over victim and reaper. */
export function lockSum(
  trial: TrialSample,
  lockClass: string,
  field: Exclude<keyof LockSample, "class" | "type">,
): number {
  let sum = 0;
  for (const actor of racers(trial)) {
    for (const lock of actor.locks) if (lock.class === lockClass) sum += lock[field];
  }
  return sum;
}

/** CPU time of victim and reaper without what they spun; parked time costs no CPU. null where CPU time is unknown. */
function workNs(trial: TrialSample): number | null {
  let work = 0;
  for (const actor of racers(trial)) {
    if (actor.cpuNs === null) return null;
    work += actor.cpuNs - actor.locks.reduce((sum, lock) => sum + lock.spinNs, 0);
  }
  return work > 0 ? work : null;
}

export function summarise(trials: readonly TrialSample[]): VariantSummary {
  assert(trials.length > 0, "summarise: no trial");
  const middle = (of: (trial: TrialSample) => number): number => median(trials.map(of));
  const side = (role: Role, of: (actors: readonly ActorSample[]) => number | null): number | null =>
    medianOrNull(trials.map((trial) => sideValue(trial, role, of)));
  return {
    phaseNs: middle((trial) => trial.phaseNs),
    teardownNs: middle((trial) => trial.teardownNs),
    pagesPerSecond: middle((trial) => (trial.pages * 1e9) / trial.phaseNs),
    victimWallNs: side("victim", longest) ?? 0,
    reaperWallNs: side("reaper", longest),
    victimCpuNs: side("victim", cpuOf),
    reaperCpuNs: side("reaper", cpuOf),
    victimPages: side("victim", pagesOf) ?? 0,
    reaperPages: side("reaper", pagesOf) ?? 0,
    pteAcquired: middle((trial) => lockSum(trial, PTE_LOCK_NAME, "acquired")),
    pteContended: middle((trial) => lockSum(trial, PTE_LOCK_NAME, "contended")),
    pteWaitNs: middle((trial) => lockSum(trial, PTE_LOCK_NAME, "waitNs")),
    pteMaxNs: Math.max(...trials.map(pteMaxNs)),
    reaperWaitShare: side("reaper", pteWaitShare),
    mmapContended: middle((trial) => lockSum(trial, MMAP_LOCK_NAME, "contended")),
    mmapWaitNs: middle((trial) => lockSum(trial, MMAP_LOCK_NAME, "waitNs")),
  };
}

/**
 * Ratio of a metric between two variants measured in pairs; the control is `repeated` against itself. undefined where
 * the metric is not available in every trial.
 */
export function compareVariants(
  metric: MetricName,
  a: VariantResult,
  b: VariantResult,
  repeated: VariantResult | undefined,
  seed: number,
): ComparisonResult | undefined {
  const ratio = ratioOf(metric, a.trials, b.trials, seed);
  if (ratio === undefined) return undefined;
  const control = repeated?.again ? ratioOf(metric, repeated.trials, repeated.again, seed) : undefined;
  const controlOf = control === undefined ? null : (repeated?.name ?? null);
  return { metric, a: a.name, b: b.name, ratio, control: control ?? null, controlOf };
}

/**
 * What a block compares: the first order against each other one in contended locks, time and work, and solo against
 * each order in time. The control is a variant of the comparison that was measured again, else any that was.
 */
export function blockComparisons(variants: readonly VariantResult[], seed: number): ComparisonResult[] {
  const solo = variants.find((variant) => variant.order === null);
  const [first, ...others] = variants.filter((variant) => variant.order !== null);
  if (first === undefined) return [];
  const wanted: [MetricName, VariantResult, VariantResult][] = [];
  for (const other of others) {
    for (const metric of ["contended", "phase", "work"] as const) wanted.push([metric, first, other]);
  }
  if (solo !== undefined) for (const order of [first, ...others]) wanted.push(["phase", solo, order]);
  return wanted.flatMap(([metric, a, b]) => {
    const repeated = [a, b, ...variants].find((variant) => variant.again !== null);
    return compareVariants(metric, a, b, repeated, seed) ?? [];
  });
}

/** Sums of each lock class over all trials and both sides, as `perf lock contention` sums over a run. */
export function lockTotals(trials: readonly Pick<TrialSample, "actors">[]): LockSample[] {
  const totals = new Map<string, LockSample>();
  for (const lock of trials.flatMap((trial) => trial.actors).flatMap((actor) => actor.locks)) {
    const before = totals.get(lock.class);
    totals.set(lock.class, before === undefined ? lock : addLocks(before, lock));
  }
  return [...totals.values()];
}

function addLocks(a: LockSample, b: LockSample): LockSample {
  return {
    class: a.class,
    type: a.type,
    acquired: a.acquired + b.acquired,
    contended: a.contended + b.contended,
    waitNs: a.waitNs + b.waitNs,
    spinNs: a.spinNs + b.spinNs,
    maxNs: Math.max(a.maxNs, b.maxNs),
    parked: a.parked + b.parked,
    tryFailed: a.tryFailed + b.tryFailed,
  };
}

/** Victim and reaper: allocators are not part of the race's figures. */
function racers(trial: TrialSample): ActorSample[] {
  return trial.actors.filter((actor) => actor.role !== "allocator");
}

/** A figure of one side, which may be several CPUs; null where nobody plays that role. */
function sideValue(
  trial: TrialSample,
  role: Role,
  of: (actors: readonly ActorSample[]) => number | null,
): number | null {
  const actors = trial.actors.filter((one) => one.role === role);
  return actors.length === 0 ? null : of(actors);
}

function longest(actors: readonly ActorSample[]): number {
  return Math.max(...actors.map(({ wallNs }) => wallNs));
}

function pagesOf(actors: readonly ActorSample[]): number {
  return actors.reduce((sum, { pages }) => sum + pages, 0);
}

function cpuOf(actors: readonly ActorSample[]): number | null {
  return actors.reduce<number | null>((sum, { cpuNs }) => (sum === null || cpuNs === null ? null : sum + cpuNs), 0);
}

function pteLocks(actor: ActorSample): LockSample[] {
  return actor.locks.filter((lock) => lock.class === PTE_LOCK_NAME);
}

function pteMaxNs(trial: TrialSample): number {
  return Math.max(
    0,
    ...racers(trial)
      .flatMap(pteLocks)
      .map((lock) => lock.maxNs),
  );
}

/** Of several CPUs, the mean of their shares weighted by their time. */
function pteWaitShare(actors: readonly ActorSample[]): number {
  const waited = actors.flatMap(pteLocks).reduce((sum, lock) => sum + lock.waitNs, 0);
  const wall = actors.reduce((sum, { wallNs }) => sum + wallNs, 0);
  return wall === 0 ? 0 : waited / wall;
}

function medianOrNull(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : median(known);
}

function ratioOf(
  metric: MetricName,
  a: readonly TrialSample[],
  b: readonly TrialSample[],
  seed: number,
): Comparison | undefined {
  const { of, kind } = METRICS[metric];
  const pairs = Math.min(a.length, b.length);
  const left = a.slice(0, pairs).map(of);
  const right = b.slice(0, pairs).map(of);
  if (pairs === 0 || !allKnown(left) || !allKnown(right)) return undefined;
  return kind === "count" ? compareCounts(left, right, seed) : compare(left, right, seed);
}

function allKnown(values: (number | null)[]): values is number[] {
  return values.every((value) => value !== null);
}
