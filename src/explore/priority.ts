/** Choosing by priority: one number per CPU, then one per timer, as timers are parties of their own. */

import { timerChoice } from "./schedule.ts";
import type { StepView } from "./scheduler.ts";

/** Index in a table of 2 * `cpus` priorities of the party that a choice lets go on. */
export function partyOf(choice: number, cpus: number): number {
  return choice < 0 ? cpus + ~choice : choice;
}

/** The choice of the highest priority, which are all above -1; the first of several. */
export function highest(view: StepView, priorities: Float64Array, cpus: number): number {
  let best = -1;
  let choice = 0;
  for (let i = 0; i < view.enabledCount; i++) {
    const cpu = view.enabled[i] as number;
    const priority = priorities[cpu] as number;
    if (priority <= best) continue;
    best = priority;
    choice = cpu;
  }
  for (let i = 0; i < view.timerCount; i++) {
    const cpu = view.timers[i] as number;
    const priority = priorities[cpus + cpu] as number;
    if (priority <= best) continue;
    best = priority;
    choice = timerChoice(cpu);
  }
  return choice;
}
