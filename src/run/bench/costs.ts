/** What measuring and checking cost: the clock, the trace ring switched on, and every check of the stress build. */

import { median } from "../../base/median.ts";
import type { RaceHost } from "../race-host.ts";
import { BenchContext } from "./context.ts";
import { hostLoneVictim } from "./lone-victim.ts";
import type { Cost } from "./record.ts";

const TRACE_EVENTS = 4096;
const CLOCK_READS = 200_000;

/** Median solo rate of two hosts measured in turn: A B B A. */
async function pairedRates(
  context: BenchContext,
  a: RaceHost,
  b: RaceHost,
  pairs: number,
): Promise<readonly [number, number]> {
  const rates: [number[], number[]] = [[], []];
  for (let pair = -2; pair < pairs; pair++) {
    const round = pair % 2 === 0 ? [0, 1] : [1, 0];
    for (const side of round) {
      const host = side === 0 ? a : b;
      const trial = await host.trial(await context.crewFor(host), null);
      if (pair >= 0) (rates[side] as number[]).push((trial.pages * 1e9) / trial.phaseNs);
    }
  }
  return [median(rates[0]), median(rates[1])];
}

function hostOf(context: BenchContext, pages: number, traceEvents: number, seed: number): RaceHost {
  return hostLoneVictim(context, { pages, frames: "sequential", seed, traceEvents });
}

/** Measures them on `pages` pages; a few seconds. */
export async function measureCosts(context: BenchContext, pages: number, pairs: number, seed: number): Promise<Cost[]> {
  context.hooks.progress("what measuring costs");
  const [off, on] = await pairedRates(
    context,
    hostOf(context, pages, 0, seed),
    hostOf(context, pages, TRACE_EVENTS, seed),
    pairs,
  );
  const stress = await BenchContext.open("stress", context.hooks);
  try {
    const checked = hostOf(stress, pages, 0, seed);
    const [first, second] = await pairedRates(stress, checked, checked, Math.ceil(pairs / 2));
    return [
      { name: "solo rate, measured build, trace ring off", value: off, unit: "pages/s" },
      { name: "solo rate, measured build, trace ring on", value: on, unit: "pages/s" },
      {
        name: "solo rate, checked build (poison, quarantine, held locks)",
        value: Math.max(first, second),
        unit: "pages/s",
      },
      { name: "one clock read (contended path only)", value: clockReadNs(context), unit: "ns" },
    ];
  } finally {
    await stress.close();
  }
}

function clockReadNs(context: BenchContext): number {
  const port = context.kernel.soloPort();
  const since = performance.now();
  for (let i = 0; i < CLOCK_READS; i++) port.nowNs();
  return ((performance.now() - since) * 1e6) / CLOCK_READS;
}
