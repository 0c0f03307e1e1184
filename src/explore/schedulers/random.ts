/**
 * Random walk: every CPU that can run is equally likely at every step. The baseline that others must beat
 * (Thomson, Donaldson and Betts, PPoPP 2014).
 */

import { Random } from "../../base/random.ts";
import { timerChoice } from "../schedule.ts";
import type { Scheduler, StepView } from "../scheduler.ts";

/** While somebody can run, one step in this many lets the clock move on to a timer. */
const TIMER_ODDS = 16;

/** The same seed makes the same choices in the same execution, whatever ran before it. */
export function randomScheduler(seed: number): Scheduler {
  const random = new Random(seed);
  return {
    name: "random",
    begin: (_cpus, execution) => random.restart(seed, execution),
    pick: (view: StepView): number => {
      const { enabledCount, timerCount } = view;
      const timer = timerCount > 0 && (enabledCount === 0 || random.below(TIMER_ODDS) === 0);
      if (timer) return timerChoice(view.timers[random.below(timerCount)] as number);
      return view.enabled[enabledCount === 1 ? 0 : random.below(enabledCount)] as number;
    },
  };
}
