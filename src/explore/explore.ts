/**
 * Exploring: executes a program under a scheduler again and again, until an execution fails, the scheduler has none left,
 * or a limit is met; then shrinks the failure.
 */

import { assert } from "../base/assert.ts";
import { UsageError } from "../base/errors.ts";
import { DEFAULT_MAX_STEPS, type TimeModel } from "./engine.ts";
import { Executor, watching } from "./executor.ts";
import type { Failure, Finding } from "./finding.ts";
import { type Program, type Subject, subjectOf } from "./program.ts";
import type { Schedule } from "./schedule.ts";
import { SchedulePacker, writeScheduleString } from "./schedule-string.ts";
import type { Scheduler, StepView } from "./scheduler.ts";
import { fixedScheduler } from "./schedulers/fixed.ts";
import { schedulers } from "./schedulers/index.ts";
import { randomScheduler } from "./schedulers/random.ts";
import { shrink } from "./shrink.ts";
import { StateSet } from "./state-set.ts";

export interface ExploreOptions {
  /** One of `schedulers`. Default "pos". */
  readonly scheduler?: string;
  /** The same seed repeats the same executions. Default 1. */
  readonly seed?: number;
  /** Executions at most. Default 100,000. */
  readonly executions?: number;
  /** Real seconds at most. Default: no limit. */
  readonly seconds?: number;
  /** pct: ordering constraints that the bug may need. Default 3. */
  readonly depth?: number;
  /** dfs: preemptions of an execution at most. Default 2. */
  readonly bound?: number;
  /** dpor: times in a row that a thread may spend the budget of a spin on a word that nobody changes. Default 1. */
  readonly spins?: number;
  /** Steps after which an execution counts as livelock. Default DEFAULT_MAX_STEPS. */
  readonly maxSteps?: number;
  readonly time?: TimeModel;
  /** Executions to spend on shrinking. Default 20,000; 0 leaves the failure as it was found. */
  readonly shrinkBudget?: number;
}

/** What was tried and what came of it. Only `complete` says that there is nothing to find. */
export interface Exploration {
  readonly scheduler: string;
  readonly seed: number;
  readonly time: TimeModel;
  readonly maxSteps: number;
  /** What the scheduler promises for the executions that were run. */
  readonly claim: string | null;
  readonly executions: number;
  readonly steps: number;
  /** Real seconds, shrinking apart. */
  readonly seconds: number;
  readonly shrinkSeconds: number;
  /** Executions that the scheduler broke off because another one stands for them; not among `executions`. */
  readonly cutShort: number;
  /** Different final states that were seen; a lower bound from `StateSet.LIMIT` on. */
  readonly finalStates: number;
  /** Every execution that there is was run. */
  readonly complete: boolean;
  /** Undefined when no execution failed. */
  readonly violation?: ExploredViolation;
}

export interface ExploredViolation extends Failure {
  /** `schedule` as a string; see `schedule-string`. */
  readonly text: string;
  /** The execution that failed first, from 0, and its steps before shrinking. */
  readonly execution: number;
  readonly foundSteps: number;
}

export const DEFAULT_SCHEDULER = "pos";
export const DEFAULT_EXECUTIONS = 100_000;
const DEFAULT_SHRINK_BUDGET = 20_000;
/** Of executions: the first so many, and one in so many after, are run twice and compared. */
const AUDIT_FIRST = 8;
const AUDIT_EVERY = 1024;

/**
 * Explores and blocks until it is over. Throws UsageError on options that make no sense, and Nondeterminism when a program
 * does not do the same thing twice under the same schedule.
 */
export function explore(program: Program, options: ExploreOptions = {}): Exploration {
  const explorer = new Explorer(program, options);
  while (!explorer.advance(Number.POSITIVE_INFINITY));
  return explorer.result();
}

/** A program does not do the same thing twice under the same schedule. Neither a race that was found nor a fault of oomrace. */
export class Nondeterminism extends Error {
  override readonly name = "Nondeterminism";
}

interface Failed {
  readonly finding: Finding;
  readonly execution: number;
  readonly schedule: Schedule;
}

/** An exploration that can be watched and stopped: `advance` it slice by slice, then ask for the `result`. */
export class Explorer {
  readonly subject: Subject;
  readonly #options: ExploreOptions;
  readonly #executor: Executor;
  readonly #scheduler: Scheduler;
  readonly #states = new StateSet();
  #executions = 0;
  #cutShort = 0;
  #steps = 0;
  #ms = 0;
  #exhausted = false;
  #failed: Failed | undefined;

  constructor(program: Program, options: ExploreOptions = {}) {
    const { maxSteps = DEFAULT_MAX_STEPS, time = "ordered" } = options;
    this.#options = options;
    this.subject = subjectOf(program, { maxSteps, time });
    this.#executor = new Executor(this.subject);
    this.#scheduler = this.#makeScheduler();
  }

  get executions(): number {
    return this.#executions;
  }

  /** Goes on for about `ms` real milliseconds; true when it is over. */
  advance(ms: number): boolean {
    const began = performance.now();
    const until = began + Math.min(ms, this.#limitMs - this.#ms);
    while (!this.#isOver()) {
      this.#executeOne();
      if ((this.#executions & 15) === 0 && performance.now() >= until) break;
    }
    this.#ms += performance.now() - began;
    return this.#isOver();
  }

  /** What came of it so far; shrinks the failure, if there is one. */
  result(stopped?: () => boolean): Exploration {
    const { seed = 1, time = "ordered", maxSteps = DEFAULT_MAX_STEPS } = this.#options;
    const began = performance.now();
    const violation = this.#failed && this.#explain(this.#failed, stopped);
    return {
      scheduler: this.#scheduler.name,
      seed,
      time,
      maxSteps,
      claim: this.#scheduler.claim ?? null,
      executions: this.#executions - this.#cutShort,
      steps: this.#steps,
      seconds: this.#ms / 1000,
      cutShort: this.#cutShort,
      shrinkSeconds: violation ? (performance.now() - began) / 1000 : 0,
      finalStates: this.#states.size,
      complete: this.#exhausted && this.#scheduler.complete === true && !violation,
      ...(violation && { violation }),
    };
  }

  get #limitMs(): number {
    return (this.#options.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  }

  #isOver(): boolean {
    const { executions = DEFAULT_EXECUTIONS } = this.#options;
    return this.#failed !== undefined || this.#exhausted || this.#executions >= executions || this.#ms >= this.#limitMs;
  }

  #executeOne(): void {
    const execution = this.#executions++;
    const audited = execution < AUDIT_FIRST || execution % AUDIT_EVERY === 0;
    const finding = audited ? this.#executeTwice(execution) : this.#executor.execute(this.#scheduler, execution);
    this.#steps += this.#executor.engine.steps;
    if (this.#executor.ended) this.#cutShort++;
    else if (finding) this.#failed = { finding, execution, schedule: this.#executor.engine.takeSchedule() };
    else this.#states.add(this.subject.words, this.subject.state);
    if (this.#scheduler.next?.() === false) this.#exhausted = true;
  }

  /** The second time by the schedule of the first: what each step could choose from must be the same. */
  #executeTwice(execution: number): Finding | undefined {
    const digests = [0, 0];
    const digesting = (which: number) => (view: StepView, choice: number) => {
      digests[which] = digestOf(digests[which] as number, view, choice);
    };
    const finding = this.#executor.execute(watching(this.#scheduler, digesting(0)), execution);
    const schedule = this.#executor.engine.takeSchedule();
    try {
      this.#executor.execute(watching(fixedScheduler(schedule), digesting(1)));
    } catch (error) {
      // A choice of the first time was not there the second time.
      if (!(error instanceof UsageError)) throw error;
    }
    if (digests[0] === digests[1]) return finding;
    throw new Nondeterminism(
      `explore: execution ${execution} did not repeat: under the same schedule other CPUs could run, or other operations ` +
        "were due; some thread depends on more than the shared words",
    );
  }

  #explain({ finding, execution, schedule }: Failed, stopped?: () => boolean): ExploredViolation {
    const { shrinkBudget = DEFAULT_SHRINK_BUDGET } = this.#options;
    const executor = this.#executor;
    const found = executor.measure(fixedScheduler(schedule));
    assert(found?.invariant === finding.invariant, "explore: the failure did not repeat");
    const least = shrink(executor, found, { budget: shrinkBudget, ...(stopped && { stopped }) });
    const packer = new SchedulePacker(least.schedule);
    executor.execute(packer.scheduler);
    const text = writeScheduleString(packer.packed(this.subject.codeHash));
    return { ...least, text, execution, foundSteps: found.steps };
  }

  #makeScheduler(): Scheduler {
    const { scheduler = DEFAULT_SCHEDULER, seed = 1, depth = 3, bound = 2, spins = 1 } = this.#options;
    const make = schedulers[scheduler];
    if (!make) throw new UsageError(`scheduler "${scheduler}": expected one of ${Object.keys(schedulers).join(", ")}`);
    checkWhole("depth", depth, 1);
    checkWhole("bound", bound, 0);
    checkWhole("spins", spins, 1);
    const cpus = this.subject.engine.programs.length;
    return make({ seed, depth, bound, spins, cpus, ...this.#tryOnce(seed) });
  }

  /** Steps and timers of one execution, for schedulers that want to know before. */
  #tryOnce(seed: number): { steps: number; timed: boolean } {
    let timed = false;
    this.#executor.execute(
      watching(randomScheduler(seed), ({ timerCount }) => {
        if (timerCount > 0) timed = true;
      }),
    );
    return { steps: Math.max(1, this.#executor.engine.steps), timed };
  }
}

function checkWhole(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new UsageError(`explore: ${name}: got ${value}, expected a whole number from ${least} on`);
}

/** Of who could go on and what the one chosen was about to do. */
function digestOf(digest: number, view: StepView, choice: number): number {
  let next = Math.imul(digest ^ choice, 0x9e3779b1);
  for (let i = 0; i < view.enabledCount; i++) next = Math.imul(next ^ (view.enabled[i] as number), 0x85ebca6b);
  for (let i = 0; i < view.timerCount; i++) next = Math.imul(next ^ ~(view.timers[i] as number), 0xc2b2ae35);
  for (const word of view.run.pending) next = Math.imul(next ^ word, 0x27d4eb2f);
  return next ^ (next >>> 15);
}
