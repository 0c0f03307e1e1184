/**
 * The interleaved engine: steps one generator per CPU in one thread; a scheduler says who goes next.
 *
 * A step runs one CPU from the scheduling point at which it stands, through its shared operation, up to its next
 * point. Before step 0 every program runs to its first point, in order of CPU number. Blocked CPUs cannot be chosen. The
 * virtual clock moves only when the choice is "this timer fires". Generators of an execution that stopped are
 * dropped, never `return()`ed: their `finally` blocks must not run.
 *
 * Plain accesses of chosen words (`points`) can be scheduling points, too. They are plain function calls, which nothing can
 * suspend; so others run inside the call, and the CPU goes on when they are back at points of their own: whoever came in last
 * is out first. What that leaves out: two CPUs that are both halfway, of which the first goes on first. Programs begin with a
 * step of their own then, and an execution that ends while a CPU is halfway ends its step by throwing `Abandoned`.
 */

import type { Cpu, PlainWatch, Port, Steps } from "../arena/cpu.ts";
import { UNORDERED } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { InternalFault, UsageError } from "../base/errors.ts";
import { CPU_DONE, CPU_RUNNING, CpuSync } from "../sync/cpu-sync.ts";
import { deadlockReport } from "./deadlock-report.ts";
import { Misstep } from "./misstep.ts";
import { endByError, type Outcome } from "./outcome.ts";
import type { RaceDetector } from "./race-detector.ts";
import { PENDING_WORDS, RunState } from "./run-state.ts";
import { MAX_CPUS, type Schedule, ScheduleRecorder } from "./schedule.ts";
import type { Scheduler, StepView } from "./scheduler.ts";
import { type Grant, steppedPort } from "./stepped-port.ts";
import type { SyncPlace } from "./wait-for.ts";
import { type OnPlain, WordTap } from "./word-tap.ts";

/** What is run, execution after execution. */
export interface EngineOptions {
  /** The arena. The caller resets it between executions. */
  readonly words: Int32Array;
  /** One program per CPU, by number. */
  readonly programs: readonly ((cpu: Cpu) => Steps<unknown>)[];
  /** Makes the handle of CPU `id` over the engine's port. */
  readonly cpuOf: (id: number, port: Port) => Cpu;
  /** Bound after which an execution counts as livelock. Default DEFAULT_MAX_STEPS. */
  readonly maxSteps?: number;
  /** Runs after every step; throws a Violation when something is broken. */
  readonly afterStep?: () => void;
  /** Called as CPU `cpu` is about to do the shared operation in its pending registers, on that CPU's stack. */
  readonly onOperation?: (cpu: number) => void;
  /** Told of every access. The caller resets it between executions. */
  readonly races?: RaceDetector;
  /** Words whose plain accesses are scheduling points. */
  readonly points?: readonly number[];
  /** Called as a CPU is about to access one of the words `heard` plainly. */
  readonly onPlain?: OnPlain;
  readonly heard?: readonly number[];
  /** Where lock owners are found for the deadlock report. */
  readonly sync?: SyncPlace;
  /** Names words in it. Default: by number. */
  readonly describe?: (word: number) => string;
  /** "ordered" (default): timers fire in the order of their deadlines. "free": any armed timer may fire. */
  readonly time?: TimeModel;
}

export type TimeModel = "ordered" | "free";

export interface InterleaveOptions extends EngineOptions {
  readonly scheduler: Scheduler;
}

export const DEFAULT_MAX_STEPS = 1_000_000;
/** No CPU has this number. */
const NOBODY = MAX_CPUS;

/** Runs one execution to its end. */
export function interleave({ scheduler, ...options }: InterleaveOptions): Outcome {
  return new Engine(options).run(scheduler);
}

/** Leaves a step whose execution is over. */
class Abandoned extends Error {
  override readonly name = "Abandoned";
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
/** How an execution ended, without what it takes memory to keep. */
export type Ending = Outcome extends infer O
  ? O extends Outcome
    ? Omit<O, "steps" | "schedule" | "timeNs">
    : never
  : never;

/** Executes the same programs as often as asked. Nothing is allocated per step, but what the generators allocate. */
export class Engine {
  readonly #options: EngineOptions;
  readonly #run: RunState;
  readonly #grant: Grant = { done: 0, allowed: 0 };
  readonly #cpus: Cpu[] = [];
  readonly #programs: Steps<unknown>[] = [];
  readonly #results: unknown[] = [];
  readonly #recorder = new ScheduleRecorder();
  readonly #view: Mutable<StepView>;
  /** `RunState.version` that the view's lists were made from. */
  #listed = -1;
  /** By CPU: 1 once it is past the way to its first scheduling point. */
  readonly #begun: Uint8Array;
  #scheduler!: Scheduler;
  /** CPU that is halfway through a step and may go on; -1 when nobody is. */
  #midway = -1;
  /** How the execution ended while a CPU was halfway. */
  #ended: Ending | undefined;
  /** What the scheduler threw then. */
  #thrown: { readonly error: unknown } | undefined;

  constructor(options: EngineOptions) {
    const { words, onOperation, races } = options;
    const count = options.programs.length;
    this.#options = options;
    this.#begun = new Uint8Array(count);
    this.#run = new RunState(new ArrayBuffer(RunState.bytes(count)), 0, count);
    const plain = this.#plainWatch();
    const ears = { words, ...(onOperation && { onOperation }), ...(races && { races }), ...(plain && { plain }) };
    for (let id = 0; id < count; id++) {
      const cpu = options.cpuOf(id, steppedPort(this.#run, id, this.#grant, ears));
      assert(cpu.id === id, `interleave: cpuOf(${id}) made CPU ${cpu.id}`);
      this.#cpus.push(cpu);
    }
    this.#view = {
      step: 0,
      last: -1,
      enabled: new Int32Array(count),
      enabledCount: 0,
      timers: new Int32Array(count),
      timerCount: 0,
      timersInOrder: options.time !== "free",
      run: this.#run,
      words: options.words,
    };
  }

  /** Points, then whoever listens, then the detector. */
  #plainWatch(): PlainWatch | undefined {
    const { races, points, heard, onPlain } = this.#options;
    const told = heard && onPlain ? new WordTap(heard, onPlain, races) : races;
    if (!points) return told;
    return new WordTap(points, (cpu, kind, word, value) => this.#letOthers(cpu, kind, word, value), told);
  }

  /** Run states, pending operations and clock of the execution at hand. */
  get state(): RunState {
    return this.#run;
  }

  /** Steps of the last execution. */
  get steps(): number {
    return this.#recorder.length;
  }

  /** The choices of the last execution, copied. */
  takeSchedule(): Schedule {
    return this.#recorder.take();
  }

  /** One execution, the `execution`th of the scheduler's, from an arena that the caller has reset. */
  run(scheduler: Scheduler, execution = 0): Outcome {
    const ending = this.execute(scheduler, execution);
    return { ...ending, steps: this.steps, schedule: this.takeSchedule(), timeNs: this.#run.clock[0] } as Outcome;
  }

  /** As `run`; `steps` and `takeSchedule` tell the rest until the next one. `results` are overwritten by the next one, too. */
  execute(scheduler: Scheduler, execution = 0): Ending {
    this.#run.reset();
    this.#recorder.length = 0;
    this.#view.last = -1;
    this.#results.length = 0;
    this.#scheduler = scheduler;
    this.#midway = -1;
    this.#ended = undefined;
    this.#thrown = undefined;
    return this.#start(scheduler, execution) ?? (this.#loop(scheduler, NOBODY) as Ending);
  }

  /** Takes every program to its first scheduling point; with `points` that is a step of its own. */
  #start(scheduler: Scheduler, execution: number): Ending | undefined {
    const { programs, points } = this.#options;
    this.#begun.fill(0);
    for (let id = 0; id < programs.length; id++) {
      const cpu = this.#cpus[id] as Cpu;
      setState(cpu, CPU_RUNNING);
      let made: Steps<unknown>;
      try {
        made = (programs[id] as (cpu: Cpu) => Steps<unknown>)(cpu);
      } catch (error) {
        return endByError(id, error);
      }
      this.#programs[id] = steppable(id, made);
      const ending = points ? undefined : this.#advance(id);
      if (ending) return ending;
    }
    scheduler.begin(programs.length, execution);
    return undefined;
  }

  /** Steps on until the execution ends, or CPU `until` is chosen: then undefined. */
  #loop(scheduler: Scheduler, until: number): Ending | undefined {
    const { maxSteps = DEFAULT_MAX_STEPS } = this.#options;
    const view = this.#view;
    const recorder = this.#recorder;
    for (;;) {
      if (this.#run.version !== this.#listed) this.#list();
      if (view.enabledCount === 0 && view.timerCount === 0) return this.#stuck();
      if (recorder.length >= maxSteps) return { state: "livelock", bound: maxSteps };
      view.step = recorder.length;
      const choice = scheduler.pick(view);
      if (choice === undefined) return { state: "ended" };
      this.#checkChoice(scheduler, choice);
      recorder.push(choice);
      if (choice !== until) {
        const ending = choice < 0 ? this.#fire(~choice) : this.#advance(choice);
        if (ending) return ending;
      }
      view.last = choice;
      if (choice === until) return undefined;
    }
  }

  /** CPU `id` is at a plain access that is a scheduling point: others go on until it is told to. */
  #letOthers(id: number, kind: number, word: number, value: number): void {
    if (this.#ended || this.#thrown) throw new Abandoned();
    const run = this.#run;
    const grant = this.#grant;
    const { done, allowed } = grant;
    const outer = this.#midway;
    run.pending.set([kind, word, value, UNORDERED], id * PENDING_WORDS);
    if (outer >= 0) run.setMidway(outer, true);
    this.#midway = id;
    try {
      this.#ended = this.#loop(this.#scheduler, id);
    } catch (error) {
      this.#thrown = { error };
    }
    if (this.#ended || this.#thrown) throw new Abandoned();
    this.#midway = outer;
    if (outer >= 0) run.setMidway(outer, false);
    grant.done = done;
    grant.allowed = allowed;
    this.#options.onOperation?.(id);
  }

  /** Lists who can run and which timers may fire. */
  #list(): void {
    const run = this.#run;
    const view = this.#view;
    const latest = this.#options.time === "free" ? Number.MAX_VALUE : run.earliestDeadline();
    view.enabledCount = 0;
    view.timerCount = 0;
    for (let cpu = 0; cpu < run.cpus; cpu++) {
      if (run.isReady(cpu)) view.enabled[view.enabledCount++] = cpu;
      else if (run.hasTimer(cpu) && (run.deadline[cpu] as number) <= latest) view.timers[view.timerCount++] = cpu;
    }
    this.#listed = run.version;
  }

  #stuck(): Ending {
    if (this.#run.allEnded()) return { state: "finished", results: this.#results };
    return { state: "deadlock", report: deadlockReport(this.#run, this.#options.sync, this.#options.describe) };
  }

  #checkChoice(scheduler: Scheduler, choice: number): void {
    if (choice >= 0 && this.#run.isReady(choice)) return;
    const obstacle = this.#run.obstacle(choice);
    if (!obstacle) return;
    throw new InternalFault(`pick: ${scheduler.name} chose badly at step ${this.#view.step}: ${obstacle}`);
  }

  #fire(cpu: number): Ending | undefined {
    this.#run.fireTimer(cpu);
    return this.#check(cpu);
  }

  /** One step of one CPU. */
  #advance(id: number): Ending | undefined {
    const grant = this.#grant;
    grant.done = 0;
    grant.allowed = this.#begun[id] as number;
    this.#begun[id] = 1;
    try {
      const step = (this.#programs[id] as Steps<unknown>).next();
      if (grant.done !== grant.allowed) throw new Misstep(`interleave: ${bareYield(id)}`);
      if (step.done) {
        this.#results[id] = step.value;
        setState(this.#cpus[id] as Cpu, CPU_DONE);
        this.#run.end(id);
      }
    } catch (error) {
      return this.#left() ?? endByError(id, error);
    }
    return this.#left() ?? this.#check(id);
  }

  /** What ended the execution while a CPU was halfway; the scheduler's own errors are no fault of the program. */
  #left(): Ending | undefined {
    if (this.#thrown) throw this.#thrown.error;
    return this.#ended;
  }

  /** Runs the caller's check; a break is put down to the CPU that ran last. */
  #check(cpu: number): Ending | undefined {
    const { afterStep } = this.#options;
    if (!afterStep) return undefined;
    try {
      afterStep();
    } catch (error) {
      return endByError(cpu, error);
    }
    return undefined;
  }
}

/** Throws UsageError for what cannot be stepped: nothing at all, a promise, an async generator. */
function steppable(id: number, made: Steps<unknown>): Steps<unknown> {
  if (typeof made?.next === "function" && Symbol.iterator in made) return made;
  throw new UsageError(
    `explore: threads[${id}]: returned ${made === undefined ? "nothing" : "no generator"}, expected a generator function (function*)`,
  );
}

function bareYield(id: number): string {
  return `CPU ${id} gave up its turn without a shared operation (a yield outside arena/mem)`;
}

/** Tells the watchdog's words what this CPU does; programs over a bare buffer have none. */
function setState(cpu: Cpu, state: number): void {
  if (cpu.sync !== 0) cpu.words[cpu.sync + CpuSync.state] = state;
}
