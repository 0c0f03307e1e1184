/** What came of exploring a program of one's own, as text: the verdict, and the interleaving that breaks it, drawn. */

import type { Exploration } from "../explore/explore.ts";
import { type Program, subjectOf, threadTitles } from "../explore/program.ts";
import { traceSchedule } from "../explore/step-trace.ts";
import { type DiagramOptions, drawText } from "./diagram.ts";
import { raceLines, renderStopped } from "./explore-text.ts";
import { formatCount, formatCounted } from "./format.ts";

export type ExplorationTextOptions = Omit<DiagramOptions, "end">;

/** `exploration` is what `explore(program)` returned. Columns are headed by the names of the threads' functions. */
export function renderExploration(
  program: Program,
  exploration: Exploration,
  options: ExplorationTextOptions = {},
): string {
  const { violation, scheduler, seed, time, maxSteps } = exploration;
  if (!violation)
    return renderStopped({ ...exploration, timeModel: time, bound: maxSteps, interrupted: false, gcShare: null });
  const { message, execution, steps, preemptions, schedule, watch, race } = violation;
  const trace = traceSchedule(subjectOf(program, { maxSteps, time }), schedule, watch);
  const titles = threadTitles(program);
  const end = message.split("\n", 1)[0] as string;
  return [
    `VIOLATION ${message}`,
    `  execution ${formatCount(execution + 1)} of ${scheduler}, seed ${seed}; shrunk to ${formatCounted(steps, "step")}, ${formatCounted(preemptions, "preemption")}`,
    ...raceLines(message, race?.message),
    "",
    drawText(trace.steps, program.threads.length, { titles, end, ...options }),
  ].join("\n");
}
