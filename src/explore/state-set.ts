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

/** Words that are compared at once. */
const BLOCK = 256;

/**
 * Makes the function that hashes words [from, to) as they are when it is called. It leaves blocks out that are as in
 * `initial`, as most of an arena always is: comparing bytes is much quicker than mixing words.
 */
export function stateHasher(
  words: Int32Array,
  initial: Int32Array,
  [from, to]: readonly [number, number],
): () => number {
  const starts: number[] = [];
  for (let at = from; at < to; at += BLOCK) starts.push(at);
  const bytesOf = (of: Int32Array, at: number): Buffer => {
    const block = of.subarray(at, Math.min(at + BLOCK, to));
    return Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  };
  const blocks = starts.map((at) => ({ at, now: bytesOf(words, at), before: bytesOf(initial, at) }));
  return () => {
    let low = 0x811c9dc5;
    let high = 0x9747b28c;
    const mix = (word: number): void => {
      low = Math.imul(low ^ word, 0x01000193) ^ (low >>> 13);
      high = Math.imul(high ^ word, 0x5bd1e995) ^ (high >>> 15);
    };
    for (const { at, now, before } of blocks) {
      if (Buffer.compare(now, before) === 0) continue;
      mix(at);
      const end = Math.min(at + BLOCK, to);
      for (let word = at; word < end; word++) mix(words[word] as number);
    }
    return (low >>> 0) * 0x20_0000 + (high >>> 11);
  };
}
