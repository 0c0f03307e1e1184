/** A small machine for rwsem tests: one rwsem, a few CPUs, the interleaved engine with a clock that steps move on. */

import { expect } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad } from "../../src/arena/mem.ts";
import { CACHE_PAIR, struct } from "../../src/arena/struct.ts";
import { Random } from "../../src/base/random.ts";
import { interleave } from "../../src/explore/engine.ts";
import { describeOutcome, type Outcome } from "../../src/explore/outcome.ts";
import type { Scheduler, StepView } from "../../src/explore/scheduler.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { CpuSync, QueueNode } from "../../src/sync/cpu-sync.ts";
import { lockClass, lockClassNames } from "../../src/sync/lock-class.ts";
import { assertNothingHeld } from "../../src/sync/lock-order.ts";
import { RWSEM_FLAG_WAITERS, RWSEM_READER_OWNED } from "../../src/sync/rwsem/state.ts";
import { describeRwsem, initRwsem, RULES_NAMES, Rwsem } from "../../src/sync/rwsem.ts";
import { syncCpu } from "../../src/sync/sync-cpu.ts";
import { WaitList } from "../../src/sync/wait-list.ts";

export type Program = (cpu: Cpu) => Steps<unknown>;

/** Words of the test programs' own. `stage` counts steps that a test wants in order. */
const Scratch = struct("scratch", { stage: 1, work: 1 }, CACHE_PAIR);
const SEM = CACHE_PAIR;
const SCRATCH = SEM + Rwsem.WORDS;
const SYNC = SCRATCH + Scratch.WORDS;

export const SEM_CLASS = lockClass("sem");
export const sem = SEM;
export const stage = SCRATCH + Scratch.stage;
export const work = SCRATCH + Scratch.work;

export const ALL_RULES = RULES_NAMES.map((name, rules) => ({ name, rules }));

/** What the critical sections saw; enter and leave are called by test programs, never by kernel code. */
export class Observer {
  readers = 0;
  writers = 0;
  /** Most readers that were in at once. */
  mostReaders = 0;
  /** Who came in, in order: "r1", "w2". */
  readonly entered: string[] = [];
  /** First breach of mutual exclusion, "" if none. */
  breach = "";

  enter(kind: "r" | "w", cpu: Cpu): void {
    if (kind === "r") this.readers++;
    else this.writers++;
    this.mostReaders = Math.max(this.mostReaders, this.readers);
    this.entered.push(`${kind}${cpu.id}`);
    if (this.writers > 1 || (this.writers === 1 && this.readers > 0)) {
      this.breach ||= `${this.writers} writers and ${this.readers} readers are in`;
    }
  }

  leave(kind: "r" | "w"): void {
    if (kind === "r") this.readers--;
    else this.writers--;
  }
}

export interface World {
  readonly words: Int32Array;
  readonly seen: Observer;
  outcome: Outcome;
  /** Said after a failed expectation: how it ended, and the lock. */
  about: string;
}

export interface WorldOptions {
  readonly rules: number;
  readonly seed: number;
  readonly programs: (seen: Observer, random: Random) => readonly Program[];
  /** Emulated microseconds that pass with each step, at most; 0 stops the clock. Default 0. */
  readonly usPerStep?: number;
  readonly scheduler?: (random: Random) => Scheduler;
  readonly maxSteps?: number;
}

/** Runs the programs, one per CPU, over a fresh rwsem. */
export function runWorld(options: WorldOptions): World {
  const random = new Random(options.seed);
  const seen = new Observer();
  const programs = options.programs(seen, random).map(balanced);
  const words = new Int32Array(new SharedArrayBuffer((SYNC + programs.length * CpuSync.WORDS) * 4));
  initRwsem(words, SEM, options.rules);
  let clockUs = 0;
  const inner = options.scheduler?.(random) ?? randomScheduler(random.next());
  const scheduler: Scheduler = {
    ...inner,
    pick: (view: StepView) => {
      if (options.usPerStep) clockUs += random.below(options.usPerStep + 1);
      return inner.pick(view);
    },
  };
  const outcome = interleave({
    words,
    programs,
    cpuOf: (id, port) => syncCpu(words, SYNC, id, { ...port, nowNs: () => clockUs * 1000 }),
    scheduler,
    maxSteps: options.maxSteps ?? 100_000,
    sync: { words, base: SYNC, stride: CpuSync.WORDS, cpus: programs.length, classNames: lockClassNames() },
  });
  const place = { syncBase: SYNC, syncStride: CpuSync.WORDS };
  const about = `rules ${options.rules}, seed ${options.seed}: ${describeOutcome(outcome)}\n${describeRwsem(words, SEM, place)}`;
  return { words, seen, outcome, about };
}

/** The program, then the check that it has released everything. */
function balanced(program: Program): Program {
  return function* (cpu: Cpu) {
    const result = yield* program(cpu);
    assertNothingHeld(cpu);
    return result;
  };
}

/** The machine is at rest and undamaged: finished, exclusion kept, count 0, queue empty, no owner, no spinner. */
export function faultOf(world: World): string {
  const { words, seen, outcome } = world;
  if (outcome.state !== "finished") return outcome.state;
  if (seen.breach) return seen.breach;
  if (words[SEM + Rwsem.count] !== 0) return `count is ${words[SEM + Rwsem.count]} at rest`;
  if (words[SEM + Rwsem.waiters + WaitList.head] !== 0 || words[SEM + Rwsem.waiters + WaitList.tail] !== 0) {
    return "the queue is not empty at rest";
  }
  const owner = words[SEM + Rwsem.owner] as number;
  if (owner !== 0 && (owner & RWSEM_READER_OWNED) === 0) return `a writer owns it at rest: ${owner}`;
  if (words[SEM + Rwsem.osq] !== 0 || words[SEM + Rwsem.waitLock] !== 0) return "a spinner or waitLock is left at rest";
  return "";
}

export function expectSound(world: World): void {
  expect(faultOf(world), world.about).toBe("");
}

/** Number of CPUs on the queue; 0 until WAITERS is set, because before that a newcomer does not see the first one. */
export function queued(words: Int32Array): number {
  let length = 0;
  if (((words[SEM + Rwsem.count] as number) & RWSEM_FLAG_WAITERS) === 0) return 0;
  for (let link = words[SEM + Rwsem.waiters + WaitList.head] as number; link !== 0; length++) {
    link = words[SYNC + (link - 1) * CpuSync.WORDS + CpuSync.node + QueueNode.next] as number;
  }
  return length;
}

/** A few shared operations inside a critical section. */
export function* dwell(cpu: Cpu, operations: number): Steps<void> {
  for (let i = 0; i < operations; i++) yield* atomicLoad(cpu, work);
}

/** Waits for a word that a test program or the lock sets; test scaffolding, so it may spin without end. */
export function* until(cpu: Cpu, condition: () => boolean): Steps<void> {
  do yield* atomicLoad(cpu, work);
  while (!condition());
}
