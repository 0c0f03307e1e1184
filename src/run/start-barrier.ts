/**
 * The barrier at which the CPUs of one trial meet. Two gates: at the first they sleep until all are there, then each
 * reads its CPU time, and at the second they spin, so that a trial begins within a microsecond on all of them and the
 * CPU time holds next to no waiting.
 *
 * Thread safety: used by all CPUs of a trial at once. Invariants: `arrived` is 0 whenever nobody is inside; `gate`
 * only grows; `release` is written by the last arrival, before it opens the second gate.
 */

import { struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";

const Barrier = struct("startBarrier", {
  arrived: { words: 1, align: 32 },
  gate: { words: 1, align: 32 },
  /** A double: when the second gate last opened, on the common clock. */
  release: { words: 2, align: 32 },
});

/** Loads spent at the second gate before sleeping there: some tens of microseconds. */
const SPINS = 20_000;

export class StartBarrier {
  readonly #words: Int32Array;
  readonly #release: Float64Array;

  constructor(buffer: SharedArrayBuffer) {
    assert(buffer.byteLength >= StartBarrier.BYTES, "StartBarrier: the buffer is too small");
    this.#words = new Int32Array(buffer);
    this.#release = new Float64Array(buffer, Barrier.release * 4, 1);
  }

  static readonly BYTES = Barrier.WORDS * 4;

  /** First gate: returns when `parties` CPUs have come. */
  gather(parties: number): void {
    this.#pass(parties, 0, undefined);
  }

  /** Second gate: all go on together; `clock` gives the time of release. */
  release(parties: number, clock: () => number): void {
    this.#pass(parties, SPINS, clock);
  }

  /** When the CPUs of the last trial were released, on the common clock. */
  get releasedAtNs(): number {
    return this.#release[0] as number;
  }

  #pass(parties: number, spins: number, clock: (() => number) | undefined): void {
    const words = this.#words;
    const gate = Atomics.load(words, Barrier.gate);
    if (Atomics.add(words, Barrier.arrived, 1) + 1 === parties) {
      Atomics.store(words, Barrier.arrived, 0);
      if (clock) this.#release[0] = clock();
      Atomics.store(words, Barrier.gate, gate + 1);
      Atomics.notify(words, Barrier.gate);
      return;
    }
    for (let i = 0; i < spins; i++) if (Atomics.load(words, Barrier.gate) !== gate) return;
    while (Atomics.load(words, Barrier.gate) === gate) Atomics.wait(words, Barrier.gate, gate);
  }
}
