/**
 * Allocating from the per-CPU page lists (mm/page_alloc.c: rmqueue_pcplist, rmqueue_bulk; v6.1); see `pcp`.
 *
 * Thread safety: as there, private to the calling CPU; the refill takes the zone's lock.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { highestBit } from "../base/bits.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { accountFreePages, smallestFree, takeBlock } from "./buddy.ts";
import { PcpList, ZonePcp } from "./pcp.ts";
import { ZONE_LOCK, Zone } from "./zone.ts";

/** `rmqueue_pcplist`: a block of `order` from this CPU's list, which is refilled when empty; 0 when that fails. */
export function* rmqueuePcplist(cpu: Cpu, pcp: number, order: number): Steps<number> {
  const words = cpu.words;
  const list = pcp + ZonePcp.lists + order * PcpList.WORDS;
  words[pcp + ZonePcp.freeFactor] = (words[pcp + ZonePcp.freeFactor] as number) >> 1;
  if (words[list + PcpList.hot] === words[list + PcpList.cold]) {
    const batch = words[(words[pcp + ZonePcp.zone] as number) + Zone.pcpBatch] as number;
    yield* rmqueueBulk(cpu, pcp, list, order, batch > 1 ? Math.max(batch >> order, 2) : 1);
    if (words[list + PcpList.hot] === words[list + PcpList.cold]) return 0;
  }
  const hot = ((words[list + PcpList.hot] as number) - 1) | 0;
  words[list + PcpList.hot] = hot;
  words[pcp + ZonePcp.count] = (words[pcp + ZonePcp.count] as number) - (1 << order);
  return words[(words[list + PcpList.ring] as number) + (hot & (words[list + PcpList.mask] as number))] as number;
}

/**
 * `rmqueuePcplist` for up to `most` single pages, as far as the list holds them: their pfns go to `to` from `at` on.
 * Returns how many.
 */
export function takeListed(words: Int32Array, pcp: number, to: Int32Array, at: number, most: number): number {
  const list = pcp + ZonePcp.lists;
  const ring = words[list + PcpList.ring] as number;
  const mask = words[list + PcpList.mask] as number;
  let hot = words[list + PcpList.hot] as number;
  const taken = Math.min(most, (hot - (words[list + PcpList.cold] as number)) | 0);
  for (let i = 0; i < taken; i++) {
    hot = (hot - 1) | 0;
    to[at + i] = words[ring + (hot & mask)] as number;
  }
  words[list + PcpList.hot] = hot;
  words[pcp + ZonePcp.count] = (words[pcp + ZonePcp.count] as number) - taken;
  // Halved with each page.
  words[pcp + ZonePcp.freeFactor] = (words[pcp + ZonePcp.freeFactor] as number) >> Math.min(taken, 31);
  return taken;
}

/**
 * `rmqueue_bulk`: up to `wanted` blocks of `order` from the buddy, queued so that they are used in the order in which
 * they were taken: ascending. Blocks are taken as large as fits, which gives what taking one by one would.
 */
function* rmqueueBulk(cpu: Cpu, pcp: number, list: number, order: number, wanted: number): Steps<void> {
  const words = cpu.words;
  const zone = words[pcp + ZonePcp.zone] as number;
  let left = wanted;
  yield* spinLock(cpu, zone + Zone.lock, ZONE_LOCK);
  while (left > 0) {
    const from = smallestFree(words, zone, order);
    if (from < 0) break;
    const size = Math.min(from, order + highestBit(left));
    const pfn = takeBlock(words, zone, from, size);
    queueCold(words, list, pfn, order, 1 << (size - order));
    left -= 1 << (size - order);
  }
  const pages = (wanted - left) << order;
  yield* accountFreePages(cpu, zone, -pages);
  yield* spinUnlock(cpu, zone + Zone.lock, ZONE_LOCK);
  words[pcp + ZonePcp.count] = (words[pcp + ZonePcp.count] as number) + pages;
}

/** Queues `entries` neighbouring blocks of `order` behind the cold end, the first of them nearest to the hot end. */
function queueCold(words: Int32Array, list: number, first: number, order: number, entries: number): void {
  const ring = words[list + PcpList.ring] as number;
  const mask = words[list + PcpList.mask] as number;
  let cold = words[list + PcpList.cold] as number;
  for (let i = 0; i < entries; i++) {
    cold = (cold - 1) | 0;
    words[ring + (cold & mask)] = first + (i << order);
  }
  words[list + PcpList.cold] = cold;
}
