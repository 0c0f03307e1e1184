/** Ratios with their intervals, and the A/A control next to each. */

import { METRICS } from "./bench-metrics.ts";
import type { ComparisonResult } from "./bench-result.ts";
import { formatCounted, formatP, formatRatio } from "./format.ts";
import { type Comparison, containsOne, MIN_INTERVAL_PAIRS } from "./stats.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";

/** p is Mann-Whitney's, two-sided. All comparisons are of one block, so of equally many pairs. */
export function renderComparisons(comparisons: readonly ComparisonResult[], options: TableOptions = {}): string {
  const pairs = Math.max(0, ...comparisons.map(({ ratio }) => ratio.pairs));
  const repeated = new Set(comparisons.flatMap(({ controlOf }) => controlOf ?? []));
  const columns = [
    left(`ratio over ${formatCounted(pairs, "pair")}`),
    right("median"),
    right("95 % interval"),
    right("p"),
    right("outliers"),
    left(`A/A control${repeated.size === 0 ? "" : ` (${[...repeated].join(", ")})`}`),
  ];
  const rows = comparisons.map(({ metric, a, b, ratio, control }) => [
    `${a} / ${b}, ${METRICS[metric].label}`,
    formatRatio(ratio.median),
    formatInterval(ratio),
    ratio.p === null ? "-" : formatP(ratio.p),
    String(ratio.outliers.length),
    formatControl(control),
  ]);
  return renderTable(columns, rows, options);
}

/** "[1.801, 1.940]", or why there is none. */
export function formatInterval({ low, high }: Comparison): string {
  if (low === null || high === null) return `needs ${MIN_INTERVAL_PAIRS} pairs`;
  return `[${formatRatio(low)}, ${formatRatio(high)}]`;
}

/** The same variant against itself: its interval must contain 1. */
export function formatControl(control: Comparison | null): string {
  if (control === null) return "not measured";
  const holds = containsOne(control);
  const verdict = holds === null ? "" : holds ? "ok" : "MISSES 1";
  return `${formatRatio(control.median)} ${formatInterval(control)} ${verdict}`.trimEnd();
}
