/**
 * Exploring: executes a program under a scheduler again and again, until an execution fails, the scheduler has none left,
 * or a limit is met; then shrinks the failure.
 */

import { assert } from "../base/assert.ts";
import { UsageError } from "../base/errors.ts";
import { withAtomicsWatched } from "./atomics-guard.ts";
import { findDamage } from "./damage.ts";
import { DEFAULT_MAX_STEPS, type TimeModel } from "./engine.ts";
import { Executor, type Watch, watching } from "./executor.ts";
import type { Failure, Finding } from "./finding.ts";
import { type Program, type Subject, subjectOf } from "./program.ts";
import { DATA_RACE } from "./race-detector.ts";
import { explainRace, type RaceReport } from "./race-report.ts";
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
  /** Look for data races, too; `complete` says less without. Default true. */
  readonly races?: boolean;
  /** Executions to spend on shrinking. Default 20,000; 0 leaves the failure as it was found, and what a race does unknown. */
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
  /** Data races were looked for. */
  readonly races: boolean;
  /**
   * Every execution that there is was run (dpor: one of each class), and data races were looked for: they would make more
   * executions than steps show.
   */
  readonly complete: boolean;
  /** Why it is not complete although the scheduler has none left; null when there is nothing to say. */
  readonly reservation: string | null;
  /** Executions that there are in all, as guessed from those that were run; null when the scheduler cannot tell. */
  readonly estimate: number | null;
  /** Undefined when no execution failed. */
  readonly violation?: ExploredViolation;
}

export interface ExploredViolation extends Failure {
  /** `schedule` as a string; see `schedule-string`. */
  readonly text: string;
  /** The execution that failed first, from 0, and its steps before shrinking. */
  readonly execution: number;
  readonly foundSteps: number;
  /** Under which the schedule fails again. */
  readonly watch: Watch;
  /**
   * The data race that it comes of, where one was found first. `invariant` is "data race" then only if the search for what
   * the race does found nothing.
   */
  readonly race?: RaceReport;
}

export const DEFAULT_SCHEDULER = "pos";
export const DEFAULT_EXECUTIONS = 100_000;
const DEFAULT_SHRINK_BUDGET = 20_000;
/** Of executions: the first so many, and one in so many after, are run twice and compared. */
const AUDIT_FIRST = 8;
const AUDIT_EVERY = 1024;
/** The first ones, and of the audited ones some more, are also watched for what threads do past the seam. */
const WATCH_EVERY = 16 * AUDIT_EVERY;

/**
 * Explores and blocks until it is over. Throws UsageError on options that make no sense, Nondeterminism when a program
 * does not do the same thing twice under the same schedule, and UnknownPrimitive when a thread uses `Atomics` itself.
 */
export function explore(program: Program, options: ExploreOptions = {}): Exploration {
  const explorer = new Explorer(program, options);
  while (!explorer.advance(Number.POSITIVE_INFINITY));
  const result = explorer.result();
  // An arena of the caller's is as it was before, so that the program can be run again.
  explorer.subject.reset();
  return result;
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

/** What came of a range of executions, up to the first that failed. Plain data: it crosses threads. */
export interface SearchPart {
  readonly executions: number;
  readonly steps: number;
  /** Hashes of the final states that this explorer had not met before. */
  readonly states: Float64Array;
  readonly failed: Failed | undefined;
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
    this.#executor = new Executor(this.subject, { races: this.#races });
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
      this.#executeOne(this.#executions);
      if ((this.#executions & 15) === 0 && performance.now() >= until) break;
    }
    this.#ms += performance.now() - began;
    return this.#isOver();
  }

  /**
   * Of several explorers that share the work one's part: executions `from` to `to` (exclusive), until one fails or `stopped`,
   * which is asked before each, says so. For schedulers whose executions depend on their numbers alone, those without `next`.
   */
  search(from: number, to: number, stopped: () => boolean): SearchPart {
    const [executions, steps] = [this.#executions, this.#steps];
    const states: number[] = [];
    for (let execution = from; execution < to && !this.#failed && !stopped(); execution++) {
      const known = this.#states.size;
      this.#executeOne(execution);
      if (this.#states.size > known) states.push(this.#states.latest);
    }
    const part = { executions: this.#executions - executions, steps: this.#steps - steps, failed: this.#failed };
    this.#failed = undefined;
    return { ...part, states: Float64Array.from(states) };
  }

  /** Takes over what others found by `search`: every range that precedes a failure, then the one with it; `ms` for all. */
  adopt(parts: readonly SearchPart[], ms: number): void {
    for (const { executions, steps, states, failed } of parts) {
      this.#executions += executions;
      this.#steps += steps;
      for (const state of states) this.#states.add(state);
      this.#failed = failed;
    }
    this.#ms += ms;
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
      races: this.#races,
      complete: this.#nothingLeft && this.#reservation === null && !violation,
      reservation: this.#nothingLeft ? this.#reservation : null,
      estimate: this.#scheduler.estimate ?? null,
      ...(violation && { violation }),
    };
  }

  get #nothingLeft(): boolean {
    return this.#exhausted && this.#scheduler.complete === true;
  }

  get #reservation(): string | null {
    if (!this.#races) return "data races were not looked for";
    // It passes by states that differ only in what it takes nobody to look at.
    if (this.#scheduler.name !== "dpor" || this.subject.watched) return null;
    return "which words its invariants look at after every step is not known, and not every order of writes to them was tried";
  }

  get #races(): boolean {
    return this.#options.races ?? true;
  }

  get #shrinkBudget(): number {
    return this.#options.shrinkBudget ?? DEFAULT_SHRINK_BUDGET;
  }

  get #limitMs(): number {
    return (this.#options.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  }

  #isOver(): boolean {
    const { executions = DEFAULT_EXECUTIONS } = this.#options;
    return this.#failed !== undefined || this.#exhausted || this.#executions >= executions || this.#ms >= this.#limitMs;
  }

  #executeOne(execution: number): void {
    this.#executions++;
    const audited = execution < AUDIT_FIRST || execution % AUDIT_EVERY === 0;
    const finding = audited ? this.#audit(execution) : this.#executor.execute(this.#scheduler, execution);
    this.#steps += this.#executor.engine.steps;
    if (finding) this.#failed = { finding, execution, schedule: this.#executor.engine.takeSchedule() };
    else if (this.#executor.ended) this.#cutShort++;
    else this.#states.add(this.subject.hashState());
    if (this.#scheduler.next?.() === false) this.#exhausted = true;
  }

  #audit(execution: number): Finding | undefined {
    const twice = (): Finding | undefined => this.#executeTwice(execution);
    const watched = execution < AUDIT_FIRST || execution % WATCH_EVERY === 0;
    return watched ? withAtomicsWatched(this.subject, twice) : twice();
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
    const raced = finding.invariant === DATA_RACE;
    const watch: Watch = raced ? { races: true } : {};
    const found = new Executor(this.subject, watch).measure(fixedScheduler(schedule));
    assert(found?.invariant === finding.invariant, "explore: the failure did not repeat");
    const least = this.#shrunk(found, watch, stopped);
    const more = { execution, foundSteps: found.steps };
    if (!raced) return { ...least, ...more, watch };
    const race = explainRace(this.subject, least.schedule);
    const damage =
      this.#shrinkBudget > 0 &&
      findDamage(this.subject, race.word, {
        scheduler: () => this.#schedulerNamed(DEFAULT_SCHEDULER),
        ...(stopped && { stopped }),
      });
    if (!damage) return { ...least, ...more, message: race.message, watch, race };
    const worst = this.#shrunk(damage.failure, damage.watch, stopped);
    return { ...worst, ...more, foundSteps: damage.failure.steps, watch: damage.watch, race };
  }

  /** The least failure like `found`, with its schedule as text. */
  #shrunk(found: Failure, watch: Watch, stopped?: () => boolean): Failure & { readonly text: string } {
    const executor = new Executor(this.subject, watch);
    const least = shrink(executor, found, { budget: this.#shrinkBudget, ...(stopped && { stopped }) });
    const packer = new SchedulePacker(least.schedule);
    executor.execute(packer.scheduler);
    return { ...least, text: writeScheduleString(packer.packed(this.subject.codeHash, watch)) };
  }

  #makeScheduler(): Scheduler {
    const { scheduler = DEFAULT_SCHEDULER, depth = 3, bound = 2, spins = 1 } = this.#options;
    checkWhole("depth", depth, 1);
    checkWhole("bound", bound, 0);
    checkWhole("spins", spins, 1);
    return this.#schedulerNamed(scheduler);
  }

  #schedulerNamed(name: string): Scheduler {
    const { seed = 1, depth = 3, bound = 2, spins = 1 } = this.#options;
    const make = schedulers[name];
    if (!make) throw new UsageError(`scheduler "${name}": expected one of ${Object.keys(schedulers).join(", ")}`);
    const cpus = this.subject.engine.programs.length;
    return make({ seed, depth, bound, spins, cpus, watched: this.subject.watched ?? [], ...this.#tryOnce(seed) });
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
