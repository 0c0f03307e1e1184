/** Places runs of equal structs in the arena. Only `machine/` (and tests) decide what a memory map holds. */

import { assert } from "../base/assert.ts";
import { alignUp } from "../base/bits.ts";
import { CACHE_PAIR, fieldAt, hashStruct, type StructType } from "./struct.ts";

export interface RegionRequest {
  readonly name: string;
  readonly struct: StructType;
  readonly count: number;
}

/** `count` structs from word `base` on, `struct.WORDS` apart. */
export interface Region extends RegionRequest {
  readonly base: number;
}

export interface MemoryMap {
  readonly regions: readonly Region[];
  /** Size of the whole arena in words. */
  readonly words: number;
  /** Hash of every region's place, struct and count. */
  readonly hash: number;
}

/** Largest arena: word addresses must stay small integers of V8 (and fit an Int32Array of 2^31 - 1 elements). */
export const MAX_ARENA_WORDS = 2 ** 31 - 1;

/** Places the requests one after another from word `start` on, each on its own pair of cache lines. */
export function planMemory(requests: readonly RegionRequest[], start: number): MemoryMap {
  let next = start;
  let hash = 0;
  const names = new Set<string>();
  const regions: Region[] = [];
  for (const request of requests) {
    assert(!names.has(request.name), `planMemory: region ${request.name} is requested twice`);
    assert(request.count > 0, `planMemory: region ${request.name} is empty`);
    names.add(request.name);
    const base = alignUp(next, Math.max(CACHE_PAIR, request.struct.ALIGN));
    regions.push({ ...request, base });
    next = base + request.struct.WORDS * request.count;
    hash = hashStruct(request.struct, Math.imul(hash ^ base ^ request.count, 0x01000193));
  }
  const words = alignUp(next, CACHE_PAIR);
  assert(words <= MAX_ARENA_WORDS, `planMemory: ${words} words do not fit one arena of ${MAX_ARENA_WORDS}`);
  return { regions, words, hash };
}

/** The region of that name. */
export function regionOf(map: MemoryMap, name: string): Region {
  const region = map.regions.find((r) => r.name === name);
  assert(region !== undefined, `regionOf: no region ${name} in this memory map`);
  return region;
}

/** The region that word `address` lies in. */
export function regionAt(map: MemoryMap, address: number): Region | undefined {
  return map.regions.find((r) => address >= r.base && address < r.base + r.struct.WORDS * r.count);
}

/** Name of the place that word `address` is: "frames[12].count". For reports and dumps. */
export function describeAddress(map: MemoryMap, address: number): string {
  const region = regionAt(map, address);
  if (!region) return `word ${address}`;
  const index = Math.floor((address - region.base) / region.struct.WORDS);
  const field = fieldAt(region.struct, address - region.base - index * region.struct.WORDS);
  return `${region.name}[${index}].${field}`;
}
