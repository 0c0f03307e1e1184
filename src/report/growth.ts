/** How setup and teardown grow from size to size in a sweep. */

import type { BenchBlock, GrowthPoint, MeasuredBlock } from "./bench-result.ts";
import { formatCount, formatNs, formatRatio } from "./format.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";

/** The points of every layout that has several sizes, each kind of frames for itself. */
export function growthOf(blocks: readonly BenchBlock[]): GrowthPoint[] {
  const measured = blocks.filter((block) => block.state === "measured");
  const sweeps = new Map<string, MeasuredBlock[]>();
  for (const block of measured) {
    const key = `${block.setup.layout} ${block.setup.frames}`;
    sweeps.set(key, [...(sweeps.get(key) ?? []), block]);
  }
  return [...sweeps.values()].filter((sweep) => sweep.length > 1).flatMap((sweep) => sweep.flatMap(pointsOf));
}

function pointsOf(block: MeasuredBlock, index: number, sweep: readonly MeasuredBlock[]): GrowthPoint[] {
  const now = sizeOf(block);
  const before = index === 0 ? undefined : sizeOf(sweep[index - 1] as MeasuredBlock);
  const grown = before !== undefined && now.pages >= before.pages && now.vmas >= before.vmas;
  return [
    {
      layout: block.setup.layout,
      frames: block.setup.frames,
      ...now,
      setupTimes: grown ? now.setupNs / before.setupNs : null,
      teardownTimes: grown ? now.teardownNs / before.teardownNs : null,
    },
  ];
}

function sizeOf({
  layout,
  staging,
  variants,
}: MeasuredBlock): Pick<GrowthPoint, "pages" | "vmas" | "setupNs" | "teardownNs"> {
  const solo = variants.find(({ order }) => order === null);
  return {
    pages: layout.presentPages,
    vmas: layout.vmas,
    setupNs: staging.bootNs + staging.buildNs,
    teardownNs: solo?.summary.teardownNs ?? 0,
  };
}

/** The table under a heading; nothing without a sweep. */
export function renderGrowth(points: readonly GrowthPoint[], heading: string, options: TableOptions): string {
  if (points.length === 0) return "";
  const columns = [
    left("layout"),
    left("frames"),
    right("pages"),
    right("VMAs"),
    right("setup"),
    right("times"),
    right("teardown"),
    right("times"),
  ];
  const times = (factor: number | null): string => (factor === null ? "-" : formatRatio(factor));
  const rows = points.map((point) => [
    point.layout,
    point.frames,
    formatCount(point.pages),
    formatCount(point.vmas),
    formatNs(point.setupNs),
    times(point.setupTimes),
    formatNs(point.teardownNs),
    times(point.teardownTimes),
  ]);
  return `${heading}\n${renderTable(columns, rows, { ...options, indent: 2 })}`;
}
