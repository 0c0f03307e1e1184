/**
 * The barrier at which the CPUs of one trial meet, so that a trial begins on all of them at once.
 *
 * Threads that the system has just woken often share one processor for a scheduler's slice (3 ms) while another idles.
 * Then one of them would start a trial milliseconds late. So the CPUs go round the barrier until SETTLED_LAPS laps in
 * a row were quick, which they can only be while every CPU really runs; the trial begins with the last of these laps.
 * On a host too busy for that they start after a while all the same; with more CPUs than processors, after one lap.
 *
 * Thread safety: used by all CPUs of a trial at once. Invariants: `arrived` is 0 whenever nobody is inside; `gate`
 * only grows; the other words are written by the last arrival of a lap alone, before it opens the gate.
 */

import { availableParallelism } from "node:os";
import { struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";

const Barrier = struct("startBarrier", {
  arrived: { words: 1, align: 32 },
  gate: { words: 1, align: 32 },
  /** 1 when the lap that ended with the gate's last opening was the last one. */
  settled: { words: 1, align: 32 },
  /** Quick laps in a row. */
  quickLaps: 1,
  /** Doubles: when the first lap and the last lap ended, on the common clock. */
  first: { words: 2, align: 2 },
  opened: { words: 2, align: 2 },
});

/** Loads spent at the gate before sleeping there: some tens of microseconds. */
const SPINS = 20_000;
/** A lap is some hundred nanoseconds while all run; switching a thread in takes longer than this. */
const QUICK_NS = 10_000;
const SETTLED_LAPS = 4;

/** Nanoseconds on the common clock. */
type Clock = () => number;

export class StartBarrier {
  readonly #words: Int32Array;
  readonly #first: Float64Array;
  readonly #opened: Float64Array;
  readonly #processors: number;

  constructor(buffer: SharedArrayBuffer, processors = availableParallelism()) {
    assert(buffer.byteLength >= StartBarrier.BYTES, "StartBarrier: the buffer is too small");
    this.#processors = processors;
    this.#words = new Int32Array(buffer);
    this.#first = new Float64Array(buffer, Barrier.first * 4, 1);
    this.#opened = new Float64Array(buffer, Barrier.opened * 4, 1);
  }

  static readonly BYTES = Barrier.WORDS * 4;

  /**
   * Returns when `parties` CPUs have come and all of them run, or `patienceNs` nanoseconds after they have come. The next
   * `meet` begins anew.
   */
  meet(parties: number, clock: Clock, patienceNs: number): void {
    const words = this.#words;
    const patience = parties <= this.#processors ? patienceNs : 0;
    for (let lap = 0; ; lap++) {
      this.#pass(parties, lap, clock, patience);
      if (Atomics.load(words, Barrier.settled) === 1) return;
    }
  }

  /** When the CPUs of the last `meet` went on, on the common clock. */
  get releasedAtNs(): number {
    return this.#opened[0] as number;
  }

  #pass(parties: number, lap: number, clock: Clock, patience: number): void {
    const words = this.#words;
    const gate = Atomics.load(words, Barrier.gate);
    if (Atomics.add(words, Barrier.arrived, 1) + 1 === parties) {
      Atomics.store(words, Barrier.arrived, 0);
      Atomics.store(words, Barrier.settled, this.#endLap(lap, clock(), patience) ? 1 : 0);
      Atomics.store(words, Barrier.gate, gate + 1);
      Atomics.notify(words, Barrier.gate);
      return;
    }
    for (let i = 0; i < SPINS; i++) if (Atomics.load(words, Barrier.gate) !== gate) return;
    while (Atomics.load(words, Barrier.gate) === gate) Atomics.wait(words, Barrier.gate, gate);
  }

  /** The last arrival's verdict at time `now`: whether everybody has been running for long enough, or never will. */
  #endLap(lap: number, now: number, patience: number): boolean {
    const words = this.#words;
    if (lap === 0) this.#first[0] = now;
    const quick = lap > 0 && now - (this.#opened[0] as number) < QUICK_NS;
    const laps = quick ? (words[Barrier.quickLaps] as number) + 1 : 0;
    words[Barrier.quickLaps] = laps;
    this.#opened[0] = now;
    return laps >= SETTLED_LAPS || now - (this.#first[0] as number) >= patience;
  }
}
