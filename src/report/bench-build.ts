/** From what a bench measured to its result: medians, ratios with intervals, controls. */

import type { RawBench, RawBlock, RawNative } from "../run/bench/record.ts";
import { blockComparisons, summarise } from "./bench-metrics.ts";
import { BENCH_SCHEMA, type BenchBlock, type BenchResult, type NativeTwin } from "./bench-result.ts";
import { growthOf } from "./growth.ts";
import { buildMrelease } from "./mrelease-build.ts";
import { compare } from "./stats.ts";

export function buildBenchResult(raw: RawBench): BenchResult {
  const { seed, cpuTime } = raw;
  const blocks = (list: readonly RawBlock[]): BenchBlock[] => list.map((block) => buildBlock(block, seed));
  const measured = blocks(raw.blocks);
  return {
    schema: BENCH_SCHEMA,
    ...raw,
    cpuTime: { ...cpuTime, resolutionNs: cpuTime.source === "not available" ? null : cpuTime.resolutionNs },
    blocks: measured,
    growth: growthOf(measured),
    granularity: blocks(raw.granularity),
    allocators: blocks(raw.allocators),
    native: buildNative(raw.native, seed),
    mrelease: buildMrelease(raw.mrelease, raw.options.reaper, measured, seed),
  };
}

function buildBlock(block: RawBlock, seed: number): BenchBlock {
  if (block.state !== "measured") return block;
  const variants = block.variants.map((variant) => ({ ...variant, summary: summarise(variant.trials) }));
  return { ...block, variants, comparisons: blockComparisons(variants, seed) };
}

function buildNative(native: RawNative, seed: number): NativeTwin {
  if (native.state === "absent") return native;
  const rows = native.rows.map((row) => ({ ...row, ratio: compare(row.nativeNs, row.oomraceNs, seed) }));
  return { ...native, rows };
}
