/** The solo rate, and the timer scale that follows from it. */

import { median } from "../../base/median.ts";
import type { BenchContext } from "./context.ts";
import { hostLoneVictim } from "./lone-victim.ts";
import type { TimerScale } from "./record.ts";

/** What a kernel is taken to unmap in a second. An assumption of this project; no published figure stands behind it. */
export const KERNEL_PAGES_PER_SECOND = 3.1e6;

const TRIALS = 5;
const WARMUPS = 6;

/** Pages a second that one CPU unmaps alone, with sequential frames; median of a few trials after a warm-up. */
export async function soloRate(context: BenchContext, pages: number, protocol: string, seed: number): Promise<number> {
  const host = hostLoneVictim(context, { pages, frames: "sequential", seed, protocol });
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
