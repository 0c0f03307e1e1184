/**
 * Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte: ASPLOS 2010, MSR-TR-2010-3): the
 * runnable party of highest priority runs, and at depth - 1 random steps the one that would run falls to the bottom.
 *
 * A bug that needs `depth` ordering constraints is met by one execution with probability at least 1 / (n * k^(depth-1)),
 * where n is the number of parties and k the number of steps. A timer is a party of its own beside its CPU.
 */

import { Random } from "../../base/random.ts";
import { highest, partyOf } from "../priority.ts";
import type { Scheduler, SchedulerOptions } from "../scheduler.ts";

export function pctScheduler({ seed, depth, cpus, steps, timed }: SchedulerOptions): Scheduler {
  const random = new Random(seed);
  const parties = timed ? 2 * cpus : cpus;
  const odds = parties * steps ** (depth - 1);
  /** From `depth` up at first, 1 to depth - 1 once lowered. */
  const priorities = new Float64Array(2 * cpus);
  const changes = new Int32Array(depth - 1);

  function shufflePriorities(): void {
    for (let i = 0; i < priorities.length; i++) {
      const at = random.below(i + 1);
      priorities[i] = priorities[at] as number;
      priorities[at] = depth + i;
    }
  }

  return {
    name: "pct",
    claim:
      `depth ${depth}: an execution meets a bug that needs ${depth} ordering constraints with probability 1 in ` +
      `${odds.toLocaleString("en-US")} at least (${parties} parties, ${steps} steps)`,
    begin: (_cpus, execution) => {
      random.restart(seed, execution);
      shufflePriorities();
      for (let i = 0; i < changes.length; i++) changes[i] = random.below(steps);
    },
    pick: (view) => {
      for (let i = 0; i < changes.length; i++) {
        if (changes[i] === view.step) priorities[partyOf(highest(view, priorities, cpus), cpus)] = i + 1;
      }
      return highest(view, priorities, cpus);
    },
  };
}
