/**
 * What can be explored: any set of generator programs over the seam (`arena/mem`), with the memory that they share. No
 * emulated kernel is needed; its cases are programs like others.
 */

import type { Cpu, Port, Steps } from "../arena/cpu.ts";
import { CACHE_PAIR } from "../arena/struct.ts";
import { alignUp, hashString } from "../base/bits.ts";
import { UsageError, Violation } from "../base/errors.ts";
import { CpuSync } from "../sync/cpu-sync.ts";
import { lockClassNames } from "../sync/lock-class.ts";
import { LockOrder, lockOrderFindings } from "../sync/lock-order.ts";
import { syncCpu } from "../sync/sync-cpu.ts";
import type { EngineOptions, TimeModel } from "./engine.ts";
import { isInternalFault, isViolation } from "./outcome.ts";
import { MAX_CPUS } from "./schedule.ts";
import { describeThrown, type PlaceOf } from "./source-place.ts";
import { stateHasher } from "./state-set.ts";

export interface Program {
  /**
   * How many 32-bit words the threads share: their addresses are 0 and up, and all are 0 before `setup`. Or a whole
   * arena that is ready to start from; then `cpuOf` must be given, too.
   */
  readonly words: number | Int32Array;
  /** Puts the words into their first state. */
  readonly setup?: (words: Int32Array) => void;
  /** One per CPU. What they share lies in the words; each reaches it through the seam, with the CPU that it is given. */
  readonly threads: readonly ((cpu: Cpu) => Steps<unknown>)[];
  /** Looks at the words after every step; throws when something is wrong. */
  readonly invariants?: (words: Int32Array) => void;
  /**
   * All words that `invariants` looks at. dpor then tries every order of the steps that write them; without this it has
   * looked only at the states that its executions pass through, and is not complete.
   */
  readonly invariantWords?: readonly number[];
  /** Looks at the words and at what the threads returned when all of them have; throws when something is wrong. */
  readonly check?: (words: Int32Array, results: readonly unknown[]) => void;
  /** Names a word in reports. */
  readonly describe?: (word: number) => string;
  /** The handle of CPU `id`. Default: one over `words` that can use the locks of `oomrace/kernel`, whose order is checked. */
  readonly cpuOf?: (id: number, port: Port) => Cpu;
  /** Where the CPUs' locks are found, for deadlock reports. Default: that of the default `cpuOf`. */
  readonly sync?: EngineOptions["sync"];
  /** Stands for code that the threads call into and that schedules depend on, beside their own text. */
  readonly code?: string;
  /** Where code that was built is in the text it was built from. Default: the program runs as it was written. */
  readonly placeOf?: PlaceOf;
  /** Words [from, to) that make one final state different from another. Default: the threads' own. */
  readonly state?: readonly [from: number, to: number];
}

/** Headings of a diagram's columns: the names of the threads' functions. */
export function threadTitles({ threads }: Program): string[] {
  return threads.map(({ name }, cpu) => (name === "" ? `CPU ${cpu}` : `CPU ${cpu}: ${name}`));
}

/** A program with its arena, ready to be executed from the same state as often as asked. */
export interface Subject {
  readonly words: Int32Array;
  readonly engine: EngineOptions;
  readonly describe: (word: number) => string;
  /** Throws a Violation when a finished execution left something wrong. */
  readonly check: (results: readonly unknown[]) => void;
  /** See Program. */
  readonly placeOf: PlaceOf | undefined;
  /** Words that the engine's `afterStep` looks at; undefined when nobody knows. */
  readonly watched: readonly number[] | undefined;
  /** Of the program's text and the layout of its memory: schedules of other code have another. */
  readonly codeHash: number;
  reset(): void;
  /** Hash of the state that the words are in. */
  hashState(): number;
}

export interface SubjectOptions {
  readonly maxSteps?: number;
  readonly time?: TimeModel;
}

/** Lays the program out. Throws UsageError when it cannot be run. */
export function subjectOf(program: Program, options: SubjectOptions = {}): Subject {
  checkProgram(program);
  const arena = program.words instanceof Int32Array ? program.words : ownArena(program.words, program.threads.length);
  const own = typeof program.words === "number" ? program.words : arena.length;
  // What lies behind, the CPUs' and the locks', is nothing to write to.
  const theirs = own < arena.length ? arena.subarray(0, own) : arena;
  setUp(program, theirs);
  const template = arena.slice();
  const base = alignUp(own, CACHE_PAIR);
  const cpus = program.threads.length;
  const lockOrder = program.cpuOf ? 0 : alignUp(base + cpus * CpuSync.WORDS, CACHE_PAIR);
  const sync = { words: arena, base, stride: CpuSync.WORDS, cpus, classNames: lockClassNames() };
  const { invariants, check, placeOf, sync: place = program.cpuOf ? undefined : sync } = program;
  const describe =
    program.describe ?? ((word) => (word < own ? `words[${word}]` : `own words of CPU ${cpuAt(word, base)}`));
  return {
    words: arena,
    engine: {
      words: arena,
      programs: program.threads,
      cpuOf: program.cpuOf ?? ((id, port) => ({ ...syncCpu(arena, base, id, port), lockOrder })),
      ...(invariants && { afterStep: () => asViolation("invariant", placeOf, () => invariants(theirs)) }),
      ...(place && { sync: place }),
      describe,
      ...options,
    },
    describe,
    check: (results) => {
      asViolation("check", placeOf, () => check?.(theirs, results));
      if (lockOrder > 0) checkLockOrder(arena, lockOrder);
    },
    placeOf,
    watched: invariants ? program.invariantWords : [],
    codeHash: codeHash(program, arena.length),
    reset: () => arena.set(template),
    hashState: stateHasher(arena, program.state ?? [0, own]),
  };
}

/** Throws UsageError, which begins with `where`, when `program` is none: types hold nobody to anything at run time. */
export function checkProgram(program: Program, where = "explore"): void {
  const { words, threads, cpuOf } = program;
  if (!Array.isArray(threads) || threads.length < 1 || threads.length > MAX_CPUS) {
    const got = Array.isArray(threads) ? threads.length : typeof threads;
    throw new UsageError(`${where}: threads: got ${got}, expected a list of 1 to ${MAX_CPUS} generator functions`);
  }
  for (const [name, value] of functionsOf(program)) {
    if (typeof value !== "function")
      throw new UsageError(`${where}: ${name}: got ${typeof value}, expected a function`);
  }
  if (words instanceof Int32Array) {
    if (!cpuOf) throw new UsageError(`${where}: cpuOf: missing, expected beside an arena in words`);
  } else if (!Number.isInteger(words) || words < 1) {
    throw new UsageError(`${where}: words: got ${words}, expected how many words the threads share, 1 or more`);
  }
}

/** What must be a function, with its name. */
function functionsOf({ threads, setup, invariants, check, describe, cpuOf }: Program): [string, unknown][] {
  const optional = Object.entries({ setup, invariants, check, describe, cpuOf });
  return [
    ...threads.map((thread, i): [string, unknown] => [`threads[${i}]`, thread]),
    ...optional.filter(([, value]) => value !== undefined),
  ];
}

function setUp({ setup, placeOf }: Program, words: Int32Array): void {
  try {
    setup?.(words);
  } catch (error) {
    throw new UsageError(`explore: setup: threw ${describeThrown(error, placeOf)}`, { cause: error });
  }
}

function ownArena(words: number, cpus: number): Int32Array {
  return new Int32Array(alignUp(alignUp(words, CACHE_PAIR) + cpus * CpuSync.WORDS, CACHE_PAIR) + LockOrder.WORDS);
}

/**
 * Of what the lock-order checker found only orders that close a circle of classes: locks of one class may well be taken one
 * inside the other in an order of their own.
 */
function checkLockOrder(words: Int32Array, lockOrder: number): void {
  const inversion = lockOrderFindings(words, lockOrder).find((finding) => finding.startsWith("inversion"));
  if (inversion) throw new Violation("lock order", inversion);
}

function cpuAt(word: number, base: number): number {
  return Math.floor((word - base) / CpuSync.WORDS);
}

/** Whatever the user's look at memory throws means that the program is broken; its own slips come with their place. */
function asViolation(name: string, placeOf: PlaceOf | undefined, look: () => void): void {
  try {
    look();
  } catch (error) {
    if (isViolation(error) || isInternalFault(error)) throw error;
    const slip = error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
    throw new Violation(name, error instanceof Error && !slip ? error.message : describeThrown(error, placeOf));
  }
}

function codeHash({ threads, setup, code = "" }: Program, words: number): number {
  return hashString([...threads, setup, code, words].map(String).join("\n")) | 0;
}
