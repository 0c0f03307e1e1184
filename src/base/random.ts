/**
 * Seeded generator (mulberry32): one 32-bit state word, period 2^32.
 * Host-side choices (schedulers, layouts, test data) draw from it; emulated code asks its CPU instead.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** Starts anew, with the `index`th of the sequences that belong to `seed`; the first is that of `new Random(seed)`. */
  restart(seed: number, index: number): void {
    this.#state = (seed + Math.imul(index, 0x9e3779b1)) | 0;
    if (index !== 0) this.#state = this.next() | 0;
  }

  /** Uniform unsigned 32-bit value. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** Uniform whole number in [0, limit), limit up to 2^32. */
  below(limit: number): number {
    return Math.floor(this.next() * (limit / 0x1_0000_0000));
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return this.next() / 0x1_0000_0000;
  }
}
