/**
 * Hands turns to CPUs on real threads in the order of a schedule: the control memory of the `forced` engine.
 *
 * Thread safety: all fields but `go` belong to the CPU that holds the turn (before the start and after the end: to
 * the main thread). A CPU that passes its turn on writes the next CPU's `go`, which orders everything before it.
 * `status` may also be set by the main thread when a worker died; then `go` of everybody opens.
 *
 * Positions: -cpus .. -1 are the runs up to the first scheduling point, in order of CPU number, which the schedule
 * does not list; 0 and up are the steps.
 */

import { struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { RunState } from "../explore/run-state.ts";
import { MAX_CPUS, type Schedule, timerChoice } from "../explore/schedule.ts";

const Head = struct(
  "turnTable",
  {
    status: 1,
    /** Position of the turn that runs or ran last. */
    position: 1,
    cpus: 1,
    /** Choices that came with the schedule. */
    given: 1,
    /** Choices that fit: `given`, or more when the run goes on by itself. */
    capacity: 1,
    /** CPU that failed. */
    culprit: 1,
    go: { words: MAX_CPUS + 1, align: 32 },
  },
  32,
);

export const TURNS_RUN = 0;
/** All programs returned. */
export const TURNS_FINISHED = 1;
export const TURNS_DEADLOCK = 2;
/** The schedule was over before the programs were. */
export const TURNS_ENDED = 3;
/** The schedule names a CPU that cannot run, at the position after `position`. */
export const TURNS_IMPOSSIBLE = 4;
/** `culprit` threw. */
export const TURNS_FAILED = 5;
/** The run went on by itself for more steps than allowed. */
export const TURNS_LIVELOCK = 6;
/** The main thread stopped it. */
export const TURNS_STOPPED = 7;

/** Unwinds a program whose engine stopped. Never leaves the worker. */
export class TurnsOver extends Error {
  override readonly name = "TurnsOver";
}

export class TurnTable {
  readonly buffer: SharedArrayBuffer;
  readonly run: RunState;
  readonly #words: Int32Array;
  readonly #list: Int8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, Head.WORDS);
    const cpus = this.#words[Head.cpus] as number;
    this.run = new RunState(buffer, Head.WORDS * 4, cpus);
    this.#list = new Int8Array(buffer, Head.WORDS * 4 + RunState.bytes(cpus), this.#words[Head.capacity]);
  }

  /**
   * A table for `cpus` CPUs that will follow `schedule`. With `maxSteps` beyond its length the run goes on after it,
   * round robin, up to that many steps.
   */
  static create(cpus: number, schedule: Schedule, maxSteps = 0): TurnTable {
    const capacity = Math.max(schedule.length, maxSteps);
    const buffer = new SharedArrayBuffer(Head.WORDS * 4 + RunState.bytes(cpus) + capacity);
    const words = new Int32Array(buffer, 0, Head.WORDS);
    words[Head.cpus] = cpus;
    words[Head.given] = schedule.length;
    words[Head.capacity] = capacity;
    words[Head.position] = -cpus - 1;
    const table = new TurnTable(buffer);
    table.run.reset();
    table.#list.set(schedule);
    return table;
  }

  get status(): number {
    return Atomics.load(this.#words, Head.status);
  }

  get culprit(): number {
    return this.#words[Head.culprit] as number;
  }

  /** Position of the turn that runs; grows with every turn. */
  get position(): number {
    return Atomics.load(this.#words, Head.position);
  }

  /** Steps taken, the one that failed included. */
  get steps(): number {
    return Math.max(0, this.position + 1);
  }

  /** Choices taken. */
  get schedule(): Schedule {
    return Int8Array.from(this.#list.subarray(0, this.steps));
  }

  /** Why the choice after the last step could not be taken. */
  get obstacle(): string {
    return this.run.obstacle(this.#list[this.steps] as number);
  }

  /** Called by the CPU that holds the turn (by the main thread to begin): the next one goes on. */
  pass(): void {
    for (;;) {
      const next = this.position + 1;
      const choice = next < 0 ? next + this.run.cpus : this.#choose(next);
      if (choice === undefined) return;
      Atomics.store(this.#words, Head.position, next);
      if (choice >= 0) {
        this.#open(choice);
        return;
      }
      this.run.fireTimer(timerChoice(choice));
    }
  }

  /** Waits for the turn of `cpu`. Throws TurnsOver when there will be none. */
  await(cpu: number): void {
    const at = Head.go + cpu;
    while (Atomics.load(this.#words, at) === 0) Atomics.wait(this.#words, at, 0);
    if (this.status !== TURNS_RUN) throw new TurnsOver("the engine stopped");
    Atomics.store(this.#words, at, 0);
  }

  /** The program of `cpu`, which holds the turn, threw. */
  fail(cpu: number): void {
    this.#words[Head.culprit] = cpu;
    this.stop(TURNS_FAILED);
  }

  /** Lets everybody leave. The first reason stays. */
  stop(status: number): void {
    Atomics.compareExchange(this.#words, Head.status, TURNS_RUN, status);
    for (let cpu = 0; cpu < this.run.cpus; cpu++) this.#open(cpu);
  }

  #open(cpu: number): void {
    Atomics.store(this.#words, Head.go + cpu, 1);
    Atomics.notify(this.#words, Head.go + cpu);
  }

  /** The choice of step `step`; undefined when the run is over, which everybody has then been told. */
  #choose(step: number): number | undefined {
    const words = this.#words;
    if (this.run.isStuck()) return this.#over(this.run.allEnded() ? TURNS_FINISHED : TURNS_DEADLOCK);
    const given = words[Head.given] as number;
    const capacity = words[Head.capacity] as number;
    if (step >= capacity) return this.#over(given === capacity ? TURNS_ENDED : TURNS_LIVELOCK);
    if (step >= given) this.#list[step] = this.#roundRobin(step);
    const choice = this.#list[step] as number;
    return this.run.obstacle(choice) ? this.#over(TURNS_IMPOSSIBLE) : choice;
  }

  #over(status: number): undefined {
    this.stop(status);
  }

  /** The next CPU in the circle that can run; when there is none, the earliest timer. */
  #roundRobin(step: number): number {
    const { run } = this;
    const last = step === 0 ? -1 : (this.#list[step - 1] as number);
    const from = last < 0 ? ~last : last;
    for (let i = 1; i <= run.cpus; i++) {
      const cpu = (from + i) % run.cpus;
      if (run.isReady(cpu)) return cpu;
    }
    const due = run.deadline.indexOf(run.earliestDeadline());
    assert(due >= 0, "roundRobin: nobody can run and no timer is armed");
    return timerChoice(due);
  }
}
