/**
 * The buddy allocator of one zone (mm/page_alloc.c: __free_one_page, __rmqueue_smallest, expand; v6.6).
 *
 * Free blocks of 2^k pages are aligned to their size. Two blocks that differ in bit k of their pfn are buddies, and
 * merge when both are free.
 *
 * The free blocks of an order are a set of bits, one per block, under a tree of summaries (a bit says that the word
 * below it is not zero), where the kernel has a list linked through the frames. So a free page's frame is never
 * touched: freeing pages in random order meets a cache miss each in a list, and all of them under the zone's lock. And
 * whether a buddy is free is known without reading a frame that somebody else may be changing. What differs for the
 * user: of all blocks of an order the lowest is taken, not the one freed last. Left out: migrate types.
 *
 * Thread safety: the caller holds the zone's lock; boot needs none.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicStore } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { Violation } from "../base/errors.ts";
import { MAX_PAGE_ORDER } from "./page.ts";
import { FreeArea, FreeAreas, MAX_BIT_LEVELS, Zone } from "./zone.ts";

const NON_EMPTY = Zone.areas + FreeAreas.nonEmpty;

/** Word address of a zone's free area of `order`. */
export function freeArea(zone: number, order: number): number {
  return zone + Zone.areas + order * FreeArea.WORDS;
}

/** Words of the bits and summaries of one order, lowest level first, for a zone of pages [start, end). */
export function bitLevels(start: number, end: number, order: number): number[] {
  const levels: number[] = [];
  let bits = ((end - 1) >> order) - firstBlock(start, order) + 1;
  do {
    bits = (bits + 31) >> 5;
    levels.push(bits);
  } while (bits > 1);
  assert(levels.length <= MAX_BIT_LEVELS, `bitLevels: ${levels.length} levels for pages [${start}, ${end})`);
  return levels;
}

/** Number (pfn >> order) of the block that bit 0 stands for: even, so that buddies share a word. */
function firstBlock(start: number, order: number): number {
  return (start >> (order + 1)) << 1;
}

/** Bit of the block `pfn` of `order`. */
export function blockBit(words: Int32Array, zone: number, pfn: number, order: number): number {
  return (pfn >> order) - firstBlock(words[zone + Zone.startPfn] as number, order);
}

/** Adds a block to the free ones of its order. */
function addBlock(words: Int32Array, zone: number, area: number, order: number, block: number): void {
  words[area + FreeArea.nrFree] = (words[area + FreeArea.nrFree] as number) + 1;
  const top = words[area + FreeArea.top] as number;
  let bit = block;
  for (let level = area + FreeArea.levels; ; level++) {
    const at = (words[level] as number) + (bit >> 5);
    const old = words[at] as number;
    words[at] = old | (1 << (bit & 31));
    if (old !== 0) return;
    if (level === top) break;
    bit >>= 5;
  }
  words[zone + NON_EMPTY] = (words[zone + NON_EMPTY] as number) | (1 << order);
}

/** Takes a block, which is one of them, out of the free ones of its order. */
function removeBlock(words: Int32Array, zone: number, area: number, order: number, block: number): void {
  words[area + FreeArea.nrFree] = (words[area + FreeArea.nrFree] as number) - 1;
  const top = words[area + FreeArea.top] as number;
  let bit = block;
  for (let level = area + FreeArea.levels; ; level++) {
    const at = (words[level] as number) + (bit >> 5);
    const now = (words[at] as number) & ~(1 << (bit & 31));
    words[at] = now;
    if (now !== 0) return;
    if (level === top) break;
    bit >>= 5;
  }
  words[zone + NON_EMPTY] = (words[zone + NON_EMPTY] as number) & ~(1 << order);
}

/** Lowest free block of an order that has one. */
function lowestBlock(words: Int32Array, area: number): number {
  let bit = 0;
  for (let level = words[area + FreeArea.top] as number; level >= area + FreeArea.levels; level--) {
    const word = words[(words[level] as number) + bit] as number;
    bit = (bit << 5) | (31 - Math.clz32(word & -word));
  }
  return bit;
}

/** `__free_one_page`: frees the block and merges it with its buddy as long as that is free. */
export function freeOnePage(words: Int32Array, zone: number, pfn: number, order: number): void {
  let head = pfn;
  for (let k = order; ; k++) {
    const area = freeArea(zone, k);
    const block = blockBit(words, zone, head, k);
    const free = (words[(words[area + FreeArea.levels] as number) + (block >> 5)] as number) >> (block & 30);
    if ((free & (1 + (block & 1))) !== 0) freeTwice(pfn, order);
    if ((free & 3) === 0 || k === MAX_PAGE_ORDER) {
      addBlock(words, zone, area, k, block);
      return;
    }
    removeBlock(words, zone, area, k, block ^ 1);
    head &= ~(1 << k);
  }
}

function freeTwice(pfn: number, order: number): never {
  throw new Violation("I2", `freeOnePage: block ${pfn} of order ${order} is free already`);
}

/** Smallest order from `order` up of which the zone has a free block; -1 when it has none. */
export function smallestFree(words: Int32Array, zone: number, order: number): number {
  const larger = (words[zone + NON_EMPTY] as number) >>> order;
  return larger === 0 ? -1 : order + 31 - Math.clz32(larger & -larger);
}

/**
 * `__rmqueue_smallest` and `expand`: takes the lowest block of order `from` (there is one) and keeps its low end of
 * `order`; the high halves go back. Returns its pfn.
 */
export function takeBlock(words: Int32Array, zone: number, from: number, order: number): number {
  const area = freeArea(zone, from);
  const block = lowestBlock(words, area);
  removeBlock(words, zone, area, from, block);
  const pfn = (block + firstBlock(words[zone + Zone.startPfn] as number, from)) << from;
  for (let k = from - 1; k >= order; k--) {
    addBlock(words, zone, freeArea(zone, k), k, blockBit(words, zone, pfn + (1 << k), k));
  }
  return pfn;
}

/** Publishes what changed under the lock: `pages` more (or fewer) pages free. Right before the lock is released. */
export function* accountFreePages(cpu: Cpu, zone: number, pages: number): Steps<void> {
  const words = cpu.words;
  yield* atomicStore(cpu, zone + Zone.nrFreePages, (words[zone + Zone.nrFreePages] as number) + pages);
  const nonEmpty = words[zone + NON_EMPTY] as number;
  if (words[zone + Zone.nonEmptyOrders] !== nonEmpty) yield* atomicStore(cpu, zone + Zone.nonEmptyOrders, nonEmpty);
}
