/**
 * Giving many blocks to the buddy at once: the part of free_pcppages_bulk (mm/page_alloc.c, v6.1) under the zone's lock.
 *
 * Two departures keep that lock short. The blocks are joined to larger aligned ones before it is taken, so that
 * neighbours freed together enter the buddy as one (the free blocks that result are the same). And it is dropped after
 * every batch of blocks, as the kernel does since 2025.
 *
 * Thread safety: the list of blocks lies in the calling CPU's own words; takes the zone's lock.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { highestBit } from "../base/bits.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { accountFreePages, freeOnePage } from "./buddy.ts";
import { MAX_PAGE_ORDER } from "./page.ts";
import { ZONE_LOCK, Zone } from "./zone.ts";

/**
 * Rewrites `entries` pfns of blocks of `order` as fewer, larger, aligned blocks where neighbours follow each other in
 * ascending order. Each block becomes the word pfn * 2 + 2^order, whose lowest set bit tells the order, as a pfn is
 * a multiple of 2^order. Returns how many there are.
 */
export function coalesce(words: Int32Array, at: number, entries: number, order: number): number {
  const step = 1 << order;
  let blocks = at;
  for (let i = 0; i < entries; ) {
    let pfn = words[at + i] as number;
    let end = pfn + step;
    i++;
    while (i < entries && words[at + i] === end) {
      end += step;
      i++;
    }
    while (pfn < end) {
      const size = Math.min(pfn & -pfn, 1 << highestBit(end - pfn), 1 << MAX_PAGE_ORDER);
      words[blocks++] = pfn * 2 + size;
      pfn += size;
    }
  }
  return blocks - at;
}

/** Frees the blocks that `coalesce` left at `at`; takes the zone's lock for one batch of them at a time. */
export function* freeBlocks(cpu: Cpu, zone: number, at: number, blocks: number): Steps<void> {
  const words = cpu.words;
  const batch = words[zone + Zone.pcpBatch] as number;
  for (let i = 0; i < blocks; ) {
    const stop = Math.min(blocks, i + batch);
    let pages = 0;
    yield* spinLock(cpu, zone + Zone.lock, ZONE_LOCK);
    for (; i < stop; i++) {
      const block = words[at + i] as number;
      const size = block & -block;
      freeOnePage(words, zone, (block - size) >> 1, highestBit(size));
      pages += size;
    }
    yield* accountFreePages(cpu, zone, pages);
    yield* spinUnlock(cpu, zone + Zone.lock, ZONE_LOCK);
  }
}
