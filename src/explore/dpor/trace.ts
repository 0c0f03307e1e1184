/**
 * The execution at hand as a partial order: which step happens before which, by vector clocks, and which pairs of steps
 * race, that is, depend on each other directly and could come in the other order. Grows and shrinks at its end.
 *
 * Happens-before here is that of the dependence relation (`effect`), of each CPU's own order, and from a wake to what it
 * wakes: executions with the same relation are one Mazurkiewicz class.
 */

import { OP_SPIN } from "../../arena/mem.ts";
import type { StepView } from "../scheduler.ts";
import {
  conflict,
  foresee,
  type Mode,
  type MutableFacts,
  NONE,
  newFacts,
  READ,
  type StepFacts,
  WRITE,
} from "./effect.ts";

/** Chains of steps by what they touch: the value of each word, the queue of each word, the clock, what invariants see. */
const VALUE = 0;
const QUEUE = 1;
const CLOCK = 2;
const SEEN = 3;
const CHAINS = 4;

class Step {
  readonly facts: MutableFacts = newFacts();
  /** By CPU: how many of its steps happen before this one or are it, counted by their index in the trace, plus one. */
  readonly clock: Int32Array;
  /** Earlier steps that race with this one. */
  readonly races: number[] = [];
  /** The step before in each chain that this one is part of, -1 for none. */
  readonly previous = new Int32Array(CHAINS);
  /** The same CPU's step before, -1 for none. */
  before = -1;

  constructor(cpus: number) {
    this.clock = new Int32Array(cpus);
  }
}

export class Trace {
  readonly #cpus: number;
  readonly #watched: ReadonlySet<number>;
  readonly #steps: Step[] = [];
  /** Last step of each chain and of each CPU, -1 for none. */
  #heads = new Int32Array(0);
  readonly #last: Int32Array;
  readonly #near: number[] = [];
  length = 0;

  /** `watched`: words that invariants look at after every step. */
  constructor(cpus: number, watched: ReadonlySet<number>) {
    this.#cpus = cpus;
    this.#watched = watched;
    this.#last = new Int32Array(cpus).fill(-1);
  }

  facts(index: number): StepFacts {
    return (this.#steps[index] as Step).facts;
  }

  races(index: number): readonly number[] {
    return (this.#steps[index] as Step).races;
  }

  happensBefore(earlier: number, later: number): boolean {
    const cpu = (this.#steps[earlier] as Step).facts.cpu;
    return ((this.#steps[later] as Step).clock[cpu] as number) > earlier;
  }

  /** How often in a row the CPU has spent the budget of a spin on the word, without a write of its own or of anybody to it. */
  spentOn(word: number, cpu: number): number {
    for (let at = this.#last[cpu] as number; at >= 0; at = (this.#steps[at] as Step).before) {
      const { kind, value, queue, word: other, spent } = (this.#steps[at] as Step).facts;
      if (queue !== NONE || (value !== READ && value !== NONE)) return 0;
      if (kind === OP_SPIN && other === word) return this.#writtenSince(word, at) ? 0 : spent + 1;
    }
    return 0;
  }

  #writtenSince(word: number, step: number): boolean {
    let at = this.#heads[2 * word + VALUE] as number;
    while (at > step && (this.#steps[at] as Step).facts.value === READ)
      at = (this.#steps[at] as Step).previous[VALUE] as number;
    return at > step;
  }

  /** The next step is `choice`; it has not run yet. */
  push(view: StepView, choice: number): void {
    if (this.#heads.length === 0) this.#heads = new Int32Array(2 * view.words.length + 2).fill(-1);
    const index = this.length++;
    if (index === this.#steps.length) this.#steps.push(new Step(this.#cpus));
    const step = this.#steps[index] as Step;
    foresee(view, choice, this.#watched, step.facts);
    if (step.facts.kind === OP_SPIN) step.facts.spent = this.spentOn(step.facts.word, choice);
    this.#begin(step, index);
    this.#near.length = 0;
    for (let chain = 0; chain < CHAINS; chain++) this.#collect(step, chain);
    this.#order(step);
    for (let chain = 0; chain < CHAINS; chain++) this.#enter(step, index, chain);
  }

  /** The last step has read the clock. */
  noteClockRead(): void {
    const index = this.length - 1;
    const step = this.#steps[index] as Step;
    step.facts.readsClock = true;
    if (step.facts.clock !== NONE) return;
    step.facts.clock = READ;
    this.#near.length = 0;
    this.#collect(step, CLOCK);
    this.#order(step);
    this.#enter(step, index, CLOCK);
  }

  pop(): void {
    const step = this.#steps[--this.length] as Step;
    for (let chain = 0; chain < CHAINS; chain++) {
      if (modeIn(step.facts, chain) !== 0)
        this.#heads[this.#headOf(step.facts, chain)] = step.previous[chain] as number;
    }
    this.#last[step.facts.cpu] = step.before;
  }

  /** Its clock begins with what its CPU knew, and with what woke it. */
  #begin(step: Step, index: number): void {
    const { cpu, choice } = step.facts;
    step.before = this.#last[cpu] as number;
    step.races.length = 0;
    if (step.before < 0) step.clock.fill(0);
    else step.clock.set((this.#steps[step.before] as Step).clock);
    const waker = choice < 0 || step.facts.word >= 0 ? -1 : this.#wakerOf(cpu, index);
    if (waker >= 0) join(step.clock, (this.#steps[waker] as Step).clock);
    step.clock[cpu] = index + 1;
    this.#last[cpu] = index;
  }

  /** The wake since the CPU's last step that woke it, -1 when it was no wake. */
  #wakerOf(cpu: number, index: number): number {
    const since = (this.#steps[index] as Step).before;
    for (let i = index - 1; i > since; i--) {
      if ((((this.#steps[i] as Step).facts.woken >>> cpu) & 1) !== 0) return i;
    }
    return -1;
  }

  /** Notes the steps of a chain that conflict with this one, back to the last write: all before that happen before it. */
  #collect(step: Step, chain: number): void {
    const mode = modeIn(step.facts, chain);
    if (mode === 0) return;
    let at = this.#heads[this.#headOf(step.facts, chain)] as number;
    while (at >= 0) {
      const earlier = this.#steps[at] as Step;
      const theirs = modeIn(earlier.facts, chain);
      if (earlier.facts.cpu !== step.facts.cpu && conflict(mode, theirs)) this.#near.push(at);
      if (theirs === WRITE) return;
      at = earlier.previous[chain] as number;
    }
  }

  /** Of the noted steps those race that do not happen before this one for another reason; latest first. */
  #order(step: Step): void {
    const near = this.#near;
    if (near.length > 1) near.sort((a, b) => b - a);
    for (const at of near) {
      const earlier = this.#steps[at] as Step;
      if ((step.clock[earlier.facts.cpu] as number) > at) continue;
      step.races.push(at);
      join(step.clock, earlier.clock);
    }
  }

  #enter(step: Step, index: number, chain: number): void {
    if (modeIn(step.facts, chain) === 0) return;
    const head = this.#headOf(step.facts, chain);
    step.previous[chain] = this.#heads[head] as number;
    this.#heads[head] = index;
  }

  #headOf({ word }: StepFacts, chain: number): number {
    if (chain === CLOCK || chain === SEEN) return this.#heads.length - (chain === CLOCK ? 1 : 2);
    return 2 * word + chain;
  }
}

function modeIn(facts: StepFacts, chain: number): Mode {
  if (chain === VALUE) return facts.value;
  if (chain === QUEUE) return facts.queue;
  return chain === CLOCK ? facts.clock : facts.seen;
}

function join(into: Int32Array, from: Int32Array): void {
  for (let i = 0; i < into.length; i++) if ((from[i] as number) > (into[i] as number)) into[i] = from[i] as number;
}
