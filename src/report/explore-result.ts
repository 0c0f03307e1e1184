/** What `oomrace explore` found or tried, as a record; schema "oomrace.explore/1". */

import type { Exploration } from "../explore/explore.ts";

export const EXPLORE_SCHEMA = "oomrace.explore/1";

/** What was explored, beside how. */
export interface ExploredCase {
  /** The case's id, or the path of the module explored. */
  readonly scenario: string;
  /** The protocol that mended it was explored, not the broken one. */
  readonly fixed: boolean;
  readonly title: string;
  /** Or, where a lock is explored, which one; null for a program that is no case. */
  readonly protocol: string | null;
  /** In which the reaper walks; null where none does. */
  readonly order: string | null;
  /** Columns' headings, by CPU. */
  readonly cpus: readonly string[];
  /** Threads that explored. */
  readonly jobs: number;
}

export interface ExploreResult extends ExploredCase {
  readonly schema: typeof EXPLORE_SCHEMA;
  readonly version: string;
  readonly scheduler: string;
  readonly seed: number;
  readonly timeModel: string;
  /** Steps after which an execution counts as livelock. */
  readonly bound: number;
  readonly executions: number;
  readonly steps: number;
  readonly seconds: number;
  /** Share of that spent collecting garbage; null when several threads explored. */
  readonly gcShare: number | null;
  readonly finalStates: number;
  /** Data races were looked for. */
  readonly races: boolean;
  /** Every execution was run; by dpor, one of each class. */
  readonly complete: boolean;
  /** Why not, although the scheduler has none left; else null. */
  readonly reservation: string | null;
  /** Executions in all, as guessed; null when the scheduler cannot tell. */
  readonly estimate: number | null;
  /** Executions broken off because another one stands for them. */
  readonly cutShort: number;
  /** Ctrl-C ended it. */
  readonly interrupted: boolean;
  readonly claim: string | null;
  readonly violation: ViolationRecord | null;
}

export interface ViolationRecord {
  readonly invariant: string;
  readonly message: string;
  /** The data race that it comes of, in words; null when no race was found first. */
  readonly race: string | null;
  /** Worker threads can follow the schedule: it is a case's, and needs no plain access for a scheduling point. */
  readonly forceable: boolean;
  /** For `oomrace replay`. */
  readonly schedule: string;
  readonly steps: number;
  readonly preemptions: number;
  /** Number of the execution that failed, from 0, and its steps before shrinking. */
  readonly execution: number;
  readonly foundSteps: number;
  readonly shrinkSeconds: number;
  readonly diagram: string;
  readonly mermaid: string;
}

/** `schedule` and the diagrams come from the caller, who knows the program's names. */
export function buildExploreResult(
  explored: ExploredCase,
  exploration: Exploration,
  more: Pick<ExploreResult, "version" | "interrupted" | "gcShare"> & { readonly drawn: Drawn | undefined },
): ExploreResult {
  const { violation } = exploration;
  return {
    schema: EXPLORE_SCHEMA,
    version: more.version,
    ...explored,
    scheduler: exploration.scheduler,
    seed: exploration.seed,
    timeModel: exploration.time,
    bound: exploration.maxSteps,
    executions: exploration.executions,
    steps: exploration.steps,
    seconds: exploration.seconds,
    gcShare: more.gcShare,
    finalStates: exploration.finalStates,
    races: exploration.races,
    complete: exploration.complete,
    reservation: exploration.reservation,
    estimate: exploration.estimate,
    cutShort: exploration.cutShort,
    interrupted: more.interrupted,
    claim: exploration.claim,
    violation:
      violation && more.drawn
        ? {
            invariant: violation.invariant,
            message: violation.message,
            race: violation.race?.message ?? null,
            forceable: explored.protocol !== null && !violation.watch.races && !violation.watch.points,
            steps: violation.steps,
            preemptions: violation.preemptions,
            execution: violation.execution,
            foundSteps: violation.foundSteps,
            shrinkSeconds: exploration.shrinkSeconds,
            ...more.drawn,
          }
        : null,
  };
}

export interface Drawn {
  readonly schedule: string;
  readonly diagram: string;
  readonly mermaid: string;
}
