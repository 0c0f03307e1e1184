/** How an execution ended: a union by `state`, so that a caller rules out the bad ends before reading results. */

import type { InternalFault, Violation } from "../base/errors.ts";
import type { Schedule } from "./schedule.ts";

interface Execution {
  /** Choices taken. */
  readonly steps: number;
  /** The choices, for replay. */
  readonly schedule: Schedule;
  /** Virtual nanoseconds at the end. */
  readonly timeNs: number;
}

export type Outcome = Execution &
  (
    | { readonly state: "finished" /** What the programs returned, by CPU. */; readonly results: readonly unknown[] }
    | { readonly state: "violation"; readonly cpu: number; readonly violation: Violation }
    /** Everybody left waits, and no timer is armed. `report` says for what. */
    | { readonly state: "deadlock"; readonly report: string }
    /** More than `bound` steps. */
    | { readonly state: "livelock"; readonly bound: number }
    /** A program threw something else; `internal` when it is a fault of oomrace itself. */
    | { readonly state: "fault"; readonly cpu: number; readonly error: unknown; readonly internal: boolean }
    /** The schedule was over before the programs were. */
    | { readonly state: "ended" }
  );

/**
 * By name, not by class: the kernel is a bundle of its own, with its own copy of the error classes.
 */
export function isViolation(error: unknown): error is Violation {
  return error instanceof Error && error.name === "Violation";
}

/** See `isViolation`. */
export function isInternalFault(error: unknown): error is InternalFault {
  return error instanceof Error && error.name === "InternalFault";
}

/** The end of an execution whose program on `cpu` threw. */
export function endByError(
  cpu: number,
  error: unknown,
):
  | { state: "violation"; cpu: number; violation: Violation }
  | { state: "fault"; cpu: number; error: unknown; internal: boolean } {
  if (isViolation(error)) return { state: "violation", cpu, violation: error };
  return { state: "fault", cpu, error, internal: isInternalFault(error) };
}

/** One line that says how an execution ended. */
export function describeOutcome(outcome: Outcome): string {
  const where = `after ${outcome.steps} steps, ${outcome.timeNs} virtual ns`;
  switch (outcome.state) {
    case "finished":
      return `finished ${where}`;
    case "violation":
      return `CPU ${outcome.cpu} broke ${outcome.violation.message} ${where}`;
    case "deadlock":
      return `deadlock ${where}\n${outcome.report}`;
    case "livelock":
      return `not finished within the bound of ${outcome.bound} steps`;
    case "fault": {
      const text = outcome.error instanceof Error ? outcome.error.message : String(outcome.error);
      return `${outcome.internal ? "fault of oomrace" : "fault"} on CPU ${outcome.cpu} ${where}: ${text}`;
    }
    case "ended":
      return `the schedule ended ${where}, before the programs did`;
  }
}
