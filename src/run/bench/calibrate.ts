/** The solo rate, and the timer scale that follows from it. */

import { median } from "../../base/median.ts";
import { buildLayout } from "../../scenario/layouts/index.ts";
import { RaceHost } from "../race-host.ts";
import type { BenchContext } from "./context.ts";
import type { TimerScale } from "./record.ts";

/** What the kernel unmaps in a second: kernel-facts 2.1, 6.4 GB of exit in 2.1 s of CPU time. */
export const KERNEL_PAGES_PER_SECOND = 3.1e6;

const TRIALS = 5;
const WARMUPS = 6;

/** Pages a second that one CPU unmaps alone, with sequential frames; median of a few trials after a warm-up. */
export async function soloRate(context: BenchContext, pages: number, protocol: string, seed: number): Promise<number> {
  const layout = buildLayout("vmas-2m", { pages, vmas: Math.max(1, Math.floor(pages / 512)), seed });
  const host = new RaceHost(context.kernel, {
    mappings: layout.vmas,
    levels: 4,
    frames: "sequential",
    protocol,
    lockGranularity: "table",
    reaper: "none",
    allocators: 0,
    seed,
    traceEvents: 0,
    lockOrder: false,
  });
  const rates: number[] = [];
  for (let i = 0; i < WARMUPS + TRIALS; i++) {
    context.hooks.progress(`solo rate: trial ${i + 1} of ${WARMUPS + TRIALS}`);
    const trial = await host.trial(await context.crewFor(host), null);
    if (i >= WARMUPS) rates.push((trial.pages * 1e9) / trial.phaseNs);
  }
  return median(rates);
}

/** `rate`: kernel seconds per real second, by the user's word or so that both unmap the same in a second. */
export function timerScale(rate: number | null, solo: number): { scale: TimerScale; rate: number } {
  const used = rate ?? solo / KERNEL_PAGES_PER_SECOND;
  const scale = {
    kernelSecondMs: 1000 / used,
    kernelPagesPerSecond: KERNEL_PAGES_PER_SECOND,
    soloPagesPerSecond: rate === null ? solo : null,
  };
  return { scale, rate: used };
}
