/** Ratios with their intervals, and the A/A control next to each. */

import { METRICS } from "./bench-metrics.ts";
import type { ComparisonResult } from "./bench-result.ts";
import { formatP, formatRatio } from "./format.ts";
import { type Comparison, containsOne, MIN_INTERVAL_PAIRS } from "./stats.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";

const COLUMNS = [
  left("ratio"),
  right("median"),
  right("95 % interval"),
  right("p"),
  right("pairs"),
  right("outliers"),
  left("A/A control"),
];

/** p is Mann-Whitney's, two-sided. */
export function renderComparisons(comparisons: readonly ComparisonResult[], options: TableOptions = {}): string {
  const rows = comparisons.map(({ metric, a, b, ratio, control, controlOf }) => [
    `${a} / ${b}, ${METRICS[metric].label}`,
    formatRatio(ratio.median),
    formatInterval(ratio),
    ratio.p === null ? "-" : formatP(ratio.p),
    String(ratio.pairs),
    String(ratio.outliers.length),
    formatControl(control, controlOf),
  ]);
  return renderTable(COLUMNS, rows, options);
}

/** "[1.801, 1.940]", or why there is none. */
export function formatInterval({ low, high }: Comparison): string {
  if (low === null || high === null) return `needs ${MIN_INTERVAL_PAIRS} pairs`;
  return `[${formatRatio(low)}, ${formatRatio(high)}]`;
}

/** A control whose interval misses 1 saw a difference where there is none: its comparison is not to be trusted. */
export function formatControl(control: Comparison | null, of: string | null): string {
  if (control === null) return "not measured";
  const holds = containsOne(control);
  const verdict = holds === null ? "" : holds ? "contains 1" : "MISSES 1: distrust this line";
  return `${of} ${formatRatio(control.median)} ${formatInterval(control)} ${verdict}`.trimEnd();
}
