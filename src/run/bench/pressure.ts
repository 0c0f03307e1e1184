/**
 * Several processes of one size on a machine whose allocators run out of memory, kill after kill by the OOM killer: how
 * many of the kills were needless (`oom/needless` says which are), and how long allocations stalled.
 */

import { PTRS_PER_PTE } from "../../scenario/layout.ts";
import { buildLayout } from "../../scenario/layouts/index.ts";
import { type Actors, actorsOf } from "../actors.ts";
import { machineInfo, oversubscribed } from "../cpu-info.ts";
import { PressureHost } from "../pressure-host.ts";
import type { BenchContext } from "./context.ts";
import type { BenchOptions, PressureSetup, RawPressure } from "./record.ts";

export interface PressureRequest extends Actors {
  readonly protocol: string;
  /** Processes that may be killed, at least two. */
  readonly victims: number;
  /** Of each process. */
  readonly pages: number;
  /** Kills at least. */
  readonly kills: number;
  /** Emulated microseconds that a killed process waits for I/O before it frees anything. */
  readonly aioUs: number;
  readonly seed: number;
}

/** Allocators, unless the bench names some. */
const DEFAULT_ALLOCATORS = 2;
/** Five jiffies: I/O under way when a process is killed, in emulated microseconds. */
const EXIT_AIO_US = 20_000;

/** The row of a bench's own protocol, with processes of `pages` pages that die at once. */
export function pressureRequest(options: BenchOptions & { readonly seed: number }, pages: number): PressureRequest {
  const { protocol, victims, kills, seed } = options;
  const actors = { ...actorsOf(options), allocators: options.allocators || DEFAULT_ALLOCATORS };
  return { ...actors, protocol, victims, kills, pages, aioUs: 0, seed };
}

/** Adds two rows for every protocol of the kernel's: with victims that die at once, and that wait for I/O first. */
export async function countNeedlessKills(
  context: BenchContext,
  options: BenchOptions & { readonly seed: number },
  pages: number,
  into: RawPressure[],
): Promise<void> {
  for (const { name, brokenOnPurpose } of context.kernel.PROTOCOLS) {
    if (brokenOnPurpose) continue;
    for (const aioUs of [0, EXIT_AIO_US]) {
      into.push(await measurePressure(context, { ...pressureRequest(options, pages), protocol: name, aioUs }));
    }
  }
}

/** Rounds thrown away at first. */
const WARM_UPS = 5;

/**
 * Round after round until there were `kills` kills. In each, the allocators want so much that half of the processes have to
 * die for it, rounded down, and the last of them for a half of its memory. A round may end in a panic, when needless kills
 * leave nobody to kill; its kills count. The kthread reaps, as it does whenever the OOM killer kills; it walks as in that
 * kernel version. A broken invariant makes the result "broken", and no figure.
 */
export async function measurePressure(context: BenchContext, request: PressureRequest): Promise<RawPressure> {
  context.throwIfStopped();
  await context.letGo();
  const { protocol, kills, pages, victims } = request;
  const { order } = context.kernel.findProtocol(protocol);
  const setup = setupOf(request, order);
  const host = stage(context, request);
  const sum = { rounds: 0, kills: 0, needless: 0, panics: 0 };
  const stallsUs: number[] = [];
  try {
    for (let round = -WARM_UPS; sum.kills < kills; round++) {
      context.hooks.progress(`${protocol}: ${sum.kills} of ${kills} kills, ${victims} processes of ${pages} pages`);
      const sample = await host.trial(await context.crewFor(host), order);
      if (sample.panicked) await context.close();
      if (round < 0) continue;
      sum.rounds++;
      sum.kills += sample.kills;
      sum.needless += sample.needless;
      sum.panics += sample.panicked ? 1 : 0;
      for (const { stalls } of sample.actors) stallsUs.push(...(stalls?.eachUs ?? []));
    }
  } catch (error) {
    await context.close();
    if (error instanceof Error && error.name === "Violation") return { state: "broken", setup, reason: error.message };
    throw error;
  }
  return { state: "measured", setup, ...sum, stallsUs };
}

function setupOf(request: PressureRequest, order: string): PressureSetup {
  const { protocol, victims, pages, aioUs, allocators, seed } = request;
  // Processes sleep until they are killed: one victim at a time runs, beside the kthread and the allocators.
  const actors = 2 + allocators;
  const crowded = oversubscribed(actors, machineInfo());
  return { protocol, order, victims, pages, aioUs, allocators, seed, actors, oversubscribed: crowded };
}

function stage(context: BenchContext, request: PressureRequest): PressureHost {
  const { protocol, victims, pages, aioUs, seed } = request;
  const vmas = Math.max(1, Math.floor(pages / PTRS_PER_PTE));
  const mappings = buildLayout("vmas-2m", { pages, vmas, seed }).vmas;
  const process = { comm: "victim", mappings, frames: "sequential", seed, aioUs } as const;
  return new PressureHost(context.kernel, {
    ...actorsOf(request),
    reaper: "kthread",
    processes: Array.from({ length: victims }, () => process),
    busy: { startVpn: 0, pages: 0 },
    levels: 4,
    protocol,
    wanted: Math.floor((Math.floor(victims / 2) - 1 / 2) * pages),
    traceEvents: 0,
    lockOrder: false,
  });
}
