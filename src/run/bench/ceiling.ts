/**
 * How much this machine itself gains from a second CPU: one victim torn down alone, against two that have nothing in
 * common torn down side by side, each by a worker of its own. Hardware threads of one core, shared caches and a busy
 * host show here; no order of reaping can gain more.
 */

import { median } from "../../base/median.ts";
import type { FrameOrder } from "../../machine/address-space.ts";
import type { Crew } from "../parallel.ts";
import type { RaceHost } from "../race-host.ts";
import { BenchContext } from "./context.ts";
import { hostLoneVictim } from "./lone-victim.ts";

const WARM_UPS = 4;

/**
 * Unmapping rate of two independent victims at once over that of one alone: 2 is perfect, 1 is no gain. Median over
 * `pairs` rounds of alone, both, alone.
 */
export async function scalingCeiling(
  context: BenchContext,
  pages: number,
  frames: FrameOrder,
  pairs: number,
  seed: number,
): Promise<number> {
  const other = await BenchContext.open("parallel", context.hooks);
  try {
    const sides = [context, other].map(
      (one): Side => ({ context: one, host: hostLoneVictim(one, { pages, frames, seed }) }),
    );
    const first = sides[0] as Side;
    const gains: number[] = [];
    for (let pair = -WARM_UPS; pair < pairs; pair++) {
      context.hooks.progress(`what a second CPU is worth here, ${frames} frames`);
      const [alone = 1] = await phasesOf([first]);
      const both = await phasesOf(sides);
      const [again = 1] = await phasesOf([first]);
      if (pair >= 0) gains.push((alone + again) / Math.max(...both));
    }
    return median(gains);
  } finally {
    await other.close();
  }
}

interface Side {
  readonly context: BenchContext;
  readonly host: RaceHost;
}

/** Runs the sides at once; resetting takes the main thread, so it comes before. */
async function phasesOf(sides: readonly Side[]): Promise<number[]> {
  const crews = await Promise.all(sides.map(({ context, host }) => context.crewFor(host)));
  for (const { host } of sides) host.reset();
  const trials = await Promise.all(sides.map(({ host }, i) => host.run(crews[i] as Crew, null)));
  return trials.map(({ phaseNs }) => phaseNs);
}
