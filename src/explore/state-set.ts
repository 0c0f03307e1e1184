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
const BLOCK = 1024;

/**
 * Makes the function that hashes words [from, to) as they are when it is called. Blocks that are as they were the last
 * time keep their hash, and most are: comparing bytes is much quicker than mixing words.
 */
export function stateHasher(words: Int32Array, [from, to]: readonly [number, number]): () => number {
  const blocks: HashedBlock[] = [];
  for (let at = from; at < to; at += BLOCK) blocks.push(new HashedBlock(words.subarray(at, Math.min(at + BLOCK, to))));
  return () => {
    let low = 0x811c9dc5;
    let high = 0x9747b28c;
    for (const block of blocks) {
      block.look();
      low = Math.imul(low ^ block.low, 0x01000193) ^ (low >>> 13);
      high = Math.imul(high ^ block.high, 0x5bd1e995) ^ (high >>> 15);
    }
    return (low >>> 0) * 0x20_0000 + (high >>> 11);
  };
}

class HashedBlock {
  low = 0;
  high = 0;
  readonly #words: Int32Array;
  readonly #known: Int32Array;
  /** The same two as bytes. */
  readonly #now: Buffer;
  readonly #before: Buffer;

  constructor(words: Int32Array) {
    this.#words = words;
    this.#known = words.slice();
    this.#now = bytesOf(words);
    this.#before = bytesOf(this.#known);
    this.#hash();
  }

  /** Brings `low` and `high` up to date. */
  look(): void {
    if (Buffer.compare(this.#now, this.#before) === 0) return;
    this.#known.set(this.#words);
    this.#hash();
  }

  #hash(): void {
    const words = this.#known;
    let low = 0x811c9dc5;
    let high = 0x9747b28c;
    for (let at = 0; at < words.length; at++) {
      const word = words[at] as number;
      low = Math.imul(low ^ word, 0x01000193) ^ (low >>> 13);
      high = Math.imul(high ^ word, 0x5bd1e995) ^ (high >>> 15);
    }
    this.low = low;
    this.high = high;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
