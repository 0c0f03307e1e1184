/** One block of a bench as text: what was measured, the variants side by side, the ratios, and what to make of them. */

import type { BenchBlock, ComparisonResult, MeasuredBlock, VariantResult } from "./bench-result.ts";
import { renderComparisons } from "./comparison-table.ts";
import { formatBytes, formatCount, formatCounted, formatNs, formatRate, formatShare } from "./format.ts";
import { renderStalls } from "./stall-table.ts";
import { containsOne } from "./stats.ts";
import { type Column, left, renderTable, right, type TableOptions } from "./table.ts";
import { wrap } from "./wrap.ts";

/** Victim and reaper together. */
export const RACE_COLUMNS: readonly Column[] = [
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

/** Each side for itself. */
const SIDE_COLUMNS: readonly Column[] = [
  left("walk"),
  right("teardown"),
  right("victim time"),
  right("CPU"),
  right("reaper time"),
  right("CPU"),
  right("reaper's pages"),
  right("mmap_lock contended"),
  right("waited"),
];

export interface BlockOptions extends TableOptions {
  /** Notes that stand elsewhere already. */
  readonly said?: readonly string[];
}

/** `heading` names the block; the lines below it are indented. */
export function renderBlock(block: BenchBlock, heading: string, options: BlockOptions = {}): string {
  if (block.state !== "measured") return `${heading}\n${withoutFigures(block)}`;
  const { said = [], ...tableOptions } = options;
  const indented = { ...tableOptions, indent: 2 };
  const tables = [
    renderTable(RACE_COLUMNS, block.variants.map(raceRow), indented),
    renderTable(SIDE_COLUMNS, block.variants.map(sideRow), indented),
    ...renderStalls(block.variants, indented),
  ];
  if (block.comparisons.length > 0) tables.push(renderComparisons(block.comparisons, indented));
  const notes = [...blockNotes(block).filter((note) => !said.includes(note)), ...findings(block)];
  return `${heading}\n${stagingLine(block)}\n${tables.join("\n\n")}${notes.map((note) => `\n${renderNote(note, 2)}`).join("")}`;
}

/** "setup 1.03 s (boot 3.00 ms, build 1.03 s), arena 76.0 MiB, process so far at most 180 MiB" */
function stagingLine({ staging: { arenaBytes, bootNs, buildNs }, peakRssBytes }: MeasuredBlock): string {
  return (
    `  setup ${formatNs(bootNs + buildNs)} (boot ${formatNs(bootNs)}, build ${formatNs(buildNs)}); ` +
    `arena ${formatBytes(arenaBytes)}, process so far at most ${formatBytes(peakRssBytes)}`
  );
}

export function renderNote(note: string, indent: number): string {
  return wrap(`note: ${note}`, indent, indent + 6);
}

/** Why a block has no figures, as an indented line. */
export function withoutFigures(block: Exclude<BenchBlock, MeasuredBlock>): string {
  return wrap(`${block.state === "broken" ? "BROKEN, no figures" : "not measured"}: ${block.reason}`, 2, 4);
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

export function raceRow({ name, summary }: VariantResult): string[] {
  return [
    name,
    formatNs(summary.phaseNs),
    formatRate(summary.pagesPerSecond),
    formatCount(summary.pteAcquired),
    formatCount(summary.pteContended),
    formatShare(summary.pteAcquired === 0 ? 0 : summary.pteContended / summary.pteAcquired),
    formatNs(summary.pteWaitNs),
    formatNs(summary.pteMaxNs),
    orDash(summary.reaperWaitShare, formatShare),
  ];
}

function sideRow({ name, summary, order }: VariantResult): string[] {
  return [
    name,
    formatNs(summary.teardownNs),
    formatNs(summary.victimWallNs),
    orDash(summary.victimCpuNs, formatNs),
    orDash(summary.reaperWallNs, formatNs),
    orDash(summary.reaperCpuNs, formatNs),
    order === null ? "-" : formatShare(reaperShare(summary)),
    formatCount(summary.mmapContended),
    formatNs(summary.mmapWaitNs),
  ];
}

function reaperShare({ reaperPages, victimPages }: VariantResult["summary"]): number {
  return reaperPages + victimPages === 0 ? 0 : reaperPages / (reaperPages + victimPages);
}

function orDash(value: number | null, format: (value: number) => string): string {
  return value === null ? "-" : format(value);
}

/** What is to be known about a block before it is read. */
export function blockNotes(block: BenchBlock): string[] {
  const measured = block.state === "measured" ? [...block.layout.notes, ...block.notes] : [];
  return block.setup.oversubscribed ? [...measured, oversubscription(block.setup.actors)] : measured;
}

function oversubscription(actors: number): string {
  return (
    `OVERSUBSCRIBED: ${actors} actors share fewer CPUs, so lock holders get preempted and waits include the ` +
    "scheduler's"
  );
}

/** What the figures themselves say. */
function findings(block: MeasuredBlock): string[] {
  const contended = block.comparisons.filter((one) => one.metric === "contended");
  const distrusted = block.comparisons.some(({ control }) => control !== null && containsOne(control) === false);
  return [
    ...contended.flatMap((one) => noDifference(one, block)),
    ...(distrusted
      ? ["an A/A control that MISSES 1 saw a difference where there is none; distrust the ratio beside it"]
      : []),
  ];
}

/** Orders that differ in the order of VMAs alone. */
const VMA_ORDERS = ["forward", "reverse"];

/** Says so where two orders contend alike, and why where the layout is the reason. */
function noDifference({ a, b, ratio }: ComparisonResult, block: MeasuredBlock): string[] {
  const same = containsOne(ratio);
  if (block.layout.vmas === 1 && VMA_ORDERS.includes(a) && VMA_ORDERS.includes(b) && same !== false) {
    const what = same === null ? "no difference to expect" : "no difference shown";
    return [
      `${what} between ${a} and ${b}: with one VMA there is no order of VMAs to turn round, and inside a VMA ` +
        "both sides walk upwards",
    ];
  }
  return same === true ? [`no difference shown between ${a} and ${b}: the interval contains 1`] : [];
}
