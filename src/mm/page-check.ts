/**
 * Whether every page is where exactly one place says it is (invariant I2). Reads the arena while no CPU runs: after a
 * trial and in tests. All faults are thrown as Violation I2.
 */

import { Violation } from "../base/errors.ts";
import { freeArea } from "./buddy.ts";
import {
  buddyCount,
  countName,
  Frame,
  frameRefs,
  frameRmaps,
  linkOrder,
  linkType,
  MAX_PAGE_ORDER,
  PAGE_TYPE_TAIL,
  PageGlobals,
  RESERVED_COUNT,
  tailHead,
} from "./page.ts";
import { CpuPcp, NR_PCP_LISTS, PcpList, ZonePcp } from "./pcp.ts";
import { FreeArea, FreeAreas, Zone } from "./zone.ts";

export interface PageAccounting {
  /** Pages of all zones. */
  readonly managed: number;
  /** Pages in the buddy, on per-CPU lists, and in use. */
  readonly free: number;
  readonly onLists: number;
  readonly allocated: number;
}

/** Frames up to which `checkPageAccounting` looks at each one: 2^22 take some 30 ms. */
export const WALK_LIMIT = 2 ** 22;

function requirePages(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new Violation("I2", `checkPageAccounting: ${reason}`);
}

/**
 * Checks that managed pages = free + on per-CPU lists + allocated, where allocated comes from the CPUs' own counters;
 * that every free block is well-formed and in the list and bitmap of its order; and, for machines of up to
 * WALK_LIMIT frames, that each single page is in exactly one of these places.
 *
 * @param cpuPcps  word address of each CPU's `CpuPcp`
 */
export function checkPageAccounting(words: Int32Array, machine: number, cpuPcps: readonly number[]): PageAccounting {
  const zones = words[machine + PageGlobals.zonesBase] as number;
  const zoneCount = words[machine + PageGlobals.zoneCount] as number;
  const frames = words[machine + PageGlobals.framesBase] as number;
  const walk = (words[machine + PageGlobals.frameCount] as number) <= WALK_LIMIT;
  let managed = 0;
  let free = 0;
  let onLists = 0;
  let walked = 0;
  for (let index = 0; index < zoneCount; index++) {
    const zone = zones + index * Zone.WORDS;
    const listed = pagesOnLists(words, cpuPcps, index);
    managed += words[zone + Zone.managedPages] as number;
    free += checkFreeAreas(words, frames, zone);
    for (const order of listed.values()) onLists += 1 << order;
    if (walk) walked += walkFrames(words, frames, zone, listed);
  }
  let allocated = 0;
  for (const at of cpuPcps) {
    allocated += (words[at + CpuPcp.pgalloc] as number) - (words[at + CpuPcp.pgfree] as number);
  }
  const sum = `${free} free, ${onLists} on lists, ${allocated} allocated`;
  requirePages((free + onLists + allocated - managed) % 2 ** 32 === 0, `${managed} pages managed, but ${sum}`);
  const inUse = managed - free - onLists;
  requirePages(!walk || walked === inUse, `${walked} frames are in use, but the counters say ${inUse}`);
  return { managed, free, onLists, allocated: inUse };
}

/** Checks a zone's free lists and their published totals; returns the pages in them. */
function checkFreeAreas(words: Int32Array, frames: number, zone: number): number {
  let pages = 0;
  let nonEmpty = 0;
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    const area = freeArea(zone, order);
    const blocks = checkFreeList(words, frames, zone, order);
    const nrFree = words[area + FreeArea.nrFree] as number;
    requirePages(blocks === nrFree, `${blocks} blocks in the list of order ${order}, nrFree says ${nrFree}`);
    if (blocks > 0) nonEmpty |= 1 << order;
    pages += blocks << order;
  }
  const published = words[zone + Zone.nrFreePages] as number;
  requirePages(pages === published, `${pages} pages in the free lists, nrFreePages says ${published}`);
  const known =
    words[zone + Zone.areas + FreeAreas.nonEmpty] === nonEmpty && words[zone + Zone.nonEmptyOrders] === nonEmpty;
  requirePages(known, "the mask of non-empty orders is wrong");
  return pages;
}

function checkFreeList(words: Int32Array, frames: number, zone: number, order: number): number {
  const start = words[zone + Zone.startPfn] as number;
  const end = words[zone + Zone.endPfn] as number;
  const size = 1 << order;
  const most = (end - start) / size;
  let blocks = 0;
  let prev = 0;
  for (let pfn = words[freeArea(zone, order) + FreeArea.head] as number; pfn !== 0; ) {
    const at = `block ${pfn} of order ${order}`;
    const frame = frames + pfn * Frame.WORDS;
    requirePages(pfn >= start && pfn + size <= end && pfn % size === 0, `${at} is misplaced`);
    requirePages(words[frame + Frame.count] === buddyCount(order), `${at} is not marked as such`);
    requirePages(words[frame + Frame.data] === prev, `${at} links back to ${words[frame + Frame.data]}, not ${prev}`);
    const buddy = pfn ^ size;
    const apart = buddy < start || buddy >= end || words[frames + buddy * Frame.WORDS] !== buddyCount(order);
    requirePages(order === MAX_PAGE_ORDER || apart, `${at} was not merged with its buddy`);
    requirePages(order === MAX_PAGE_ORDER || pairBit(words, zone, pfn, order), `${at} is missing in its pair's bit`);
    prev = pfn;
    pfn = words[frame + Frame.link] as number;
    requirePages(++blocks <= most, `the list of order ${order} is circular`);
  }
  return blocks;
}

function pairBit(words: Int32Array, zone: number, pfn: number, order: number): boolean {
  const pair = (pfn >> (order + 1)) - ((words[zone + Zone.startPfn] as number) >> (order + 1));
  const bits = words[(words[freeArea(zone, order) + FreeArea.pairs] as number) + (pair >> 5)] as number;
  return ((bits >> (pair & 31)) & 1) === 1;
}

/** Order of each block on a CPU's list, by pfn, for zone number `index`. */
function pagesOnLists(words: Int32Array, cpuPcps: readonly number[], index: number): Map<number, number> {
  const listed = new Map<number, number>();
  cpuPcps.forEach((at, cpu) => {
    const pcp = at + CpuPcp.zones + index * ZonePcp.WORDS;
    let pages = 0;
    for (let order = 0; order < NR_PCP_LISTS; order++) {
      const list = pcp + ZonePcp.lists + order * PcpList.WORDS;
      const cold = words[list + PcpList.cold] as number;
      const held = ((words[list + PcpList.hot] as number) - cold) | 0;
      for (let i = 0; i < held; i++) {
        const slot = (cold + i) & (words[list + PcpList.mask] as number);
        const pfn = words[(words[list + PcpList.ring] as number) + slot] as number;
        requirePages(!listed.has(pfn), `page ${pfn} is twice on per-CPU lists, last on that of CPU ${cpu}`);
        listed.set(pfn, order);
      }
      pages += held << order;
    }
    const counted = words[pcp + ZonePcp.count];
    requirePages(pages === counted, `CPU ${cpu} has ${pages} pages on its lists, its count says ${counted}`);
  });
  return listed;
}

/** Visits every frame of a zone; returns how many pages are allocated. */
function walkFrames(words: Int32Array, frames: number, zone: number, listed: ReadonlyMap<number, number>): number {
  const end = words[zone + Zone.endPfn] as number;
  let allocated = 0;
  for (let pfn = words[zone + Zone.startPfn] as number; pfn < end; ) {
    const frame = frames + pfn * Frame.WORDS;
    const count = words[frame + Frame.count] as number;
    const link = words[frame + Frame.link] as number;
    const inUse = frameRefs(count) > 0;
    const isHead = count < 0 && count !== RESERVED_COUNT;
    const order = inUse ? linkOrder(link) : isHead ? (count >>> 16) & 15 : listed.get(pfn);
    requirePages(
      order !== undefined,
      `page ${pfn} is lost: not in use, not in the buddy, on no list (${countName(count)})`,
    );
    requirePages(!(inUse || isHead) || !listed.has(pfn), `page ${pfn} is on a per-CPU list and elsewhere`);
    if (inUse) {
      requirePages(frameRmaps(count) >= 0, `page ${pfn} is in use with mapcount ${frameRmaps(count)}`);
      allocated += 1 << order;
    }
    for (let i = 1; i < 1 << order; i++) {
      const at = frame + i * Frame.WORDS;
      requirePages(
        words[at + Frame.count] === 0 && !listed.has(pfn + i),
        `page ${pfn + i} is inside block ${pfn} and elsewhere`,
      );
      const tail = words[at + Frame.link] as number;
      const belongs = linkType(tail) === PAGE_TYPE_TAIL && tailHead(tail) === pfn;
      requirePages(!inUse || belongs, `page ${pfn + i} does not know its head ${pfn}`);
    }
    pfn += 1 << order;
  }
  return allocated;
}
