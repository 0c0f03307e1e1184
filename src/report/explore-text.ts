/** `oomrace explore` as text: the verdict first, then how it comes about. */

import { DEFAULT_MAX_STEPS } from "../explore/engine.ts";
import type { ExploreResult, ViolationRecord } from "./explore-result.ts";
import { formatCount, formatCounted, formatNs, formatShare } from "./format.ts";

type Tried = Pick<
  ExploreResult,
  | "complete"
  | "interrupted"
  | "executions"
  | "steps"
  | "finalStates"
  | "claim"
  | "seconds"
  | "bound"
  | "scheduler"
  | "seed"
  | "timeModel"
  | "gcShare"
  | "races"
  | "reservation"
  | "estimate"
>;

/** With `mermaid` the violation is drawn as a Mermaid sequence diagram. */
export function renderExplore(result: ExploreResult, mermaid = false): string {
  const { scenario, fixed, title, protocol, violation } = result;
  const head = `${scenario}${fixed ? " --fixed" : ""}${protocol === null ? "" : ` (${protocol})`}: ${title}`;
  return [head, violation ? renderViolation(result, violation, mermaid) : renderStopped(result)].join("\n\n");
}

function renderViolation(result: ExploreResult, violation: ViolationRecord, mermaid: boolean): string {
  const { message, steps, preemptions, foundSteps, execution, shrinkSeconds, schedule, race, forceable } = violation;
  const under = exploredUnder(result);
  const again = shellWord(schedule);
  return [
    `VIOLATION ${message}`,
    `  execution ${formatCount(execution + 1)} of ${scheduling(result)}, after ${seconds(result.seconds)}`,
    `  ${formatCounted(steps, "step")}, ${formatCounted(preemptions, "preemption")} (found with ${formatCount(foundSteps)} steps, shrunk in ${seconds(shrinkSeconds)})`,
    ...raceLines(message, race ?? undefined),
    "",
    mermaid ? violation.mermaid : violation.diagram,
    "",
    `again, step by step: oomrace replay ${under}${again}`,
    ...(forceable ? [`on real threads:     oomrace replay --engine forced ${under}${again}`] : []),
  ].join("\n");
}

/** What `replay` must be told beside the schedule; mostly nothing. */
function exploredUnder({ timeModel, bound }: ExploreResult): string {
  return `${timeModel === "ordered" ? "" : `--time ${timeModel} `}${bound === DEFAULT_MAX_STEPS ? "" : `--max-steps ${bound} `}`;
}

/** Paths may hold what a shell would take apart. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The data race that a violation comes of, unless it is the violation itself. */
export function raceLines(message: string, race?: string): string[] {
  return race === undefined || race === message ? [] : ["", `it comes of a ${race.replaceAll("\n", "\n  ")}`];
}

/** The verdict on an exploration that found nothing. */
export function renderStopped(result: Tried): string {
  const { complete, interrupted, executions, steps, finalStates, claim } = result;
  const tried = `${formatCounted(executions, "execution")} by ${scheduling(result)}, ${formatCounted(steps, "step")}, ${formatCounted(finalStates, "final state")}, in ${seconds(result.seconds)}${garbage(result)}`;
  const all = result.scheduler === "dpor" ? "every class of interleavings was explored" : "every execution was run";
  const why = complete
    ? `COMPLETE: ${all}, and none breaks an invariant`
    : `${interrupted ? "INTERRUPTED" : "STOPPED"}: no violation in what was tried, which says nothing about the rest`;
  return [
    why,
    `  ${tried}`,
    ...(claim === null ? [] : [`  ${claim}`]),
    ...rest(result),
    ...(result.races || result.reservation !== null ? [] : ["  data races were not looked for"]),
    `  an execution of ${formatCount(result.bound)} steps would count as livelock`,
  ].join("\n");
}

/** What there is beyond what was tried, as far as the scheduler knows. */
function rest({ complete, reservation, estimate, executions }: Tried): string[] {
  if (reservation !== null) return [`  not complete: ${reservation}`];
  if (complete || estimate === null) return [];
  return [`  about ${formatShare(executions / estimate)} of a guessed ${formatCount(estimate)}`];
}

function scheduling({ scheduler, seed, timeModel }: Pick<ExploreResult, "scheduler" | "seed" | "timeModel">): string {
  return `${scheduler}, seed ${seed}, timers ${timeModel}`;
}

function garbage({ gcShare }: Pick<ExploreResult, "gcShare">): string {
  return gcShare === null ? "" : ` (${formatShare(gcShare)} of it garbage collection)`;
}

function seconds(value: number): string {
  return formatNs(value * 1e9);
}
