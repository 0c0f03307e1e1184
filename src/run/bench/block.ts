/** One block of a bench: one layout on one machine, its variants measured in turn. */

import { UsageError } from "../../base/errors.ts";
import type { FrameOrder } from "../../machine/address-space.ts";
import type { Reaper } from "../../machine/race.ts";
import { countLayout, type Layout, PTRS_PER_PTE } from "../../scenario/layout.ts";
import { buildLayout } from "../../scenario/layouts/index.ts";
import { type Actors, actorsOf } from "../actors.ts";
import { machineInfo, oversubscribed } from "../cpu-info.ts";
import { RaceHost } from "../race-host.ts";
import type { TrialSample } from "../samples.ts";
import { type BenchContext, Interrupted } from "./context.ts";
import { hypotheticalNotes } from "./hypothetical.ts";
import type { BlockSetup, RawBlock, RawVariant } from "./record.ts";

export interface BlockRequest extends Actors {
  readonly layout: Layout;
  readonly frames: FrameOrder;
  readonly protocol: string;
  readonly orders: readonly string[];
  readonly pairs: number;
  /** Trials thrown away before the first pair. */
  readonly warmups: number;
  readonly seed: number;
}

/** A variant while it is measured. */
interface Series {
  readonly name: string;
  readonly order: string | null;
  readonly trials: TrialSample[];
}

const SOLO = "solo";

/** What warms the workers up where every trial of the block itself would have to be built anew: 1 GiB. */
const STAND_IN = { name: "vmas-2m", pages: 2 ** 18, vmas: 2 ** 18 / PTRS_PER_PTE };

function setupOf(request: BlockRequest): BlockSetup {
  const actors = 1 + (request.reaper === "none" ? 0 : request.reapers) + request.allocators;
  return {
    layout: request.layout.name,
    frames: request.frames,
    protocol: request.protocol,
    lockGranularity: request.lockGranularity,
    actors,
    oversubscribed: oversubscribed(actors, machineInfo()),
  };
}

/**
 * Measures solo and every order, in pairs: each round runs all of them, every other round backwards (A B B A), and
 * the first order twice, so that it is its own control (not with one pair, which has no interval). A broken invariant makes the block "broken" and never a
 * figure; a layout that no machine can hold makes it "skipped". Interrupted, it keeps the rounds that are complete;
 * before the first one it throws Interrupted.
 */
export async function measureBlock(context: BenchContext, request: BlockRequest): Promise<RawBlock> {
  context.throwIfStopped();
  await context.letGo();
  const setup = setupOf(request);
  const hypothetical = hypotheticalNotes(context.kernel, request);
  let host: RaceHost;
  try {
    host = stage(context, request);
  } catch (error) {
    if (error instanceof UsageError) return { state: "skipped", setup, reason: error.message };
    throw error;
  }
  const orders = request.reaper === "none" ? [] : request.orders;
  const series: Series[] = [
    { name: SOLO, order: null, trials: [] },
    ...orders.map((order) => ({ name: order, order, trials: [] })),
  ];
  const repeated = series[Math.min(1, series.length - 1)] as Series;
  const again: Series = { ...repeated, trials: [] };
  let pairs = request.pairs;
  try {
    pairs = await measureSeries(context, host, request, request.pairs > 1 ? [...series, again] : series);
  } catch (error) {
    await context.close();
    if (error instanceof Error && error.name === "Violation") {
      return { state: "broken", setup, reason: [error.message, ...hypothetical].join("; ") };
    }
    throw error;
  }
  const control = again.trials.length > 0 ? again.trials : null;
  const variants = series.map((one) => variantResult(one, one === repeated ? control : null, request.reaper));
  const { name, idea, notes } = request.layout;
  return {
    state: "measured",
    setup,
    layout: { name, idea, notes, ...countLayout(request.layout) },
    staging: host.staging,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    pairs,
    variants,
    notes: [
      ...(pairs < request.pairs ? [`interrupted: ${pairs} of ${request.pairs} pairs`] : []),
      ...hypothetical,
      ...idleReaperNotes(variants, request),
    ],
  };
}

function stage(context: BenchContext, request: BlockRequest): RaceHost {
  return new RaceHost(context.kernel, {
    mappings: request.layout.vmas,
    levels: countLayout(request.layout).levels,
    frames: request.frames,
    protocol: request.protocol,
    ...actorsOf(request),
    seed: request.seed,
    traceEvents: 0,
    lockOrder: false,
  });
}

/** Returns how many rounds are complete: all, or those before the user's interruption. Throws it before the first. */
async function measureSeries(
  context: BenchContext,
  host: RaceHost,
  request: BlockRequest,
  series: readonly Series[],
): Promise<number> {
  const title = `${request.layout.name}, ${request.frames} frames, ${request.lockGranularity} locks`;
  await warmUp(context, host.resetsByCopy ? host : stage(context, standIn(request)), request, title, series);
  let pairs = 0;
  try {
    for (; pairs < request.pairs; pairs++) {
      context.hooks.progress(`${title}: pair ${pairs + 1} of ${request.pairs}`);
      const round = pairs % 2 === 0 ? series : [...series].reverse();
      for (const { order, trials } of round) trials.push(await host.trial(await context.crewFor(host), order));
    }
  } catch (error) {
    if (!(error instanceof Interrupted) || pairs === 0) throw error;
    for (const { trials } of series) trials.length = pairs;
  }
  return pairs;
}

function standIn(request: BlockRequest): BlockRequest {
  const { name, ...size } = STAND_IN;
  return { ...request, layout: buildLayout(name, { ...size, seed: request.seed }) };
}

async function warmUp(
  context: BenchContext,
  host: RaceHost,
  request: BlockRequest,
  title: string,
  series: readonly Series[],
): Promise<void> {
  for (let warm = 0; warm < request.warmups; warm++) {
    context.hooks.progress(`${title}: warm-up ${warm + 1} of ${request.warmups}`);
    for (const { order } of series) await host.trial(await context.crewFor(host), order);
  }
}

function variantResult(series: Series, again: readonly TrialSample[] | null, reaper: Reaper): RawVariant {
  const { name, order, trials } = series;
  return { name, order, reaper: order === null ? "none" : reaper, trials, again };
}

function reaperFreed(trial: TrialSample): boolean {
  return trial.actors.some(({ role, pages }) => role === "reaper" && pages > 0);
}

function idleReaperNotes(variants: readonly RawVariant[], request: BlockRequest): string[] {
  const idle = variants.filter(({ order, trials }) => order !== null && !trials.some(reaperFreed));
  if (idle.length === 0 || request.reaper !== "kthread") return [];
  return [
    `the kthread freed nothing (${idle.map(({ name }) => name).join(", ")}): the victim was done before the ` +
      `reaper's delay was over, or had gone where this protocol's reaper cannot follow`,
  ];
}
