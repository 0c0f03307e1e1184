/**
 * A short run of steps that shall be tried from some state: the v of optimal DPOR. Its steps were seen in one execution
 * but for the last, which there came after something that is left out here.
 */

import { dependentEffects, type Effect } from "./effect.ts";

export class Sequence {
  readonly effects: Effect[];
  /** `before[j * length + i]` is 1 when step i must come before step j; by positions at the beginning. */
  readonly #before: Uint8Array;
  /** Position at the beginning of each step that is left. */
  readonly #positions: number[];
  readonly #stride: number;

  /** `happensBefore(i, j)` for i < j, both of the steps that were seen: what comes before the last one follows from its effect. */
  constructor(effects: Effect[], happensBefore: (i: number, j: number) => boolean) {
    this.effects = effects;
    this.#stride = effects.length;
    this.#positions = effects.map((_, i) => i);
    this.#before = new Uint8Array(this.#stride * this.#stride);
    const last = this.#stride - 1;
    for (let j = 0; j < last; j++) {
      for (let i = 0; i < j; i++) if (happensBefore(i, j)) this.#before[j * this.#stride + i] = 1;
    }
    for (let i = last - 1; i >= 0; i--) if (this.#reaches(i, last)) this.#before[last * this.#stride + i] = 1;
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

  /** Step `last` depends on step i, or on one that i comes before. */
  #reaches(i: number, last: number): boolean {
    const target = this.effects[last] as Effect;
    for (let j = i; j < last; j++) {
      if (j !== i && this.#before[j * this.#stride + i] === 0) continue;
      if (dependentEffects(this.effects[j] as Effect, target)) return true;
    }
    return false;
  }

  #isInitial(at: number): boolean {
    const row = (this.#positions[at] as number) * this.#stride;
    for (let i = 0; i < at; i++) if (this.#before[row + (this.#positions[i] as number)] === 1) return false;
    return true;
  }
}
