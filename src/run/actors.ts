/** Who takes part in a kill and how fast, the same in everything that runs kills. */

import type { Reaper } from "../machine/race.ts";
import type { LockGranularity } from "../machine/shape.ts";

export interface Actors {
  readonly reaper: Reaper;
  /** How many call process_mrelease. */
  readonly reapers: number;
  /** Speed of the victim's and the reapers' CPUs, above 0 to 1. */
  readonly victimSpeed: number;
  readonly reaperSpeed: number;
  readonly lockGranularity: LockGranularity;
  readonly allocators: number;
}

/** The actors alone, of a record that has more. */
export function actorsOf(from: Actors): Actors {
  const { reaper, reapers, victimSpeed, reaperSpeed, lockGranularity, allocators } = from;
  return { reaper, reapers, victimSpeed, reaperSpeed, lockGranularity, allocators };
}
