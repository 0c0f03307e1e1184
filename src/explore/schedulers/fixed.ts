/** Replay: follows a recorded schedule, choice for choice. */

import { UsageError } from "../../base/errors.ts";
import type { Schedule } from "../schedule.ts";
import type { Scheduler, StepView } from "../scheduler.ts";

/** Ends the execution when the schedule is over. Throws UsageError, naming the step, when a choice is impossible. */
export function fixedScheduler(schedule: Schedule): Scheduler {
  return {
    name: "fixed",
    begin: () => {},
    pick: (view: StepView): number | undefined => {
      const choice = schedule[view.step];
      if (choice === undefined) return undefined;
      const obstacle = view.run.obstacle(choice);
      if (obstacle) throw new UsageError(`replay: step ${view.step} of the schedule: ${obstacle}`);
      return choice;
    },
  };
}
