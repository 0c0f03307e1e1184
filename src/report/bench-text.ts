/** A bench result for people. The first screen tells the story: who, what, forward against reverse. */

import picocolors from "picocolors";
import { blockTitle, renderBlock } from "./bench-block-text.ts";
import { lockTotals } from "./bench-metrics.ts";
import type { BenchBlock, BenchResult, MeasuredBlock, NativeTwin, VariantResult } from "./bench-result.ts";
import { formatInterval } from "./comparison-table.ts";
import { formatBytes, formatCount, formatCounted, formatNs, formatRate, formatRatio, formatShare } from "./format.ts";
import { renderLockTable } from "./lock-table.ts";
import { left, renderTable, right } from "./table.ts";

export interface RenderOptions {
  /** Bold headings for a terminal; see `wantsColor`. */
  readonly color?: boolean;
}

/** The whole report, no newline at the end. */
export function renderBench(result: BenchResult, options: RenderOptions = {}): string {
  const { bold } = picocolors.createColors(options.color ?? false);
  const blocks = (title: string, list: readonly BenchBlock[], name: (block: BenchBlock) => string): string[] =>
    list.length === 0 ? [] : [bold(title), ...list.map((block) => renderBlock(block, name(block), options))];
  const sections = [
    header(result),
    bold(headline(result)),
    ...result.blocks.map((block) => renderBlock(block, bold(blockTitle(block)), options)),
    ...lockSections(result, options),
    ...blocks("One lock per mm, per PTE table, per PTE", result.granularity, granularityTitle),
    ...blocks("With allocators that stall on watermarks", result.allocators, blockTitle),
    ...lockOperations(result, options),
    native(result.native, options),
    footer(result),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function header(result: BenchResult): string {
  const { machine, options, cpuTime } = result;
  const actors = Math.max(0, ...result.blocks.map((block) => block.setup.actors));
  const threads =
    machine.threadsPerCore === null ? "" : `, ${formatCounted(machine.threadsPerCore, "thread")} per core`;
  const lines = [
    `oomrace ${result.version} bench${result.partial ? ", INTERRUPTED: partial results" : ""}`,
    `  ${machine.cpu}: ${machine.available} of ${machine.cores} CPUs${threads}, ${formatBytes(machine.memoryBytes)}; ${machine.os}; Node ${machine.node}`,
    `  ${formatCounted(actors, "actor")}, ${(actors / machine.available).toFixed(1)} per CPU; load ${machine.load1.toFixed(2)} at the start`,
    `  protocol ${options.protocol}, reaper ${options.reaper}, PTE lock per ${options.lockGranularity}, ${formatCounted(options.pairs, "pair")}, seed ${result.seed}`,
    `  CPU time from ${cpuTime.source}${cpuTime.resolutionNs === null ? "" : `, resolution ${formatNs(cpuTime.resolutionNs)}`}; ${timers(result)}`,
  ];
  if (result.blocks.some((block) => block.setup.oversubscribed)) {
    lines.push(
      `  OVERSUBSCRIBED: more actors than CPUs, so lock holders get preempted and waits include the scheduler's`,
    );
  }
  return lines.join("\n");
}

function timers({ timers: { kernelSecondMs, kernelPagesPerSecond, soloPagesPerSecond } }: BenchResult): string {
  const second = `a kernel second lasts ${formatNs(kernelSecondMs * 1e6)}`;
  if (soloPagesPerSecond === null) return `${second} (--hz)`;
  return `${second} (kernel ${formatRate(kernelPagesPerSecond)}, here ${formatRate(soloPagesPerSecond)})`;
}

/** The race in a sentence, from the block where walking the same way contends most. */
function headline(result: BenchResult): string {
  const story = storyOf(result.blocks);
  if (story === undefined) return "";
  const { first, other, block } = story;
  const contended = block.comparisons.find((one) => one.metric === "contended" && one.b === other.name);
  const same = first.summary;
  const share = formatShare(same.pteAcquired === 0 ? 0 : same.pteContended / same.pteAcquired);
  const ratio =
    contended === undefined
      ? ""
      : ` Ratio ${formatRatio(contended.ratio.median)}, 95 % interval ${formatInterval(contended.ratio)}.`;
  return [
    `${first.name}: victim and reaper meet on ${formatCount(same.pteContended)} held page-table locks (${share} of ${formatCount(same.pteAcquired)} taken) in ${formatNs(same.phaseNs)}.`,
    `${other.name}: on ${formatCount(other.summary.pteContended)}, in ${formatNs(other.summary.phaseNs)}.${ratio}`,
    `(${block.setup.layout}, ${block.setup.frames} frames, medians of ${formatCounted(block.pairs, "pair")})`,
  ].join("\n");
}

interface Story {
  readonly block: MeasuredBlock;
  readonly first: VariantResult;
  readonly other: VariantResult;
}

function storyOf(blocks: readonly BenchBlock[]): Story | undefined {
  const stories = blocks.flatMap((block): Story[] => {
    if (block.state !== "measured") return [];
    const [first, other] = block.variants.filter((variant) => variant.order !== null);
    return first === undefined || other === undefined ? [] : [{ block, first, other }];
  });
  return stories.toSorted((a, b) => b.first.summary.pteContended - a.first.summary.pteContended)[0];
}

function lockSections(result: BenchResult, options: RenderOptions): string[] {
  const block = storyOf(result.blocks)?.block;
  if (block === undefined) return [];
  return block.variants.map((variant) => {
    const title = `Locks of ${formatCounted(variant.trials.length, "kill")}, ${variant.name} (${block.setup.layout}, ${block.setup.frames} frames)`;
    return `${title}\n${renderLockTable(lockTotals(variant.trials), { ...options, indent: 2 })}`;
  });
}

function granularityTitle(block: BenchBlock): string {
  return `lock per ${block.setup.lockGranularity} (${blockTitle(block)})`;
}

function lockOperations({ lockOperations: operations }: BenchResult, options: RenderOptions): string[] {
  if (operations.length === 0) return [];
  const columns = [left("lock"), left("operation"), right("median"), right("p99"), right("samples")];
  const rows = operations.map(({ lock, operation, ns, p99Ns, samples }) => [
    lock,
    operation,
    formatNs(ns),
    p99Ns === null ? "-" : formatNs(p99Ns),
    formatCount(samples),
  ]);
  return [`Lock operations without contention (tinybench)\n${renderTable(columns, rows, { ...options, indent: 2 })}`];
}

function native(twin: NativeTwin, options: RenderOptions): string {
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
  return `C twin (${twin.compiler}), one CPU\n${renderTable(columns, rows, { ...options, indent: 2 })}`;
}

function footer(result: BenchResult): string {
  const costs = result.costs.map(({ name, value, unit }) => {
    return `${name}: ${unit === "ns" ? formatNs(value) : formatRate(value)}`;
  });
  return [...costs, ...result.notes.map((note) => `note: ${note}`)].join("\n");
}
