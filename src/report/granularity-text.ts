/** The same race with one PTE lock per mm, per table, per PTE: side by side in one table. */

import { RACE_COLUMNS, raceRow, withoutFigures } from "./bench-block-text.ts";
import { METRICS } from "./bench-metrics.ts";
import type { BenchBlock, MeasuredBlock } from "./bench-result.ts";
import { formatInterval } from "./comparison-table.ts";
import { formatRatio } from "./format.ts";
import { left, renderTable, type TableOptions } from "./table.ts";
import { wrap } from "./wrap.ts";

/** `heading` names the section. */
export function renderGranularity(blocks: readonly BenchBlock[], heading: string, options: TableOptions): string {
  const measured = blocks.filter((block) => block.state === "measured");
  const rows = measured.flatMap(({ setup, variants }) =>
    variants.map((variant, i) => [i === 0 ? setup.lockGranularity : "", ...raceRow(variant)]),
  );
  const table =
    rows.length === 0 ? [] : [renderTable([left("lock per"), ...RACE_COLUMNS], rows, { ...options, indent: 2 })];
  const others = blocks.flatMap((block) =>
    block.state === "measured" ? [] : [`  lock per ${block.setup.lockGranularity}:\n${withoutFigures(block)}`],
  );
  return [heading, ...table, ...measured.flatMap(ratios), ...others].join("\n");
}

/** One line for each pair of orders. */
function ratios({ setup, comparisons }: MeasuredBlock): string[] {
  const orders = comparisons.filter(({ metric }) => metric === "contended");
  return orders.map(({ a, b }) => {
    const figures = comparisons
      .filter((one) => one.a === a && one.b === b && one.metric !== "work")
      .map(({ metric, ratio }) => `${METRICS[metric].label} ${formatRatio(ratio.median)} ${formatInterval(ratio)}`);
    return wrap(`lock per ${setup.lockGranularity}, ${a} / ${b}: ${figures.join("; ")}`, 2, 4);
  });
}
