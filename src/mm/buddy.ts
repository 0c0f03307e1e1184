/**
 * The buddy allocator of one zone (mm/page_alloc.c: __free_one_page, __rmqueue_smallest, expand; v6.6).
 *
 * Free blocks of 2^k pages, aligned to their size, in one doubly linked list per order. Two blocks that differ in bit
 * k of their pfn are buddies and merge when both are free.
 *
 * Whether a buddy is free says a bitmap with one bit per pair and order, which flips whenever one block of the pair
 * enters or leaves the list: set means exactly one of them is in it (a block that leaves and finds the bit clear again
 * has its buddy free). The kernel did so until v2.6.10 and has read the buddy's frame since; here that frame may belong
 * to somebody who changes it atomically, and a plain read of it under a lock that he does not hold would be a race.
 * A pair of which only one half lies in the zone never merges, as its other half never enters a list.
 *
 * Left out: migrate types, and the choice to queue a block at the tail when it may soon merge.
 *
 * Thread safety: the caller holds the zone's lock; boot needs none.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicStore, POISON } from "../arena/mem.ts";
import { Violation } from "../base/errors.ts";
import { buddyCount, Frame, MAX_PAGE_ORDER } from "./page.ts";
import { FreeArea, FreeAreas, Zone } from "./zone.ts";

const NON_EMPTY = Zone.areas + FreeAreas.nonEmpty;

/** Word address of a zone's free area of `order`. */
export function freeArea(zone: number, order: number): number {
  return zone + Zone.areas + order * FreeArea.WORDS;
}

/** Words of one order's pair bitmap for a zone of pages [start, end). Bit 0 belongs to the pair that holds `start`. */
export function pairWords(start: number, end: number, order: number): number {
  const pairs = ((end - 1) >> (order + 1)) - (start >> (order + 1)) + 1;
  return (pairs + 31) >> 5;
}

/** Flips the bit of the pair to which block `pfn` of `order` belongs; true when it is set now. */
function flipPair(words: Int32Array, zone: number, area: number, pfn: number, order: number): boolean {
  const pair = (pfn >> (order + 1)) - ((words[zone + Zone.startPfn] as number) >> (order + 1));
  const at = (words[area + FreeArea.pairs] as number) + (pair >> 5);
  const bit = 1 << (pair & 31);
  const now = (words[at] as number) ^ bit;
  words[at] = now;
  return (now & bit) !== 0;
}

/** Puts a block at the front of its list and names it a buddy block. Leaves its pair's bit alone. */
function addToFreeList(words: Int32Array, frames: number, zone: number, pfn: number, order: number): void {
  const area = freeArea(zone, order);
  const frame = frames + pfn * Frame.WORDS;
  const next = words[area + FreeArea.head] as number;
  words[frame + Frame.count] = buddyCount(order);
  words[frame + Frame.link] = next;
  words[frame + Frame.data] = 0;
  words[area + FreeArea.head] = pfn;
  if (next === 0) words[zone + NON_EMPTY] = (words[zone + NON_EMPTY] as number) | (1 << order);
  else words[frames + next * Frame.WORDS + Frame.data] = pfn;
  words[area + FreeArea.nrFree] = (words[area + FreeArea.nrFree] as number) + 1;
}

/** Takes a block out of its list; its frame is no head any more. Leaves its pair's bit alone. */
function delFromFreeList(words: Int32Array, frames: number, zone: number, pfn: number, order: number): void {
  const area = freeArea(zone, order);
  const frame = frames + pfn * Frame.WORDS;
  if (words[frame + Frame.count] !== buddyCount(order)) notInList(pfn, order, words[frame + Frame.count] as number);
  const next = words[frame + Frame.link] as number;
  const prev = words[frame + Frame.data] as number;
  words[frame + Frame.count] = 0;
  if (CHECKED) {
    words[frame + Frame.link] = POISON;
    words[frame + Frame.data] = POISON;
  }
  if (prev === 0) words[area + FreeArea.head] = next;
  else words[frames + prev * Frame.WORDS + Frame.link] = next;
  if (next !== 0) words[frames + next * Frame.WORDS + Frame.data] = prev;
  else if (prev === 0) words[zone + NON_EMPTY] = (words[zone + NON_EMPTY] as number) & ~(1 << order);
  words[area + FreeArea.nrFree] = (words[area + FreeArea.nrFree] as number) - 1;
}

function notInList(pfn: number, order: number, count: number): never {
  const got = `0x${(count >>> 0).toString(16)}`;
  throw new Violation("I2", `buddy: page ${pfn} should head a free block of order ${order}, its count is ${got}`);
}

/** `__free_one_page`: frees the block and merges it with its buddy as long as that is free. */
export function freeOnePage(words: Int32Array, frames: number, zone: number, pfn: number, order: number): void {
  if (words[frames + pfn * Frame.WORDS + Frame.count] !== 0) {
    throw new Violation("I2", `freeOnePage: page ${pfn} is not ready to be freed`);
  }
  let head = pfn;
  let k = order;
  while (k < MAX_PAGE_ORDER && !flipPair(words, zone, freeArea(zone, k), head, k)) {
    delFromFreeList(words, frames, zone, head ^ (1 << k), k);
    head &= ~(1 << k);
    k++;
  }
  addToFreeList(words, frames, zone, head, k);
}

/** Smallest order from `order` up of which the zone has a free block; -1 when it has none. */
export function smallestFree(words: Int32Array, zone: number, order: number): number {
  const larger = (words[zone + NON_EMPTY] as number) >>> order;
  return larger === 0 ? -1 : order + 31 - Math.clz32(larger & -larger);
}

/**
 * `__rmqueue_smallest` and `expand`: takes the first block of order `from` (there is one) and keeps its low end of
 * `order`; the high halves go back. Returns its pfn.
 */
export function takeBlock(words: Int32Array, frames: number, zone: number, from: number, order: number): number {
  const pfn = words[freeArea(zone, from) + FreeArea.head] as number;
  delFromFreeList(words, frames, zone, pfn, from);
  if (from < MAX_PAGE_ORDER) flipPair(words, zone, freeArea(zone, from), pfn, from);
  for (let k = from - 1; k >= order; k--) {
    flipPair(words, zone, freeArea(zone, k), pfn, k);
    addToFreeList(words, frames, zone, pfn + (1 << k), k);
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
