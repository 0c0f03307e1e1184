/** Kills by the OOM killer on a machine with several processes: how many were needless, and how long allocations stalled. */

import type { RawPressure } from "./bench-result.ts";
import { formatCount, formatCounted, formatNs, formatNumber } from "./format.ts";
import { MIN_PERCENTILE_SAMPLES, percentile } from "./stats.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";
import { wrap } from "./wrap.ts";

type Measured = Extract<RawPressure, { state: "measured" }>;

const PERCENTILES = [0.5, 0.9, 0.99] as const;
const COLUMNS = [
  left("protocol"),
  right("exit waits"),
  right("kills"),
  right("needless"),
  right("per 1,000"),
  right("panics"),
  right("stalls"),
  ...PERCENTILES.map((p) => right(`p${p * 100}`)),
  right("max"),
];

/** A row per protocol and I/O that an exit waits for; "" without any. Percentiles from MIN_PERCENTILE_SAMPLES stalls on. */
export function renderPressure(rows: readonly RawPressure[], heading: string, options: TableOptions): string {
  const [first] = rows;
  if (first === undefined) return "";
  const measured = rows.filter((row) => row.state === "measured");
  const { victims, pages, allocators, actors, oversubscribed } = first.setup;
  const about =
    `${formatCounted(victims, "victim")} of ${formatCounted(pages, "page")}, ` +
    `${formatCounted(allocators, "allocator")}, the kthread reaps; stalls of allocations in emulated time, pN from ` +
    `${MIN_PERCENTILE_SAMPLES} stalls on; needless: an earlier victim, not given up by the reaper, still had pages to reap`;
  return [
    heading,
    wrap(about, 2, 4),
    ...(measured.length === 0 ? [] : [renderTable(COLUMNS, measured.map(cells), { ...options, indent: 2 })]),
    ...rows.flatMap((row) => (row.state === "broken" ? [`  ${row.setup.protocol} BROKEN: ${row.reason}`] : [])),
    ...(oversubscribed
      ? [wrap(`OVERSUBSCRIBED: ${actors} actors share fewer CPUs: stalls include waits for the scheduler`, 2, 4)]
      : []),
  ].join("\n");
}

function cells({ setup, kills, needless, panics, stallsUs }: Measured): string[] {
  const formatUs = (us: number | undefined): string => (us === undefined ? "-" : formatNs(us * 1000));
  return [
    setup.protocol,
    setup.aioUs === 0 ? "-" : formatUs(setup.aioUs),
    formatCount(kills),
    formatCount(needless),
    formatNumber((needless * 1000) / kills),
    formatCount(panics),
    formatCount(stallsUs.length),
    ...PERCENTILES.map((p) => formatUs(percentile(stallsUs, p))),
    formatUs(stallsUs.length === 0 ? undefined : Math.max(...stallsUs)),
  ];
}
