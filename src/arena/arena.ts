/** The one SharedArrayBuffer: created once, attached by every CPU. */

import { UsageError } from "../base/errors.ts";
import type { MemoryMap } from "./region.ts";
import { CACHE_PAIR, struct } from "./struct.ts";

/** "oomr" in ASCII. */
export const ARENA_MAGIC = 0x6f6f6d72;
/** Counts changes of meaning that the layout hash cannot see. */
export const ARENA_VERSION = 1;

/** First words of every arena. Written once by `createArena`, read-only afterwards. */
export const ArenaHeader = struct("arenaHeader", { magic: 1, version: 1, layoutHash: 1, words: 1 }, CACHE_PAIR);

/** Word from which a memory map may place regions. */
export const ARENA_START = ArenaHeader.WORDS;

/** A new zeroed arena that holds `map`. */
export function createArena(map: MemoryMap): Int32Array {
  const words = new Int32Array(new SharedArrayBuffer(map.words * 4));
  words[ArenaHeader.magic] = ARENA_MAGIC;
  words[ArenaHeader.version] = ARENA_VERSION;
  words[ArenaHeader.layoutHash] = map.hash;
  words[ArenaHeader.words] = map.words;
  return words;
}

/** A view of an arena that somebody else created. Throws UsageError that says got and expected. */
export function attachArena(buffer: SharedArrayBuffer, map: MemoryMap): Int32Array {
  if (!(buffer instanceof SharedArrayBuffer)) throw new UsageError("attachArena: expected a SharedArrayBuffer");
  const expectedBytes = map.words * 4;
  const words = new Int32Array(buffer);
  const mismatch = (what: string, got: number | string, expected: number | string): never => {
    throw new UsageError(`attachArena: ${what}: got ${got}, expected ${expected}`);
  };
  const hex = (value: number | undefined): string => `0x${((value ?? 0) >>> 0).toString(16)}`;
  if (words[ArenaHeader.magic] !== ARENA_MAGIC) mismatch("magic", hex(words[ArenaHeader.magic]), hex(ARENA_MAGIC));
  const version = words[ArenaHeader.version] as number;
  if (version !== ARENA_VERSION) mismatch("layout version", version, ARENA_VERSION);
  if (words[ArenaHeader.layoutHash] !== map.hash) {
    mismatch("layout hash", hex(words[ArenaHeader.layoutHash]), hex(map.hash));
  }
  if (buffer.byteLength !== expectedBytes) mismatch("bytes", buffer.byteLength, expectedBytes);
  return words;
}
