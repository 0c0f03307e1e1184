/**
 * What a scheduler is: it sees who can run and what each is about to do, and names one choice.
 * One file per scheduler in `schedulers/`; a scheduler holds its own state and never touches the arena.
 */

import { OP_SPIN } from "../arena/mem.ts";
import { PENDING_WORDS, type RunState } from "./run-state.ts";

/** One object per execution, updated in place before each step. Schedulers read it and keep no reference. */
export interface StepView {
  /** Number of the step to choose, from 0. */
  readonly step: number;
  /** CPU of the step before, -1 when there was none or a timer fired. */
  readonly last: number;
  /** CPUs that can run: the first `enabledCount` elements, ascending. */
  readonly enabled: Int32Array;
  readonly enabledCount: number;
  /** CPUs whose timer may fire: the first `timerCount` elements, ascending. */
  readonly timers: Int32Array;
  readonly timerCount: number;
  /** A timer may fire only when none that is armed has an earlier deadline. */
  readonly timersInOrder: boolean;
  /** Run states, waits, deadlines, clock, and the pending registers of all CPUs. */
  readonly run: RunState;
  /** The arena. */
  readonly words: Int32Array;
}

/** What a scheduler is made from. `cpus`, `steps` and `timed` come from a trial run of the program. */
export interface SchedulerOptions {
  readonly seed: number;
  readonly cpus: number;
  /** About as many as an execution has. */
  readonly steps: number;
  /** Some CPU waited with a timer armed. */
  readonly timed: boolean;
  /** pct: ordering constraints that the bug looked for may need, from 1. */
  readonly depth: number;
  /** dfs: preemptions that an execution may have at most. */
  readonly bound: number;
  /** dpor: times in a row that a CPU may spend the budget of a spin on a word that nobody changes. */
  readonly spins: number;
  /** dpor: words that invariants look at after every step. */
  readonly watched: readonly number[];
}

export interface Scheduler {
  /** As the command line spells it. */
  readonly name: string;
  /** What its executions promise, for the verdict; absent when that is nothing. */
  readonly claim?: string;
  /** Execution number `execution`, from 0, of a program with that many CPUs begins. What it chooses depends on no other. */
  begin(cpus: number, execution: number): void;
  /**
   * The next choice: an enabled CPU, or `timerChoice` of a CPU whose timer may fire. Asked before every step, also
   * when there is one option only. Undefined ends the execution (outcome "ended").
   */
  pick(view: StepView): number | undefined;
  /**
   * Called when an execution is over: false when there is none left that it has not seen. Absent: there always is.
   */
  next?(): boolean;
  /** Executions that there are in all, guessed from the shape of what was run. Absent: it cannot tell. */
  readonly estimate?: number;
  /** After `next` said false: whether those were all executions there are, not only all within its bound. */
  readonly complete?: boolean;
}

/** True when running this CPU means that its bounded spin runs out of budget: what it waits for has not changed. */
export function spinsInVain(view: StepView, cpu: number): boolean {
  const at = cpu * PENDING_WORDS;
  const pending = view.run.pending;
  return pending[at] === OP_SPIN && view.words[pending[at + 1] as number] === pending[at + 2];
}
