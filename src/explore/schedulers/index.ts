/**
 * The schedulers, by the name that the command line knows: `random` walks at random. (`fixed` is no entry: it
 * follows a schedule instead of a seed.) A new one is a file here and a line below.
 */

import type { Scheduler } from "../scheduler.ts";
import { randomScheduler } from "./random.ts";

export const schedulers: Readonly<Record<string, (seed: number) => Scheduler>> = {
  random: randomScheduler,
};
