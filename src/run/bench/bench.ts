/** `oomrace bench`: all blocks of a request, in the order in which the report shows them. */

import { assert } from "../../base/assert.ts";
import { median } from "../../base/median.ts";
import { FRAME_ORDERS } from "../../machine/address-space.ts";
import { LOCK_GRANULARITIES } from "../../machine/shape.ts";
import { type Layout, NotAvailable, PTRS_PER_PTE } from "../../scenario/layout.ts";
import { buildLayout, LAYOUTS } from "../../scenario/layouts/index.ts";
import { readSmaps } from "../../scenario/process.ts";
import { actorsOf } from "../actors.ts";
import { machineInfo } from "../cpu-info.ts";
import { packageVersion } from "../version.ts";
import { HangError } from "../watchdog.ts";
import { type BlockRequest, measureBlock } from "./block.ts";
import { soloRate, timerScale } from "./calibrate.ts";
import { scalingCeiling } from "./ceiling.ts";
import { BenchContext, type BenchHooks, Interrupted } from "./context.ts";
import { measureCosts } from "./costs.ts";
import { timeLockOperations } from "./lock-operations.ts";
import { measureMrelease } from "./mrelease-rows.ts";
import { measureNativeTwin } from "./native-rows.ts";
import { countNeedlessKills, measurePressure, pressureRequest } from "./pressure.ts";
import type {
  BenchOptions,
  Cost,
  LockOperation,
  RawBench,
  RawBlock,
  RawMrelease,
  RawNative,
  RawPressure,
  TimerScale,
} from "./record.ts";

/** How large the parts are: for people, or just enough to see that everything works. */
interface Sizes {
  /** Pages of layouts that leave them open. */
  readonly pages: number | null;
  readonly sidePages: number;
  readonly sidePairs: number;
  readonly warmups: number;
  readonly calibrationPages: number;
  /** Of each process under pressure. */
  readonly pressurePages: number;
  /** For real processes that are killed. */
  readonly mreleaseSeconds: number;
}

const FULL: Sizes = {
  pages: null,
  sidePages: 2 ** 18,
  sidePairs: 10,
  warmups: 2,
  calibrationPages: 2 ** 20,
  pressurePages: 2 ** 13,
  mreleaseSeconds: 20,
};
const QUICK: Sizes = {
  pages: 2 ** 14,
  sidePages: 2 ** 13,
  sidePairs: 2,
  warmups: 1,
  calibrationPages: 2 ** 14,
  pressurePages: 2 ** 11,
  mreleaseSeconds: 2,
};

/** One for all, so that a kernel second is the same whatever is measured, and a broken protocol breaks in its block. */
const CALIBRATION_PROTOCOL = "v6.1";

/** What a broken protocol leaks, allocators would wait for in vain; and its figures are of no use beside others. */
const NOTHING_MORE = "an invariant broke, so nothing more was measured";

const ENDED_BEFORE = "the bench ended before it was measured";

export interface BenchRequest extends BenchOptions {
  readonly seed: number;
}

type MeasuredRawBlock = Extract<RawBlock, { state: "measured" }>;

/** What is measured so far; becomes the result, whole or partial. */
interface Findings {
  timers: TimerScale;
  readonly blocks: RawBlock[];
  readonly granularity: RawBlock[];
  readonly allocators: RawBlock[];
  readonly pressure: RawPressure[];
  lockOperations: readonly LockOperation[];
  native: RawNative;
  mrelease: RawMrelease;
  readonly costs: Cost[];
  readonly notes: string[];
}

/**
 * Runs everything that the request asks for. Interrupted through the hooks, or ended by the watchdog, it returns what
 * it has, marked partial.
 */
export async function runBench(request: BenchRequest, hooks: BenchHooks): Promise<RawBench> {
  const context = await BenchContext.open("parallel", hooks);
  const findings: Findings = {
    timers: timerScale(1, 0).scale,
    blocks: [],
    granularity: [],
    allocators: [],
    pressure: [],
    lockOperations: [],
    native: { state: "absent", reason: ENDED_BEFORE },
    mrelease: { state: "absent", reason: ENDED_BEFORE },
    costs: [],
    notes: ownVariantNotes(context, request),
  };
  let end: Pick<RawBench, "partial" | "hang"> = { partial: false, hang: null };
  try {
    await measureAll(context, request, findings);
  } catch (error) {
    end = { partial: true, hang: hangReportOf(error) };
  } finally {
    await context.close();
  }
  findings.notes.push(...scalingNotes(findings.blocks));
  return toRaw(context, request, findings, end);
}

/** The report of a HangError, null for an interruption; anything else is thrown on. */
function hangReportOf(error: unknown): string | null {
  if (error instanceof HangError) return error.message;
  if (error instanceof Interrupted) return null;
  throw error;
}

async function measureAll(context: BenchContext, request: BenchRequest, findings: Findings): Promise<void> {
  const sizes = request.quick ? QUICK : FULL;
  const { seed } = request;
  if (request.needless) {
    findings.native = { state: "absent", reason: "--needless" };
    findings.mrelease = { state: "absent", reason: "--needless" };
    await setTimers(context, request, sizes, findings);
    await countNeedlessKills(context, request, sizes.pressurePages, findings.pressure);
    return;
  }
  // Before anything is measured: what cannot be built is said at once.
  const layouts = layoutsOf(request, sizes, findings.notes);
  await setTimers(context, request, sizes, findings);
  for (const layout of layouts) {
    for (const frames of request.frames) {
      findings.blocks.push(await measureBlock(context, blockRequest(request, sizes, layout, frames)));
    }
  }
  if (findings.blocks.some((block) => block.state === "broken")) {
    findings.native = { state: "absent", reason: NOTHING_MORE };
    findings.mrelease = { state: "absent", reason: NOTHING_MORE };
    findings.notes.push(NOTHING_MORE);
    return;
  }
  if (request.layoutsOnly) {
    findings.native = { state: "absent", reason: "--layouts-only" };
    return;
  }
  if (request.smaps === null) await measureSides(context, request, sizes, findings);
  const pairs = Math.min(request.pairs, sizes.sidePairs);
  for (const frames of FRAME_ORDERS) {
    const value = await scalingCeiling(context, sizes.calibrationPages, frames, pairs, seed);
    findings.costs.push({
      name: `what a second CPU is worth here (two unrelated victims), ${frames} frames`,
      value,
      unit: "times",
    });
  }
  findings.costs.push(...(await measureCosts(context, sizes.sidePages, pairs, seed)));
  context.throwIfStopped();
  context.hooks.progress("lock operations");
  findings.lockOperations = await timeLockOperations(request.quick);
  context.throwIfStopped();
  context.hooks.progress("the same loop in C");
  findings.native = await measureNativeTwin(context, sizes.calibrationPages, pairs, seed);
  context.throwIfStopped();
  findings.mrelease = await measureMrelease(context, { layouts, pairs, seconds: sizes.mreleaseSeconds });
}

async function setTimers(
  context: BenchContext,
  request: BenchRequest,
  sizes: Sizes,
  findings: Findings,
): Promise<void> {
  const { hz, seed } = request;
  const solo = hz === null ? await soloRate(context, sizes.calibrationPages, CALIBRATION_PROTOCOL, seed) : 0;
  const { scale, rate } = timerScale(hz, solo);
  findings.timers = scale;
  await context.setTimerRate(rate);
}

/** Which of the variants under test come from files, so that a result says what it rests on. */
function ownVariantNotes({ modules }: BenchContext, request: BenchRequest): string[] {
  return modules.flatMap(({ file, protocols, orders }) => [
    ...protocols.filter((name) => name === request.protocol).map((name) => `protocol ${name} from ${file}`),
    ...orders.filter((name) => request.orders.includes(name)).map((name) => `order ${name} from ${file}`),
  ]);
}

/** Granularities side by side, then an allocator in the way, both on one small layout; then several victims. */
async function measureSides(
  context: BenchContext,
  request: BenchRequest,
  sizes: Sizes,
  findings: Findings,
): Promise<void> {
  const pages = sizes.sidePages;
  const layout = buildLayout("vmas-2m", { pages, vmas: Math.max(1, pages / PTRS_PER_PTE), seed: request.seed });
  const base = {
    ...blockRequest(request, sizes, layout, "sequential"),
    pairs: Math.min(request.pairs, sizes.sidePairs),
  };
  for (const lockGranularity of LOCK_GRANULARITIES) {
    findings.granularity.push(await measureBlock(context, { ...base, lockGranularity }));
  }
  if (request.allocators === 0) findings.allocators.push(await measureBlock(context, { ...base, allocators: 1 }));
  findings.pressure.push(await measurePressure(context, pressureRequest(request, sizes.pressurePages)));
}

function blockRequest(
  request: BenchRequest,
  sizes: Sizes,
  layout: Layout,
  frames: BlockRequest["frames"],
): BlockRequest {
  const { protocol, orders, pairs, seed } = request;
  return { ...actorsOf(request), protocol, orders, layout, frames, pairs, seed, warmups: sizes.warmups };
}

/** The layouts asked for, one for each size; one that this machine cannot make is noted and left out. */
function layoutsOf(request: BenchRequest, sizes: Sizes, notes: string[]): Layout[] {
  const { seed } = request;
  if (request.smaps !== null) return [readSmaps(request.smaps, seed)];
  const layouts: Layout[] = [];
  for (const name of request.layouts) {
    try {
      for (const shape of shapesOf(name, request, sizes)) layouts.push(buildLayout(name, { seed, ...shape }));
    } catch (error) {
      if (!(error instanceof NotAvailable)) throw error;
      notes.push(error.message);
    }
  }
  return layouts;
}

/** --pages and --vmas are for layouts that leave a size open; one that does not refuses them when it is named alone. */
function shapesOf(name: string, request: BenchRequest, sizes: Sizes): { pages?: number; vmas?: number }[] {
  const open = LAYOUTS.find((kind) => kind.name === name)?.sizes ?? [];
  const alone = request.layouts.length === 1;
  const pages = alone || open.includes("pages") ? request.pages : [];
  const vmas = alone || open.includes("vmas") ? request.vmas : [];
  const own = open.includes("pages") ? sizes.pages : null;
  return (pages.length > 0 ? pages : [own]).flatMap((size) => {
    const small = request.quick && size !== null && open.includes("vmas") ? Math.ceil(size / PTRS_PER_PTE) : null;
    return (vmas.length > 0 ? vmas : [small]).map((count) => ({
      ...(size !== null && { pages: size }),
      ...(count !== null && { vmas: count }),
    }));
  });
}

/** With several sizes of one layout: how the solo time grows from each size to the next. */
function scalingNotes(blocks: readonly RawBlock[]): string[] {
  const measured = blocks.filter((block) => block.state === "measured");
  return measured.flatMap((block) => {
    const larger = measured
      .filter((other) => sameButLarger(block, other))
      .sort((a, b) => a.layout.presentPages - b.layout.presentPages || moreVmas(block, a) - moreVmas(block, b))[0];
    return larger === undefined ? [] : [scalingNote(block, larger)];
  });
}

function moreVmas(block: MeasuredRawBlock, other: MeasuredRawBlock): number {
  return Math.abs(other.layout.vmas - block.layout.vmas);
}

function sameButLarger(block: MeasuredRawBlock, other: MeasuredRawBlock): boolean {
  const same = block.setup.layout === other.setup.layout && block.setup.frames === other.setup.frames;
  return same && other.layout.presentPages > block.layout.presentPages;
}

/** For sizes that are no doubling apart, the factor of one doubling on the way. */
function scalingNote(block: MeasuredRawBlock, larger: MeasuredRawBlock): string {
  const { layout, frames } = block.setup;
  const growth = larger.layout.presentPages / block.layout.presentPages;
  const factor = (soloNs(larger) / soloNs(block)) ** (1 / Math.log2(growth));
  const from = block.layout.presentPages.toLocaleString("en-US");
  const to = larger.layout.presentPages.toLocaleString("en-US");
  return `${layout}, ${frames} frames, ${from} to ${to} pages: each doubling takes ${factor.toFixed(2)} times as long (solo, medians)`;
}

function soloNs({ variants }: MeasuredRawBlock): number {
  const solo = variants.find(({ order }) => order === null);
  assert(solo !== undefined, "scalingNote: a block without a solo variant");
  return median(solo.trials.map(({ phaseNs }) => phaseNs));
}

function toRaw(
  context: BenchContext,
  request: BenchRequest,
  findings: Findings,
  end: Pick<RawBench, "partial" | "hang">,
): RawBench {
  const { seed, ...options } = request;
  const { cpuTime } = context;
  return { ...end, version: packageVersion(), machine: machineInfo(), options, seed, cpuTime, ...findings };
}
