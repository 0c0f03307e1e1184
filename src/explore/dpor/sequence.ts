/**
 * A short run of steps that shall be tried from some state: the v of optimal DPOR. Its steps were seen in one execution
 * but for the last, which there came after something that is left out here.
 */

import { dependentEffects, type Effect } from "./effect.ts";

const UNKNOWN = 0;
const YES = 1;
const NO = 2;

export class Sequence {
  /** What is left of it. Of the trace's own: copy what is kept. */
  readonly effects: Effect[];
  /** By position at the beginning, all of them. */
  readonly #all: readonly Effect[];
  /** Position at the beginning of each step that is left. */
  readonly #positions: number[];
  readonly #happensBefore: (i: number, j: number) => boolean;
  /** By position: whether the last step must come after it, once somebody has asked. */
  #beforeLast: Uint8Array | undefined;

  /** `happensBefore(i, j)` for i < j, both of the steps that were seen: what comes before the last one follows from its effect. */
  constructor(effects: Effect[], happensBefore: (i: number, j: number) => boolean) {
    this.effects = effects;
    this.#all = effects.slice();
    this.#positions = effects.map((_, i) => i);
    this.#happensBefore = happensBefore;
  }

  /**
   * Whether the sequence can begin with that step (it is a weak initial): its CPU's first step here has none before it, or
   * its CPU takes no step here and the step depends on none.
   */
  canBeginWith(first: Effect): boolean {
    const at = this.positionOf(first.cpu);
    return at >= 0 ? this.#isInitial(at) : !this.effects.some((effect) => dependentEffects(effect, first));
  }

  /** Index of that CPU's first step, -1 when it takes none. */
  positionOf(cpu: number): number {
    return this.effects.findIndex((effect) => effect.cpu === cpu);
  }

  remove(at: number): void {
    this.effects.splice(at, 1);
    this.#positions.splice(at, 1);
  }

  #isInitial(at: number): boolean {
    const position = this.#positions[at] as number;
    for (let i = 0; i < at; i++) if (this.#before(this.#positions[i] as number, position)) return false;
    return true;
  }

  #before(i: number, j: number): boolean {
    return j === this.#all.length - 1 ? this.#isBeforeLast(i) : this.#happensBefore(i, j);
  }

  /** The last step depends on step i, or on one that step i comes before. */
  #isBeforeLast(i: number): boolean {
    const last = this.#all.length - 1;
    this.#beforeLast ??= new Uint8Array(last);
    if (this.#beforeLast[i] === UNKNOWN) {
      let found = dependentEffects(this.#all[i] as Effect, this.#all[last] as Effect);
      for (let j = i + 1; j < last && !found; j++) found = this.#happensBefore(i, j) && this.#isBeforeLast(j);
      this.#beforeLast[i] = found ? YES : NO;
    }
    return this.#beforeLast[i] === YES;
  }
}
