/**
 * Whether every page is where exactly one place says it is (invariant I2). Reads the arena while no CPU runs: after a
 * trial and in tests. All faults are thrown as Violation I2.
 */

import { Violation } from "../base/errors.ts";
import { blockBit, freeArea } from "./buddy.ts";
import {
  countName,
  Frame,
  frameRefs,
  frameRmaps,
  linkOrder,
  linkType,
  MAX_PAGE_ORDER,
  PAGE_TYPE_TAIL,
  PageGlobals,
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

/** Frames up to which `checkPageAccounting` looks at each one: 2^22 take some 50 ms. */
export const WALK_LIMIT = 2 ** 22;

function requirePages(condition: boolean, reason: string): asserts condition {
  if (!condition) refuse(reason);
}

/** In place of `requirePages` where wording the reason for every page would take longer than the check. */
function refuse(reason: string): never {
  throw new Violation("I2", `checkPageAccounting: ${reason}`);
}

/**
 * Checks that managed pages = free + on per-CPU lists + allocated, where allocated comes from the CPUs' own counters;
 * that the buddy's bits, summaries and totals agree and nothing is left unmerged; and, for machines of up to
 * WALK_LIMIT frames, that each single page is in exactly one of these places.
 *
 * @param cpuPcps  word address of each CPU's `CpuPcp`
 */
export function checkPageAccounting(words: Int32Array, machine: number, cpuPcps: readonly number[]): PageAccounting {
  const zones = words[machine + PageGlobals.zonesBase] as number;
  const zoneCount = words[machine + PageGlobals.zoneCount] as number;
  const walk = (words[machine + PageGlobals.frameCount] as number) <= WALK_LIMIT;
  let managed = 0;
  let free = 0;
  let onLists = 0;
  let walked = 0;
  for (let index = 0; index < zoneCount; index++) {
    const zone = zones + index * Zone.WORDS;
    const places = walk ? new Places(words, zone) : undefined;
    managed += words[zone + Zone.managedPages] as number;
    free += checkFreeAreas(words, zone, places);
    onLists += checkLists(words, cpuPcps, index, places);
    if (places) walked += checkFrames(words, words[machine + PageGlobals.framesBase] as number, places);
  }
  const inUse = managed - free - onLists;
  let counted = 0;
  for (const at of cpuPcps) {
    counted += (words[at + CpuPcp.pgalloc] as number) - (words[at + CpuPcp.pgfree] as number);
  }
  const sum = `${free} free, ${onLists} on per-CPU lists, ${counted} allocated`;
  requirePages((counted - inUse) % 2 ** 32 === 0, `${managed} pages are managed, but ${sum}`);
  requirePages(!walk || walked === inUse, `${walked} frames are in use, but ${inUse} pages are missing elsewhere`);
  return { managed, free, onLists, allocated: inUse };
}

/** Whether nobody has the page: neither a reference on it nor, where it is a folio's tail, on its head. */
export function pageIsFree(words: Int32Array, machine: number, pfn: number): boolean {
  const frames = words[machine + PageGlobals.framesBase] as number;
  const held = (page: number): boolean => frameRefs(words[frames + page * Frame.WORDS + Frame.count] as number) > 0;
  if (held(pfn)) return false;
  const link = words[frames + pfn * Frame.WORDS + Frame.link] as number;
  if (linkType(link) !== PAGE_TYPE_TAIL) return true;
  // A freed tail keeps its link in measured builds; the old head may be in use again, for fewer pages.
  const head = tailHead(link);
  return !held(head) || pfn >= head + (1 << linkOrder(words[frames + head * Frame.WORDS + Frame.link] as number));
}

/** Which pages of a zone are free, as the buddy and the lists say. */
class Places {
  readonly start: number;
  readonly end: number;
  readonly #taken: Uint8Array;

  constructor(words: Int32Array, zone: number) {
    this.start = words[zone + Zone.startPfn] as number;
    this.end = words[zone + Zone.endPfn] as number;
    this.#taken = new Uint8Array(this.end - this.start);
  }

  isFree(pfn: number): boolean {
    return this.#taken[pfn - this.start] === 1;
  }

  add(pfn: number, order: number, where: string): void {
    for (let page = pfn; page < pfn + (1 << order); page++) {
      if (this.isFree(page)) refuse(`page ${page} is ${where} and free elsewhere too`);
      this.#taken[page - this.start] = 1;
    }
  }
}

/** Checks a zone's free blocks and their totals; returns the pages in them. */
function checkFreeAreas(words: Int32Array, zone: number, places: Places | undefined): number {
  let pages = 0;
  let nonEmpty = 0;
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    const area = freeArea(zone, order);
    const blocks = checkBlocks(words, zone, order, places);
    checkSummaries(words, area, order);
    const nrFree = words[area + FreeArea.nrFree] as number;
    requirePages(blocks === nrFree, `${blocks} free blocks of order ${order}, nrFree says ${nrFree}`);
    if (blocks > 0) nonEmpty |= 1 << order;
    pages += blocks << order;
  }
  const published = words[zone + Zone.nrFreePages] as number;
  requirePages(pages === published, `${pages} pages in free blocks, nrFreePages says ${published}`);
  const masks = [words[zone + Zone.areas + FreeAreas.nonEmpty], words[zone + Zone.nonEmptyOrders]];
  requirePages(
    masks.every((mask) => mask === nonEmpty),
    `masks of non-empty orders are ${masks}, not ${nonEmpty}`,
  );
  return pages;
}

/** Checks each free block of an order; returns how many there are. */
function checkBlocks(words: Int32Array, zone: number, order: number, places: Places | undefined): number {
  const start = words[zone + Zone.startPfn] as number;
  const end = words[zone + Zone.endPfn] as number;
  const bits = words[freeArea(zone, order) + FreeArea.levels] as number;
  const last = blockBit(words, zone, end - 1, order);
  const first = (start >> order) - blockBit(words, zone, start, order);
  let blocks = 0;
  for (let i = 0; i <= last >> 5; i++) {
    const word = words[bits + i] as number;
    if (word === 0) continue;
    for (let bit = 0; bit < 32; bit++) {
      if (((word >> bit) & 1) === 0) continue;
      const pfn = (first + i * 32 + bit) << order;
      requirePages(pfn >= start && pfn + (1 << order) <= end, `block ${pfn} of order ${order} is not in its zone`);
      const merged = order === MAX_PAGE_ORDER || ((word >> (bit ^ 1)) & 1) === 0;
      requirePages(merged, `block ${pfn} of order ${order} and its buddy were not merged`);
      places?.add(pfn, order, `in a free block of order ${order}`);
      blocks++;
    }
  }
  return blocks;
}

/** Checks that each summary bit of an order says whether the word below it is zero. */
function checkSummaries(words: Int32Array, area: number, order: number): void {
  const top = words[area + FreeArea.top] as number;
  for (let level = area + FreeArea.levels; level < top; level++) {
    const below = words[level] as number;
    const above = words[level + 1] as number;
    for (let i = 0; i < above - below; i++) {
      const bit = ((words[above + (i >> 5)] as number) >> (i & 31)) & 1;
      if ((words[below + i] !== 0) !== (bit === 1)) refuse(`a summary of order ${order} is wrong at word ${i}`);
    }
  }
}

/** Checks all CPUs' lists for zone number `index`; returns the pages on them. */
function checkLists(words: Int32Array, cpuPcps: readonly number[], index: number, places: Places | undefined): number {
  let all = 0;
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
        places?.add(pfn, order, `on a list of CPU ${cpu}`);
      }
      pages += held << order;
    }
    const count = words[pcp + ZonePcp.count];
    requirePages(pages === count, `CPU ${cpu} has ${pages} pages on its lists, its count says ${count}`);
    all += pages;
  });
  return all;
}

/** Checks every frame of a zone against where its page is; returns how many pages are allocated. */
function checkFrames(words: Int32Array, frames: number, places: Places): number {
  let allocated = 0;
  let head = 0;
  let tailsUntil = 0;
  for (let pfn = places.start; pfn < places.end; pfn++) {
    const count = words[frames + pfn * Frame.WORDS + Frame.count] as number;
    const link = words[frames + pfn * Frame.WORDS + Frame.link] as number;
    if (pfn < tailsUntil) {
      const knows = linkType(link) === PAGE_TYPE_TAIL && tailHead(link) === head;
      if (count !== 0 || !knows || places.isFree(pfn)) refuse(`page ${pfn} is no proper tail of folio ${head}`);
    } else if (places.isFree(pfn)) {
      if (count !== 0) refuse(`page ${pfn} is free, but has ${frameRefs(count)} references`);
      continue;
    } else {
      if (frameRefs(count) <= 0) refuse(`page ${pfn} is lost: neither allocated nor free (${countName(count)})`);
      if (frameRmaps(count) < 0) refuse(`page ${pfn} has mapcount ${frameRmaps(count)}`);
      head = pfn;
      tailsUntil = pfn + (1 << linkOrder(link));
    }
    allocated++;
  }
  return allocated;
}
