/**
 * What a step does to what other steps may look at, and so which steps depend on each other: on the value of a word, on
 * the queue of CPUs that sleep on it, and on the virtual clock.
 *
 * It is exact, because all that decides it is known before the step runs: a compareExchange that fails only reads, a
 * wait that does not sleep touches no queue, a wake that meets nobody only looks.
 */

import {
  NO_TIMEOUT,
  OP_ADD,
  OP_CMPXCHG,
  OP_LOAD,
  OP_NONE,
  OP_SPIN,
  OP_WAIT,
  OP_WAKE,
  RESULT_UNUSED,
} from "../../arena/mem.ts";
import { PENDING_WORDS, VIRTUAL_US_PER_NS } from "../run-state.ts";
import type { StepView } from "../scheduler.ts";

/** How a step uses one thing. Two steps conflict on it unless both read or both add. */
export type Mode = 0 | 1 | 2 | 3;
export const NONE: Mode = 0;
export const READ: Mode = 1;
export const ADD: Mode = 2;
export const WRITE: Mode = 3;

/** One step of one CPU, or its timer firing, as far as other CPUs can tell. */
export interface Effect {
  /** As in a schedule: the CPU, or `timerChoice`. */
  readonly choice: number;
  readonly cpu: number;
  /** Arena word of the operation; `value` and `queue` are about it. */
  readonly word: number;
  readonly value: Mode;
  readonly queue: Mode;
  readonly clock: Mode;
  /** Any write to what the invariants look at: they see in which order such writes come. */
  readonly seen: Mode;
}

/** Bounded by the bits of `StepFacts.woken`. */
export const MAX_DPOR_CPUS = 31;

/** An effect with what is needed to say what the step would have done had another one not come before it. */
export interface StepFacts extends Effect {
  readonly kind: number;
  readonly operand: number;
  /** The invariants look at the word. */
  readonly watched: boolean;
  /** The word before the step. */
  readonly old: number;
  /** What comes with the step reads the clock. */
  readonly readsClock: boolean;
  /** A spin: how often in a row the CPU has spent its budget on this word before, with nobody changing it. */
  readonly spent: number;
  /** A wait with a timeout. */
  readonly timed: boolean;
  /** A wait that sleeps with a timer: virtual nanosecond at which it ends by itself; else Infinity. */
  readonly deadline: number;
  /** CPUs that slept on the word before the step. */
  readonly sleepers: number;
  /** Bit per CPU that it wakes. */
  readonly woken: number;
  /** Bit per CPU whose armed timer this step puts off: it wakes the CPU, or arms one that comes earlier. */
  readonly putsOff: number;
  /** Bit per CPU whose armed timer puts off the one that this step arms. */
  readonly putOffBy: number;
}

export type MutableFacts = { -readonly [K in keyof StepFacts]: StepFacts[K] };

export function newFacts(): MutableFacts {
  return {
    choice: 0,
    cpu: 0,
    word: 0,
    value: NONE,
    queue: NONE,
    clock: NONE,
    seen: NONE,
    watched: false,
    kind: OP_NONE,
    operand: 0,
    old: 0,
    readsClock: false,
    spent: 0,
    timed: false,
    deadline: Number.POSITIVE_INFINITY,
    sleepers: 0,
    woken: 0,
    putsOff: 0,
    putOffBy: 0,
  };
}

export function conflict(a: Mode, b: Mode): boolean {
  if (a === NONE || b === NONE) return false;
  return a === WRITE || b === WRITE || a !== b;
}

/** True when executing the two in either order may differ. Steps of one CPU always depend on each other. */
export function dependentEffects(a: Effect, b: Effect): boolean {
  if (a.cpu === b.cpu || conflict(a.clock, b.clock) || conflict(a.seen, b.seen)) return true;
  return a.word === b.word && (conflict(a.value, b.value) || conflict(a.queue, b.queue));
}

/** A copy without the facts. */
export function effectOf({ choice, cpu, word, value, queue, clock, seen }: Effect): Effect {
  return { choice, cpu, word, value, queue, clock, seen };
}

/** Reads from the view what `choice` is about to do. `watched` are the words that invariants look at. */
export function foresee(view: StepView, choice: number, watched: ReadonlySet<number>, into: MutableFacts): void {
  into.choice = choice;
  into.value = NONE;
  into.queue = NONE;
  into.clock = NONE;
  into.woken = 0;
  into.putsOff = 0;
  into.putOffBy = 0;
  into.readsClock = false;
  into.spent = 0;
  into.timed = false;
  into.deadline = Number.POSITIVE_INFINITY;
  if (choice < 0) foreseeTimer(view, ~choice, into);
  else foreseeStep(view, choice, into);
  into.watched = watched.has(into.word);
  into.seen = seenOf(into.watched, into.value);
}

function seenOf(watched: boolean, value: Mode): Mode {
  return watched && (value === WRITE || value === ADD) ? WRITE : NONE;
}

function foreseeTimer({ run }: StepView, cpu: number, into: MutableFacts): void {
  into.cpu = cpu;
  into.kind = OP_NONE;
  into.word = run.word[cpu] as number;
  into.queue = WRITE;
  into.clock = WRITE;
}

function foreseeStep(view: StepView, cpu: number, into: MutableFacts): void {
  const { run, words } = view;
  const at = cpu * PENDING_WORDS;
  const kind = run.pending[at] as number;
  into.cpu = cpu;
  into.kind = kind;
  into.word = kind === OP_NONE ? -1 : (run.pending[at + 1] as number);
  into.operand = run.pending[at + 2] as number;
  if (kind === OP_NONE) return;
  into.old = words[into.word] as number;
  const second = run.pending[at + 3] as number;
  if (kind === OP_LOAD || kind === OP_SPIN) into.value = READ;
  else if (kind === OP_CMPXCHG) into.value = into.old === into.operand ? WRITE : READ;
  else if (kind === OP_WAIT) foreseeWait(view, second, into);
  else if (kind === OP_WAKE) foreseeWake(view, into);
  else into.value = kind === OP_ADD && second === RESULT_UNUSED ? ADD : WRITE;
}

function foreseeWait(view: StepView, timeoutUs: number, into: MutableFacts): void {
  into.value = READ;
  into.timed = timeoutUs !== NO_TIMEOUT;
  if (into.old !== into.operand) return;
  into.queue = WRITE;
  if (!into.timed) return;
  // Its deadline depends on the clock.
  into.clock = READ;
  const { run } = view;
  into.deadline = (run.clock[0] as number) + timeoutUs / VIRTUAL_US_PER_NS;
  if (!view.timersInOrder) return;
  for (let cpu = 0; cpu < run.cpus; cpu++) {
    if (!run.hasTimer(cpu)) continue;
    const other = run.deadline[cpu] as number;
    if (other > into.deadline) into.putsOff |= 1 << cpu;
    if (other < into.deadline) into.putOffBy |= 1 << cpu;
  }
}

function foreseeWake({ run }: StepView, into: MutableFacts): void {
  into.sleepers = 0;
  for (let cpu = 0; cpu < run.cpus; cpu++) if (run.sleepsOn(cpu, into.word)) into.sleepers++;
  for (let left = Math.min(into.sleepers, into.operand); left > 0; left--) {
    into.woken |= 1 << run.firstOn(into.word, into.woken);
  }
  into.queue = into.woken === 0 ? READ : WRITE;
  for (let cpu = 0; cpu < run.cpus; cpu++) {
    if (((into.woken >>> cpu) & 1) !== 0 && run.hasTimer(cpu)) into.putsOff |= 1 << cpu;
  }
  // A timer less may let a later one fire.
  if (into.putsOff !== 0) into.clock = READ;
}

/** What `later` would have done if `earlier`, which it depends on directly, had not come before it. */
export function effectWithout(later: StepFacts, earlier: StepFacts): Effect {
  const effect: { -readonly [K in keyof Effect]: Effect[K] } = effectOf(later);
  const sameWord = later.word === earlier.word;
  if (sameWord && (earlier.value === WRITE || earlier.value === ADD)) {
    const meets = valueWithout(later, earlier) === later.operand;
    if (later.kind === OP_CMPXCHG) effect.value = meets ? WRITE : READ;
    if (later.kind === OP_WAIT) {
      effect.queue = meets ? WRITE : NONE;
      effect.clock = (meets && later.timed) || later.readsClock ? READ : NONE;
    }
  }
  if (sameWord && later.kind === OP_WAKE && earlier.queue === WRITE) {
    const others = earlier.kind === OP_WAIT ? later.sleepers - 1 : later.sleepers + 1;
    effect.queue = others > 0 ? WRITE : READ;
  }
  effect.seen = seenOf(later.watched, effect.value);
  return effect;
}

/**
 * What `later` would find in the word. What touched the word after a write to it comes after that write, and so is gone as
 * well; beside an add there may be other adds, which stay.
 */
export function valueWithout(later: StepFacts, earlier: StepFacts): number {
  return earlier.value === WRITE ? earlier.old : (later.old - earlier.operand) | 0;
}

/** The timer of a CPU that sleeps on `word`, firing. */
export function timerEffect(cpu: number, word: number): Effect {
  return { choice: ~cpu, cpu, word, value: NONE, queue: WRITE, clock: WRITE, seen: NONE };
}
