/** How long allocators stalled, in emulated time. */

import type { VariantResult } from "./bench-result.ts";
import { formatCount, formatCounted, formatNs } from "./format.ts";
import { MIN_PERCENTILE_SAMPLES, percentile } from "./stats.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";

interface Stalls {
  readonly name: string;
  readonly kills: number;
  readonly count: number;
  readonly totalUs: number;
  readonly longestUs: number;
  readonly eachUs: readonly number[];
}

const PERCENTILES = [0.5, 0.9, 0.99] as const;

/** The table, or nothing where no allocator ran. Percentiles from MIN_PERCENTILE_SAMPLES stalls on. */
export function renderStalls(variants: readonly VariantResult[], options: TableOptions): string[] {
  const stalls = variants.flatMap((variant) => stallsOf(variant) ?? []);
  const kills = Math.max(0, ...stalls.map((one) => one.kills));
  if (kills === 0) return [];
  const columns = [
    left("walk"),
    right("alloc stalls"),
    right("total"),
    right("mean"),
    ...PERCENTILES.map((p) => right(`p${p * 100}`)),
    right("longest"),
    left(`(${formatCounted(kills, "kill")}, emulated time; pN from ${MIN_PERCENTILE_SAMPLES} stalls on)`),
  ];
  const rows = stalls.map(({ name, count, totalUs, longestUs, eachUs }) => [
    name,
    formatCount(count),
    formatUs(totalUs),
    formatUs(count === 0 ? 0 : totalUs / count),
    ...PERCENTILES.map((p) => percentileUs(eachUs, p)),
    formatUs(longestUs),
    "",
  ]);
  return [renderTable(columns, rows, options)];
}

/** Sums over all allocators and trials of a variant; undefined without an allocator. */
function stallsOf({ name, trials }: VariantResult): Stalls | undefined {
  const samples = trials.flatMap(({ actors }) => actors.flatMap(({ stalls }) => stalls ?? []));
  if (samples.length === 0) return undefined;
  return {
    name,
    kills: trials.length,
    count: samples.reduce((sum, one) => sum + one.count, 0),
    totalUs: samples.reduce((sum, one) => sum + one.totalUs, 0),
    longestUs: Math.max(...samples.map((one) => one.longestUs)),
    eachUs: samples.flatMap((one) => one.eachUs),
  };
}

function percentileUs(values: readonly number[], p: number): string {
  const value = percentile(values, p);
  return value === undefined ? "-" : formatUs(value);
}

function formatUs(us: number): string {
  return formatNs(us * 1000);
}
