/** One block of a bench as text: what was measured, the variants side by side, the ratios, and what to make of them. */

import type { BenchBlock, ComparisonResult, MeasuredBlock, VariantResult } from "./bench-result.ts";
import { renderComparisons } from "./comparison-table.ts";
import { formatCount, formatCounted, formatNs, formatRate, formatShare } from "./format.ts";
import { containsOne } from "./stats.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";

const RACE_COLUMNS = [
  left("walk"),
  right("time"),
  right("pages"),
  right("PTE locks"),
  right("contended"),
  right(""),
  right("waited"),
  right("max wait"),
  right("reaper waits"),
];

const SIDE_COLUMNS = [
  left("walk"),
  right("victim time"),
  right("CPU"),
  right("reaper time"),
  right("CPU"),
  right("reaper's pages"),
  right("mmap_lock contended"),
  right("waited"),
];

/** `heading` names the block; the lines below it are indented. */
export function renderBlock(block: BenchBlock, heading: string, options: TableOptions = {}): string {
  if (block.state === "skipped") return `${heading}\n  not measured: ${block.reason}`;
  if (block.state === "broken") return `${heading}\n  BROKEN, no figures: ${block.reason}`;
  const indented = { ...options, indent: 2 };
  const tables = [renderRace(block.variants, indented), renderSides(block.variants, indented)];
  if (block.comparisons.length > 0) tables.push(renderComparisons(block.comparisons, indented));
  const notes = blockNotes(block).map((note) => `\n  note: ${note}`);
  return `${heading}\n${tables.join("\n\n")}${notes.join("")}`;
}

/** "vmas-2m, sequential frames: 4,096 VMAs, 2,097,152 pages, 4,096 page tables" */
export function blockTitle(block: BenchBlock): string {
  const title = `${block.setup.layout}, ${block.setup.frames} frames`;
  if (block.state !== "measured") return title;
  const { vmas, presentPages, pteTables } = block.layout;
  const counts = [
    formatCounted(vmas, "VMA"),
    formatCounted(presentPages, "page"),
    formatCounted(pteTables, "page table"),
  ];
  return `${title}: ${counts.join(", ")}`;
}

/** Victim and reaper together. */
function renderRace(variants: readonly VariantResult[], options: TableOptions): string {
  const rows = variants.map(({ name, summary }) => [
    name,
    formatNs(summary.phaseNs),
    formatRate(summary.pagesPerSecond),
    formatCount(summary.pteAcquired),
    formatCount(summary.pteContended),
    formatShare(summary.pteAcquired === 0 ? 0 : summary.pteContended / summary.pteAcquired),
    formatNs(summary.pteWaitNs),
    formatNs(summary.pteMaxNs),
    orDash(summary.reaperWaitShare, formatShare),
  ]);
  return renderTable(RACE_COLUMNS, rows, options);
}

/** Each side for itself. */
function renderSides(variants: readonly VariantResult[], options: TableOptions): string {
  const rows = variants.map(({ name, summary, order }) => [
    name,
    formatNs(summary.victimWallNs),
    orDash(summary.victimCpuNs, formatNs),
    orDash(summary.reaperWallNs, formatNs),
    orDash(summary.reaperCpuNs, formatNs),
    order === null ? "-" : formatShare(reaperShare(summary)),
    formatCount(summary.mmapContended),
    formatNs(summary.mmapWaitNs),
  ]);
  return renderTable(SIDE_COLUMNS, rows, options);
}

function reaperShare({ reaperPages, victimPages }: VariantResult["summary"]): number {
  return reaperPages + victimPages === 0 ? 0 : reaperPages / (reaperPages + victimPages);
}

function orDash(value: number | null, format: (value: number) => string): string {
  return value === null ? "-" : format(value);
}

function blockNotes(block: MeasuredBlock): string[] {
  const notes = [...block.layout.notes, ...block.notes];
  if (block.setup.oversubscribed) {
    notes.push(`oversubscribed: ${block.setup.actors} actors share fewer CPUs, so lock holders get preempted`);
  }
  notes.push(
    ...block.comparisons.filter((one) => one.metric === "contended").flatMap((one) => noDifference(one, block)),
  );
  return notes;
}

/** Says so where two orders contend alike, and why where the layout is the reason. */
function noDifference({ a, b, ratio }: ComparisonResult, block: MeasuredBlock): string[] {
  if (containsOne(ratio) !== true) return [];
  const what = `no difference shown between ${a} and ${b}`;
  if (block.layout.vmas > 1) return [`${what}: the interval contains 1`];
  return [`${what}: an order of VMAs has nothing to turn round in one VMA, inside it both sides walk upwards`];
}
