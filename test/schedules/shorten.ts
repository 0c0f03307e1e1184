/** Fewer turns to the same violation, so that a person can read a found schedule. */

import type { Outcome } from "../../src/explore/outcome.ts";
import { type Schedule, timerChoice } from "../../src/explore/schedule.ts";
import type { Scheduler } from "../../src/explore/scheduler.ts";
import { readSchedule, writeSchedule } from "./frozen.ts";

/** Follows a schedule as far as it is possible, leaves out what is not, then goes on with the CPU at hand. */
function lenientScheduler(schedule: Schedule): Scheduler {
  let at = 0;
  let current = 0;
  return {
    name: "lenient",
    begin: () => {
      at = 0;
    },
    pick({ run, enabled, enabledCount, timers }) {
      while (at < schedule.length) {
        const choice = schedule[at++] as number;
        if (run.obstacle(choice) !== "") continue;
        if (choice >= 0) current = choice;
        return choice;
      }
      if (run.isReady(current)) return current;
      current = enabledCount > 0 ? (enabled[0] as number) : current;
      return enabledCount > 0 ? current : timerChoice(timers[0] as number);
    },
  };
}

/** Leaves turns out, one after another, as long as `run` still ends in a violation of the same invariant. */
export function shorten(found: Outcome, run: (scheduler: Scheduler) => Outcome): Outcome {
  let best = found;
  for (let again = true; again; ) {
    again = false;
    const turns = writeSchedule(best.schedule).split(" ");
    for (let skip = 0; skip < turns.length && !again; skip++) {
      const outcome = run(lenientScheduler(readSchedule(turns.toSpliced(skip, 1).join(" "))));
      again = isSame(found, outcome) && writeSchedule(outcome.schedule).split(" ").length < turns.length;
      if (again) best = outcome;
    }
  }
  return best;
}

function isSame(one: Outcome, other: Outcome): boolean {
  return (
    one.state === "violation" && other.state === "violation" && one.violation.invariant === other.violation.invariant
  );
}
