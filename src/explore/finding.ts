/** What an exploration looks for: an execution that ends badly, in words that do not depend on the order of its steps. */

import type { Ending } from "./engine.ts";
import { isViolation } from "./outcome.ts";
import type { Schedule } from "./schedule.ts";
import { describeThrown, type PlaceOf } from "./source-place.ts";

export interface Finding {
  /** "I1" to "I12" or a lock's rule, "check", "invariant", "data race", "lock order", "deadlock", "livelock", or "error" for what a thread threw. */
  readonly invariant: string;
  readonly message: string;
}

/** A finding with the way there. */
export interface Failure extends Finding {
  readonly schedule: Schedule;
  readonly steps: number;
  /** Switches away from a CPU that could have gone on. */
  readonly preemptions: number;
  /** CPUs that took a step. */
  readonly cpus: number;
}

/**
 * What is wrong with an execution that ended so; undefined when nothing is. Rethrows a fault of oomrace itself. `placeOf`
 * leads from the code that ran to its author's files.
 */
export function findingOf(ending: Ending, placeOf?: PlaceOf): Finding | undefined {
  switch (ending.state) {
    case "violation":
      return { invariant: ending.violation.invariant, message: ending.violation.message };
    case "deadlock":
      return { invariant: "deadlock", message: `nobody can go on\n${ending.report}` };
    case "livelock":
      return { invariant: "livelock", message: `not finished within the bound of ${ending.bound} steps` };
    case "fault":
      if (ending.internal) throw ending.error;
      return { invariant: "error", message: `CPU ${ending.cpu} threw ${describeThrown(ending.error, placeOf)}` };
    case "finished":
    case "ended":
      return undefined;
  }
}

/** What a look at memory throws as a Violation; undefined when it throws nothing. All else that it throws goes on. */
export function findingBy(look: () => void): Finding | undefined {
  try {
    look();
  } catch (error) {
    if (!isViolation(error)) throw error;
    return { invariant: error.invariant, message: error.message };
  }
  return undefined;
}
