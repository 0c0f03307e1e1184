/** The race in a few sentences, from the block that tells it best. */

import { METRICS } from "./bench-metrics.ts";
import type { BenchBlock, ComparisonResult, MeasuredBlock, MetricName, VariantResult } from "./bench-result.ts";
import { formatControl, formatInterval } from "./comparison-table.ts";
import { formatCount, formatCounted, formatNs, formatRatio, formatShare } from "./format.ts";
import { wrap } from "./wrap.ts";

/** Opposite ends are far apart in it, and its VMAs share no page table: what the race is about shows best. */
const STORY_LAYOUT = "vmas-2m";

export interface Story {
  readonly block: MeasuredBlock;
  readonly solo: VariantResult | undefined;
  /** The first order and the one it is compared with. */
  readonly first: VariantResult;
  readonly other: VariantResult;
}

/** vmas-2m before other layouts, sequential frames before random ones; undefined without a block of two orders. */
export function storyOf(blocks: readonly BenchBlock[]): Story | undefined {
  const stories = blocks.flatMap((block): Story[] => {
    if (block.state !== "measured") return [];
    const solo = block.variants.find((variant) => variant.order === null);
    const [first, other] = block.variants.filter((variant) => variant.order !== null);
    return first === undefined || other === undefined ? [] : [{ block, solo, first, other }];
  });
  const rank = ({ block: { setup } }: Story): number =>
    Number(setup.layout !== STORY_LAYOUT) * 2 + Number(setup.frames !== "sequential");
  return stories.toSorted((a, b) => rank(a) - rank(b) || b.block.layout.presentPages - a.block.layout.presentPages)[0];
}

export function headline(story: Story): string {
  const { block, solo, first, other } = story;
  const { summary } = first;
  const share = formatShare(summary.pteAcquired === 0 ? 0 : summary.pteContended / summary.pteAcquired);
  const { setup, layout, pairs } = block;
  return [
    `${setup.layout}, ${setup.frames} frames, ${formatCounted(layout.presentPages, "page")} in ` +
      `${formatCounted(layout.vmas, "VMA")}; medians of ${formatCounted(pairs, "pair")}:`,
    ...(solo === undefined ? [] : [`solo: the victim alone is done in ${formatNs(solo.summary.phaseNs)}.`]),
    `${first.name}: victim and reaper meet on ${held(summary.pteContended)} (${share} of ` +
      `${formatCount(summary.pteAcquired)} taken), done in ${formatNs(summary.phaseNs)}.`,
    `${other.name}: they meet on ${held(other.summary.pteContended)}, done in ${formatNs(other.summary.phaseNs)}.`,
    ...ratios(story),
  ]
    .map((line) => wrap(line, 0, 2))
    .join("\n");
}

function held(count: number): string {
  return formatCounted(Math.round(count), "held page-table lock");
}

/** The two ratios that the project is about, each with its interval; nothing from too few pairs. */
function ratios({ block, solo, first, other }: Story): string[] {
  const find = (metric: MetricName, a: string, b: string): ComparisonResult | undefined =>
    block.comparisons.find((one) => one.metric === metric && one.a === a && one.b === b && one.ratio.low !== null);
  const contended = find("contended", first.name, other.name);
  const time = solo && find("phase", solo.name, other.name);
  const control = time?.control ? `; its A/A control: ${formatControl(time.control)}` : "";
  return [...(contended ? [ratioLine(contended)] : []), ...(time ? [`${ratioLine(time)}${control}`] : [])];
}

function ratioLine({ metric, a, b, ratio }: ComparisonResult): string {
  return `${METRICS[metric].label}, ${a} / ${b}: ${formatRatio(ratio.median)}, 95 % interval ${formatInterval(ratio)}`;
}
