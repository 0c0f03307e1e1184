/** What can be said of all interleavings of a race, within a time: one row of the table of proofs. */

import type { ExploreResult } from "../../src/report/explore-result.ts";
import { formatCount, formatShare } from "../../src/report/format.ts";
import { exploreCase } from "./explore-case.ts";

/** Explores with dpor in a process of its own, for `seconds` at most. */
export async function prove(id: string, seconds: number): Promise<ExploreResult> {
  const limits = ["--seconds", String(seconds), "--executions", "1000000000"];
  return exploreCase([id, "--scheduler", "dpor", ...limits]);
}

/** A row of cells: case, verdict, classes, steps an execution, seconds. */
export function proofRow(result: ExploreResult): string[] {
  const { scenario, executions, steps, cutShort, seconds } = result;
  return [
    scenario,
    verdictOf(result),
    formatCount(executions),
    formatCount(Math.round(steps / Math.max(1, executions + cutShort))),
    seconds.toFixed(1),
  ];
}

function verdictOf({ violation, complete, reservation, executions, estimate }: ExploreResult): string {
  if (violation) return `broken: ${violation.invariant}`;
  if (complete) return "complete: none breaks an invariant";
  if (reservation !== null) return "all explored, with a reservation";
  return estimate === null
    ? "stopped"
    : `stopped at about ${formatShare(executions / estimate)} of ${formatCount(estimate)}`;
}
