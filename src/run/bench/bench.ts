/** `oomrace bench`: all blocks of a request, in the order in which the report shows them. */

import { median } from "../../base/median.ts";
import { FRAME_ORDERS } from "../../machine/address-space.ts";
import { LOCK_GRANULARITIES } from "../../machine/shape.ts";
import { type Layout, NotAvailable } from "../../scenario/layout.ts";
import { buildLayout } from "../../scenario/layouts/index.ts";
import { readSmaps } from "../../scenario/process.ts";
import { machineInfo } from "../cpu-info.ts";
import { packageVersion } from "../version.ts";
import { type BlockRequest, measureBlock } from "./block.ts";
import { soloRate, timerScale } from "./calibrate.ts";
import { BenchContext, type BenchHooks, Interrupted } from "./context.ts";
import { measureCosts } from "./costs.ts";
import { timeLockOperations } from "./lock-operations.ts";
import { measureNativeTwin } from "./native-rows.ts";
import type { BenchOptions, Cost, LockOperation, RawBench, RawBlock, RawNative, TimerScale } from "./record.ts";

/** How large the parts are: for people, or just enough to see that everything works. */
interface Sizes {
  /** Pages of layouts that leave them open. */
  readonly pages: number | null;
  readonly sidePages: number;
  readonly sidePairs: number;
  readonly warmups: number;
  readonly calibrationPages: number;
}

const FULL: Sizes = { pages: null, sidePages: 2 ** 18, sidePairs: 10, warmups: 2, calibrationPages: 2 ** 19 };
const QUICK: Sizes = { pages: 2 ** 14, sidePages: 2 ** 13, sidePairs: 2, warmups: 1, calibrationPages: 2 ** 14 };

export interface BenchRequest extends BenchOptions {
  readonly seed: number;
}

/** What is measured so far; becomes the result, whole or partial. */
interface Findings {
  timers: TimerScale;
  readonly blocks: RawBlock[];
  readonly granularity: RawBlock[];
  readonly allocators: RawBlock[];
  lockOperations: readonly LockOperation[];
  native: RawNative;
  costs: readonly Cost[];
  readonly notes: string[];
}

/** Runs everything that the request asks for. Interrupted through the hooks, it returns what it has, marked partial. */
export async function runBench(request: BenchRequest, hooks: BenchHooks): Promise<RawBench> {
  const context = await BenchContext.open("parallel", hooks);
  const findings: Findings = {
    timers: timerScale(1, 0).scale,
    blocks: [],
    granularity: [],
    allocators: [],
    lockOperations: [],
    native: { state: "absent", reason: "interrupted before it was measured" },
    costs: [],
    notes: [],
  };
  let partial = false;
  try {
    await measureAll(context, request, findings);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    partial = true;
  } finally {
    await context.close();
  }
  return toRaw(context, request, findings, partial);
}

async function measureAll(context: BenchContext, request: BenchRequest, findings: Findings): Promise<void> {
  const sizes = request.quick ? QUICK : FULL;
  const { protocol, seed } = request;
  const solo = request.hz === null ? await soloRate(context, sizes.calibrationPages, protocol, seed) : 0;
  const { scale, rate } = timerScale(request.hz, solo);
  findings.timers = scale;
  await context.setTimerRate(rate);
  for (const layout of layoutsOf(request, sizes, findings.notes)) {
    for (const frames of FRAME_ORDERS) {
      findings.blocks.push(await measureBlock(context, blockRequest(request, sizes, layout, frames)));
    }
  }
  noteScaling(findings);
  if (request.smaps === null) await measureSides(context, request, sizes, findings);
  findings.costs = await measureCosts(context, sizes.sidePages, Math.min(request.pairs, sizes.sidePairs), seed);
  context.hooks.progress("lock operations");
  findings.lockOperations = await timeLockOperations(request.quick);
  context.hooks.progress("the same loop in C");
  findings.native = await measureNativeTwin(context, sizes.calibrationPages, request);
}

/** Granularities side by side, then an allocator in the way, both on one small layout. */
async function measureSides(
  context: BenchContext,
  request: BenchRequest,
  sizes: Sizes,
  findings: Findings,
): Promise<void> {
  const pages = sizes.sidePages;
  const layout = buildLayout("vmas-2m", { pages, vmas: Math.max(1, pages / 512), seed: request.seed });
  const base = {
    ...blockRequest(request, sizes, layout, "sequential"),
    pairs: Math.min(request.pairs, sizes.sidePairs),
  };
  for (const lockGranularity of LOCK_GRANULARITIES) {
    findings.granularity.push(await measureBlock(context, { ...base, lockGranularity }));
  }
  if (request.allocators === 0) findings.allocators.push(await measureBlock(context, { ...base, allocators: 1 }));
}

function blockRequest(
  request: BenchRequest,
  sizes: Sizes,
  layout: Layout,
  frames: BlockRequest["frames"],
): BlockRequest {
  const { protocol, orders, reaper, lockGranularity, allocators, pairs, seed } = request;
  return { layout, frames, protocol, orders, reaper, lockGranularity, allocators, pairs, seed, warmups: sizes.warmups };
}

/** The layouts asked for, one for each size; one that this machine cannot make is noted and left out. */
function layoutsOf(request: BenchRequest, sizes: Sizes, notes: string[]): Layout[] {
  const { seed } = request;
  if (request.smaps !== null) return [readSmaps(request.smaps, seed)];
  const layouts: Layout[] = [];
  for (const name of request.layouts) {
    const pages = request.pages.length > 0 ? request.pages : [sizes.pages];
    for (const size of name === "self" ? [null] : pages) {
      try {
        layouts.push(buildLayout(name, layoutRequest(name, size, request)));
      } catch (error) {
        if (!(error instanceof NotAvailable)) throw error;
        notes.push(error.message);
      }
    }
  }
  return layouts;
}

function layoutRequest(
  name: string,
  pages: number | null,
  request: BenchRequest,
): { seed: number; pages?: number; vmas?: number } {
  const vmas = request.vmas ?? (request.quick && pages !== null && name !== "one-vma" ? Math.ceil(pages / 512) : null);
  return {
    seed: request.seed,
    ...(pages !== null && { pages }),
    ...(vmas !== null && name !== "self" && { vmas }),
  };
}

/** With several sizes of one layout: how the solo time grows from one to the next. */
function noteScaling(findings: Findings): void {
  for (let i = 0; i < findings.blocks.length; i++) {
    const block = findings.blocks[i];
    const larger = findings.blocks.slice(i + 1).find((other) => sameButLarger(block, other));
    if (block?.state !== "measured" || larger?.state !== "measured") continue;
    const times = [block, larger].map(({ variants }) => median(variants[0]?.trials.map((one) => one.phaseNs) ?? [1]));
    const factor = (times[1] as number) / (times[0] as number);
    const { layout, frames } = block.setup;
    findings.notes.push(
      `${layout}, ${frames} frames: ${larger.layout.presentPages} pages take ${factor.toFixed(2)} times as long as ` +
        `${block.layout.presentPages} (solo, medians)`,
    );
  }
}

function sameButLarger(block: RawBlock | undefined, other: RawBlock): boolean {
  if (block?.state !== "measured" || other.state !== "measured") return false;
  const same = block.setup.layout === other.setup.layout && block.setup.frames === other.setup.frames;
  return same && other.layout.presentPages > block.layout.presentPages;
}

function toRaw(context: BenchContext, request: BenchRequest, findings: Findings, partial: boolean): RawBench {
  const { seed, ...options } = request;
  const { cpuTime } = context;
  return { partial, version: packageVersion(), machine: machineInfo(), options, seed, cpuTime, ...findings };
}
