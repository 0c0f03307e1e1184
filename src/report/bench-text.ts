/** A bench result for people. The first screen tells the story: who, what, forward against reverse. */

import picocolors from "picocolors";
import { blockNotes, blockTitle, renderBlock, renderNote } from "./bench-block-text.ts";
import { lockTotals } from "./bench-metrics.ts";
import type { BenchBlock, BenchResult, Cost, LockOperation, NativeTwin } from "./bench-result.ts";
import { formatInterval } from "./comparison-table.ts";
import { formatBytes, formatCount, formatCounted, formatNs, formatNumber, formatRate, formatRatio } from "./format.ts";
import { renderGranularity } from "./granularity-text.ts";
import { renderGrowth } from "./growth.ts";
import { headline, storyOf } from "./headline.ts";
import { renderLockTable } from "./lock-table.ts";
import { renderMrelease } from "./mrelease-text.ts";
import { renderPressure } from "./pressure-text.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";
import { wrap } from "./wrap.ts";

export interface RenderOptions {
  /** Bold headings for a terminal; see `wantsColor`. */
  readonly color?: boolean;
}

/** The whole report, no newline at the end; lines fit 120 columns unless names are very long. */
export function renderBench(result: BenchResult, options: RenderOptions = {}): string {
  const { bold } = picocolors.createColors(options.color ?? false);
  const story = storyOf(result.blocks);
  const common = notesOfAll(result.blocks);
  const sections = [
    header(result, common),
    story === undefined ? "" : bold(headline(story)),
    ...renderBlocks(result.blocks, common, (block) => bold(blockTitle(block)), options),
    renderGrowth(
      result.growth,
      bold("Growth with the size: setup (boot and build), teardown (solo, medians)"),
      options,
    ),
    ...lockSection(result, options),
    ...granularity(result, bold, options),
    ...renderBlocks(result.allocators, common, (block) => bold(`With allocators: ${blockTitle(block)}`), options),
    renderPressure(result.pressure, bold("Under memory pressure: kills by the OOM killer"), options),
    ...lockOperations(result, bold),
    ...(result.options.needless
      ? []
      : [
          native(result.native, bold, options),
          renderMrelease(result.mrelease, result.options.protocol, bold, options),
        ]),
    footer(result),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function header(result: BenchResult, notes: readonly string[]): string {
  const { machine, options, cpuTime } = result;
  const shown = options.needless ? result.pressure : result.blocks;
  const actors = Math.max(0, ...shown.map(({ setup }) => setup.actors));
  const threads =
    machine.threadsPerCore === null ? "" : `, ${formatCounted(machine.threadsPerCore, "thread")} per core`;
  const lines = [
    `${machine.cpu}: ${machine.available} of ${machine.cores} CPUs${threads}, ${formatBytes(machine.memoryBytes)}; ` +
      `load ${machine.load1.toFixed(2)} at the start`,
    `${machine.os}; Node ${machine.node}; ${formatCounted(actors, "actor")}, ` +
      `${(actors / machine.available).toFixed(1)} per CPU`,
    options.needless
      ? `needless kills alone, ${formatCounted(options.kills, "kill")} each, seed ${result.seed}`
      : `protocol ${options.protocol}, ${reaperText(options)}, PTE lock per ${options.lockGranularity}, ` +
        `${formatCounted(options.pairs, "pair")}, seed ${result.seed}`,
    `CPU time from ${cpuTime.source}` +
      `${cpuTime.resolutionNs === null ? "" : `, resolution ${formatNs(cpuTime.resolutionNs)}`}; ${timers(result)}`,
    ...(options.quick ? ["--quick: sizes that show that everything works; the figures are of no worth"] : []),
  ];
  return [
    `oomrace ${result.version} bench${ending(result)}`,
    ...lines.map((line) => wrap(line, 2, 4)),
    ...notes.map((note) => renderNote(note, 2)),
  ].join("\n");
}

/** "reaper mrelease", with number and speeds where they are not the usual. */
export function reaperText(setup: {
  readonly reaper: string;
  readonly reapers: number;
  readonly victimSpeed: number;
  readonly reaperSpeed: number;
}): string {
  const many = setup.reapers > 1 ? ` (${setup.reapers} of them)` : "";
  const speeds = [
    ...(setup.victimSpeed === 1 ? [] : [`victim at ${formatNumber(setup.victimSpeed)} of full speed`]),
    ...(setup.reaperSpeed === 1 ? [] : [`reaper at ${formatNumber(setup.reaperSpeed)} of full speed`]),
  ];
  return [`reaper ${setup.reaper}${many}`, ...speeds].join(", ");
}

function ending({ partial, hang }: BenchResult): string {
  if (!partial) return "";
  return `, ${hang === null ? "INTERRUPTED" : "ENDED BY A HANG"}: partial results`;
}

function timers({ timers: { kernelSecondMs, kernelPagesPerSecond, soloPagesPerSecond } }: BenchResult): string {
  const second = `a kernel second lasts ${formatNs(kernelSecondMs * 1e6)}`;
  if (soloPagesPerSecond === null) return `${second} (--hz)`;
  return `${second} (kernel ${formatRate(kernelPagesPerSecond)}, here ${formatRate(soloPagesPerSecond)})`;
}

/** Notes that every block with figures has: said once, in the header. */
function notesOfAll(blocks: readonly BenchBlock[]): string[] {
  const [first, ...others] = blocks.filter((block) => block.state === "measured").map(blockNotes);
  return (first ?? []).filter((note) => others.every((notes) => notes.includes(note)));
}

/** Blocks one below the other; a note that an earlier one has is not repeated. */
function renderBlocks(
  blocks: readonly BenchBlock[],
  common: readonly string[],
  heading: (block: BenchBlock) => string,
  options: TableOptions,
): string[] {
  const said = [...common];
  return blocks.map((block) => {
    const text = renderBlock(block, heading(block), { ...options, said });
    said.push(...blockNotes(block));
    return text;
  });
}

/** Locks that somebody waited for, for each walk of the block that the headline tells of. */
function lockSection(result: BenchResult, options: TableOptions): string[] {
  const story = storyOf(result.blocks);
  if (story === undefined) return [];
  const { variants, setup } = story.block;
  return variants.flatMap(({ name, trials }) => {
    const contended = lockTotals(trials).filter((lock) => lock.contended > 0);
    if (contended.length === 0) return [];
    const title = `Contended locks in ${formatCounted(trials.length, "kill")}, ${name} (${setup.layout}, ${setup.frames} frames)`;
    return [`${title}\n${renderLockTable(contended, { ...options, indent: 2 })}`];
  });
}

function granularity({ granularity: blocks }: BenchResult, bold: (text: string) => string, options: TableOptions) {
  const shown = blocks.find((block) => block.state === "measured") ?? blocks[0];
  if (shown === undefined) return [];
  return [renderGranularity(blocks, bold(`One PTE lock per mm, table, PTE (${blockTitle(shown)})`), options)];
}

/** A line per lock. */
function lockOperations({ lockOperations: all }: BenchResult, bold: (text: string) => string): string[] {
  if (all.length === 0) return [];
  const locks = [...new Set(all.map(({ lock }) => lock))];
  const nameWidth = Math.max(...locks.map((lock) => lock.length));
  const lines = locks.map((lock) => {
    const own = all.filter((one) => one.lock === lock);
    const figures = own.map(({ operation, ns }) => `${withoutRelease(operation)} ${formatNs(ns)}`).join(", ");
    return wrap(`${lock.padEnd(nameWidth)}  ${figures}`, 2, nameWidth + 4);
  });
  const title = `Lock operations, each with its unlock, nobody contending (tinybench, medians over ${samples(all)})`;
  return [[bold(title), ...lines].join("\n")];
}

/** "lock + downgrade + read unlock" is shown as "lock + downgrade". */
function withoutRelease(operation: string): string {
  return operation.replace(/ \+ (read )?unlock$/, "");
}

function samples(operations: readonly LockOperation[]): string {
  const counts = operations.map((one) => one.samples);
  return `${formatCount(Math.min(...counts))} to ${formatCounted(Math.max(...counts), "sample")}`;
}

function native(twin: NativeTwin, bold: (text: string) => string, options: TableOptions): string {
  if (twin.state === "absent") return `C twin: not measured: ${twin.reason}`;
  const columns = [
    left("layout"),
    left("frames"),
    right("pages"),
    right("speed / C"),
    right("95 % interval"),
    left("arenas"),
  ];
  const rows = twin.rows.map(({ layout, frames, pages, ratio, identicalArenas }) => [
    layout,
    frames,
    formatCount(pages),
    formatRatio(ratio.median),
    formatInterval(ratio),
    identicalArenas ? "identical" : "DIFFER",
  ]);
  return `${bold(`C twin (${twin.compiler}), one CPU`)}\n${renderTable(columns, rows, { ...options, indent: 2 })}`;
}

function footer(result: BenchResult): string {
  const costs = result.costs.map(({ name, value, unit }) => {
    return wrap(`${name}: ${formatCost(value, unit)}`, 0, 2);
  });
  return [...costs, ...result.notes.map((note) => renderNote(note, 0))].join("\n");
}

function formatCost(value: number, unit: Cost["unit"]): string {
  if (unit === "times") return `${formatRatio(value)} times one alone`;
  return unit === "ns" ? formatNs(value) : formatRate(value);
}
