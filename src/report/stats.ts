/**
 * Statistics of paired trials: medians, bootstrap interval of the median ratio, Tukey's fences.
 *
 * Own code because no kept-up package covers it: simple-statistics 7.12 has no interval, no p-value for its rank sum
 * and a four-digit normal table; the Mann-Whitney packages on npm stop at the U value. What would be left to take
 * from a library is the interpolated quantile, six lines.
 */

import { assert } from "../base/assert.ts";
import { median } from "../base/median.ts";
import { Random } from "../base/random.ts";
import { mannWhitney } from "./mann-whitney.ts";

/** A percentile of fewer samples rests on one or two of them. */
export const MIN_PERCENTILE_SAMPLES = 100;

/**
 * Below 6 pairs even the whole range of the sample covers the true median with less than 95 %
 * (1 - 2 * 0.5^5 = 93.75 %), so an interval of that name cannot be had.
 */
export const MIN_INTERVAL_PAIRS = 6;

/** With 3 against 3 the smallest possible p-value is 0.1; with 4 against 4 it is 0.029. */
export const MIN_TEST_PAIRS = 4;

const RESAMPLES = 2000;
const TAIL = 0.025;

/** Where a value lies beyond Tukey's fences: 1.5 (mild) or 3 (severe) quartile ranges from the nearer quartile. */
export interface Outlier {
  /** Position in the sample. */
  readonly index: number;
  readonly value: number;
  readonly side: "low" | "high";
  readonly severity: "mild" | "severe";
}

/** Ratio a / b over pairs. Outliers are labelled and kept: they are part of median, interval and p. */
export interface Comparison {
  readonly median: number;
  /** Bootstrap 95 % interval of the median; null with fewer than MIN_INTERVAL_PAIRS. */
  readonly low: number | null;
  readonly high: number | null;
  /** Mann-Whitney, two-sided, of the two samples; null with fewer than MIN_TEST_PAIRS. */
  readonly p: number | null;
  readonly pairs: number;
  readonly outliers: readonly Outlier[];
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** First and third quartile. */
export function quartiles(values: readonly number[]): Interval {
  const ordered = sorted(values);
  return { low: quantileOfSorted(ordered, 0.25), high: quantileOfSorted(ordered, 0.75) };
}

/** `p` in [0, 1]; undefined for fewer than MIN_PERCENTILE_SAMPLES. */
export function percentile(values: readonly number[], p: number): number | undefined {
  assert(p >= 0 && p <= 1, `percentile: ${p} is outside 0..1`);
  return values.length < MIN_PERCENTILE_SAMPLES ? undefined : quantileOfSorted(sorted(values), p);
}

/** Percentile bootstrap (Efron 1979): the middle 95 % of the medians of `resamples` samples drawn with replacement. */
export function bootstrapMedian(values: readonly number[], seed: number, resamples = RESAMPLES): Interval {
  assert(values.length > 0, "bootstrapMedian: the sample is empty");
  const random = new Random(seed);
  const medians = new Float64Array(resamples);
  const drawn = new Float64Array(values.length);
  for (let i = 0; i < resamples; i++) {
    for (let j = 0; j < drawn.length; j++) drawn[j] = values[random.below(values.length)] as number;
    medians[i] = quantileOfSorted(drawn.sort(), 0.5);
  }
  medians.sort();
  return { low: quantileOfSorted(medians, TAIL), high: quantileOfSorted(medians, 1 - TAIL) };
}

/** Values beyond Tukey's fences, in the order of the sample. */
export function outliers(values: readonly number[]): Outlier[] {
  if (values.length === 0) return [];
  const { low, high } = quartiles(values);
  const spread = high - low;
  const found: Outlier[] = [];
  for (const [index, value] of values.entries()) {
    const beyond = Math.max(low - value, value - high);
    if (beyond <= 1.5 * spread) continue;
    found.push({
      index,
      value,
      side: value < low ? "low" : "high",
      severity: beyond > 3 * spread ? "severe" : "mild",
    });
  }
  return found;
}

/** Compares paired samples of positive numbers: `a[i]` and `b[i]` come from the same pair. The seed drives the bootstrap. */
export function compare(a: readonly number[], b: readonly number[], seed: number): Comparison {
  assert(a.length > 0 && a.length === b.length, `compare: ${a.length} against ${b.length} samples`);
  const ratios = a.map((value, i) => value / (b[i] as number));
  assert(
    ratios.every((ratio) => ratio > 0 && Number.isFinite(ratio)),
    "compare: a sample is not a positive number",
  );
  const interval = ratios.length < MIN_INTERVAL_PAIRS ? null : bootstrapMedian(ratios, seed);
  return {
    median: median(ratios),
    low: interval?.low ?? null,
    high: interval?.high ?? null,
    p: ratios.length < MIN_TEST_PAIRS ? null : mannWhitney(a, b),
    pairs: ratios.length,
    outliers: outliers(ratios),
  };
}

/** `compare` of counts, which may be 0: both sides count as at least 1, so that the ratio exists and 0 : 0 is 1. */
export function compareCounts(a: readonly number[], b: readonly number[], seed: number): Comparison {
  const atLeastOne = (count: number): number => Math.max(1, count);
  return compare(a.map(atLeastOne), b.map(atLeastOne), seed);
}

/** Whether the interval contains 1: no difference shown. null without an interval. An A/A control must say true. */
export function containsOne(comparison: Comparison): boolean | null {
  if (comparison.low === null || comparison.high === null) return null;
  return comparison.low <= 1 && 1 <= comparison.high;
}

function sorted(values: readonly number[]): Float64Array {
  assert(values.length > 0, "stats: the sample is empty");
  return Float64Array.from(values).sort();
}

/** Linear interpolation between order statistics (type 7 of Hyndman & Fan 1996, the default of R and NumPy). */
function quantileOfSorted(ordered: Float64Array, p: number): number {
  const at = (ordered.length - 1) * p;
  const below = ordered[Math.floor(at)] as number;
  const above = ordered[Math.ceil(at)] as number;
  return below + (at - Math.floor(at)) * (above - below);
}
