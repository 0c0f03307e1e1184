/**
 * The schedulers, by the name that the command line knows. (`fixed` is no entry: it follows a schedule instead of
 * choosing.) A new one is a file here and a line below.
 */

import type { Scheduler, SchedulerOptions } from "../scheduler.ts";
import { dfsScheduler } from "./dfs.ts";
import { dporScheduler } from "./dpor.ts";
import { pctScheduler } from "./pct.ts";
import { posScheduler } from "./pos.ts";
import { randomScheduler } from "./random.ts";

export const schedulers: Readonly<Record<string, (options: SchedulerOptions) => Scheduler>> = {
  random: ({ seed }) => randomScheduler(seed),
  pct: pctScheduler,
  pos: posScheduler,
  dfs: dfsScheduler,
  dpor: dporScheduler,
};
