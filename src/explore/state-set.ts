/** How many different states were seen, by hash: two states of the same 53 bits count as one. */

export class StateSet {
  /** States that are told apart at most; more are not counted. */
  static readonly LIMIT = 1_000_000;
  readonly #seen = new Set<number>();
  /** The hash that was new last. */
  latest = 0;

  get size(): number {
    return this.#seen.size;
  }

  add(hash: number): void {
    if (this.#seen.size >= StateSet.LIMIT || this.#seen.has(hash)) return;
    this.#seen.add(hash);
    this.latest = hash;
  }
}

/** Of words [from, to). */
export function hashOf(words: Int32Array, [from, to]: readonly [number, number]): number {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (let at = from; at < to; at++) {
    const word = words[at] as number;
    low = Math.imul(low ^ word, 0x01000193) ^ (low >>> 13);
    high = Math.imul(high ^ word, 0x5bd1e995) ^ (high >>> 15);
  }
  return (low >>> 0) * 0x20_0000 + (high >>> 11);
}
