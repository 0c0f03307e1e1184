/**
 * Depth-first enumeration, fewest preemptions first (context bounding: Musuvathi and Qadeer, PLDI 2007): all executions
 * without a preemption, then all with at most one, and so on up to the bound. A preemption is a switch away from a CPU
 * that could have gone on; a timer that fires while the CPU at hand could go on counts as one.
 *
 * Stateless: each execution follows a prefix of choices from the start. Executions with fewer preemptions are run again
 * under each larger bound; there are fewer of them by a factor of the number of steps.
 */

import { assert } from "../../base/assert.ts";
import { canGoOn, optionAt, optionCount } from "../options.ts";
import type { Scheduler, SchedulerOptions, StepView } from "../scheduler.ts";

export function dfsScheduler({ bound }: SchedulerOptions): Scheduler {
  /** By step: the option taken, how many there are to take, and whether any but the first is a preemption. */
  let taken = new Int32Array(1024);
  let options = new Int32Array(1024);
  let length = 0;
  let preemptions = 0;
  let limit = 0;
  /** All executions with that many preemptions have been run; -1 for none. */
  let finished = -1;
  /** Some option was not tried because of the limit. */
  let cut = false;
  let complete = false;

  function widen(): void {
    const copy = (from: Int32Array): Int32Array<ArrayBuffer> => {
      const to = new Int32Array(from.length * 2);
      to.set(from);
      return to;
    };
    taken = copy(taken);
    options = copy(options);
  }

  function meet(view: StepView): void {
    const all = optionCount(view);
    const affordable = canGoOn(view) && preemptions >= limit ? 1 : all;
    if (affordable < all) cut = true;
    if (length === taken.length) widen();
    taken[length] = 0;
    options[length++] = affordable;
  }

  return {
    name: "dfs",
    get claim() {
      if (finished < 0) return "not all executions without a preemption were run";
      return `every execution with at most ${finished} preemption${finished === 1 ? "" : "s"} was run`;
    },
    get complete() {
      return complete;
    },
    begin: () => {
      preemptions = 0;
    },
    pick: (view) => {
      if (view.step === length) meet(view);
      assert(view.step < length, "dfs: a step was left out");
      const option = taken[view.step] as number;
      if (option > 0 && canGoOn(view)) preemptions++;
      return optionAt(view, option);
    },
    next: () => {
      while (length > 0 && (taken[length - 1] as number) + 1 >= (options[length - 1] as number)) length--;
      if (length > 0) {
        taken[length - 1] = (taken[length - 1] as number) + 1;
        return true;
      }
      finished = limit;
      complete = !cut;
      if (!cut || limit === bound) return false;
      cut = false;
      limit++;
      return true;
    },
  };
}
