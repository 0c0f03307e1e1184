/**
 * Boot of the page allocator (mm/mm_init.c: free_area_init, memmap_init; mm/page_alloc.c: __free_pages_core,
 * zone_set_pageset_high_and_batch; v6.6). Host side: runs before any CPU does.
 *
 * Writes no frame but those kept from the allocator, and relies on zero meaning "free" for all the others.
 */

import { type MemoryMap, type Region, type RegionRequest, regionOf } from "../arena/region.ts";
import { struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { highestBit } from "../base/bits.ts";
import { bitLevels, freeArea, freeOnePage } from "./buddy.ts";
import {
  FRAME_REF_ONE,
  Frame,
  MAX_PAGE_ORDER,
  PAGE_TYPE_NONE,
  PageGlobals,
  PFN_BITS,
  RESERVED_COUNT,
  typeLink,
} from "./page.ts";
import { CpuPcp, NR_PCP_LISTS, PcpList, pcpRingWords, ZonePcp } from "./pcp.ts";
import {
  defaultMinFreePages,
  FreeArea,
  FreeAreas,
  LOWMEM_RESERVE_RATIO,
  MAX_NR_ZONES,
  Zone,
  zoneBatchsize,
  zoneHighsize,
  zoneWatermarks,
} from "./zone.ts";

/** Pages [start, end) of a node. */
export interface ZoneShape {
  readonly node: number;
  readonly start: number;
  readonly end: number;
}

/** What the page allocator of a machine looks like. */
export interface PageShape {
  /** Page frames. Frame 0 and those in no zone are never handed out. */
  readonly frames: number;
  /** Swap slots; default 0. They, the frames and the device's frame are at most 2^29. */
  readonly swapSlots?: number;
  /** By ascending pfn, apart from each other; zones of one node lie next to each other. */
  readonly zones: readonly ZoneShape[];
  /** Node of each CPU. */
  readonly cpuNodes: readonly number[];
  /** Min watermark of all zones together, in pages; by default the kernel's formula, which suits no toy machine. */
  readonly minFreePages?: number;
  /** Per-CPU lists, in pages; by default the kernel's formulas. */
  readonly pcp?: { readonly batch: number; readonly high: number };
}

const BitWord = struct("bitWord", { bits: 1 });
const RingWord = struct("ringWord", { pfn: 1 });

/** A zone with the numbers that follow from the machine's shape; pages. */
interface ZonePlan extends ZoneShape {
  readonly managed: number;
  readonly min: number;
  readonly low: number;
  readonly high: number;
  readonly lowmemReserve: number;
  readonly batch: number;
  readonly pcpHigh: number;
}

/** Frames of pages and of what only looks like one: swap slots, and the device. */
function frameWords({ frames, swapSlots = 0 }: PageShape): number {
  return frames + swapSlots + 1;
}

function requireShape(shape: PageShape): void {
  const { frames, zones, cpuNodes, pcp } = shape;
  const pfns = frameWords(shape);
  assert(pfns <= 2 ** PFN_BITS, `pageRegions: ${pfns} frames and slots do not fit pfns of ${PFN_BITS} bits`);
  assert(
    zones.length > 0 && zones.length <= MAX_NR_ZONES,
    `pageRegions: ${zones.length} zones, at most ${MAX_NR_ZONES}`,
  );
  assert(cpuNodes.length > 0, "pageRegions: no CPUs");
  let last = 1;
  for (const { start, end } of zones) {
    const fits = start >= last && start < end && end <= frames;
    assert(fits, `pageRegions: zone [${start}, ${end}) is empty, out of order, or outside [1, ${frames})`);
    last = end;
  }
  if (pcp) {
    const sound = pcp.batch >= 1 && pcp.high >= 2 * pcp.batch;
    assert(sound, `pageRegions: pcp high ${pcp.high} is less than two batches of ${pcp.batch}`);
  }
}

function planZones(shape: PageShape): ZonePlan[] {
  const managedOf = (zones: readonly ZoneShape[]): number => zones.reduce((sum, z) => sum + z.end - z.start, 0);
  const all = managedOf(shape.zones);
  return shape.zones.map((zone, index) => {
    const managed = zone.end - zone.start;
    const marks = zoneWatermarks(managed, all, shape.minFreePages ?? defaultMinFreePages(all));
    const above = managedOf(shape.zones.filter((other, i) => i > index && other.node === zone.node));
    const local = shape.cpuNodes.filter((node) => node === zone.node).length;
    const batch = shape.pcp?.batch ?? zoneBatchsize(managed);
    const pcpHigh = shape.pcp?.high ?? zoneHighsize(marks.low, local || shape.cpuNodes.length, batch);
    return { ...zone, ...marks, managed, batch, pcpHigh, lowmemReserve: Math.floor(above / LOWMEM_RESERVE_RATIO) };
  });
}

function ringWordsOfCpu(zones: readonly ZonePlan[]): number {
  let total = 0;
  for (const zone of zones) {
    for (let order = 0; order < NR_PCP_LISTS; order++) total += pcpRingWords(zone.pcpHigh, zone.batch, order);
  }
  return total;
}

function bitWordsOfZone(zone: ZoneShape): number {
  let total = 0;
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    for (const size of bitLevels(zone.start, zone.end, order)) total += size;
  }
  return total;
}

/** Regions that a machine's memory map needs for its pages. `CpuPcp` is part of `CpuMm` and not among them. */
export function pageRegions(shape: PageShape): RegionRequest[] {
  requireShape(shape);
  const zones = planZones(shape);
  const bits = zones.reduce((sum, zone) => sum + bitWordsOfZone(zone), 0);
  return [
    { name: "frames", struct: Frame, count: frameWords(shape) },
    { name: "zones", struct: Zone, count: zones.length },
    { name: "buddyBits", struct: BitWord, count: bits },
    { name: "pcpRings", struct: RingWord, count: ringWordsOfCpu(zones) * shape.cpuNodes.length },
  ];
}

/**
 * Boots the allocator: all pages of all zones free in the largest blocks, lists in ascending order.
 *
 * @param map  holds the regions of `pageRegions(shape)`; the frames are zero, as in a new arena
 * @param machine  word address of `PageGlobals`
 * @param cpuPcps  word address of each CPU's `CpuPcp`, as many as `shape.cpuNodes`
 */
export function initPageAllocator(
  words: Int32Array,
  map: MemoryMap,
  shape: PageShape,
  machine: number,
  cpuPcps: readonly number[],
): void {
  const frames = regionOf(map, "frames");
  const zonesAt = regionOf(map, "zones");
  const plans = planZones(shape);
  const expected = frameWords(shape);
  assert(frames.count === expected, `initPageAllocator: the map has ${frames.count} frames, not ${expected}`);
  assert(cpuPcps.length === shape.cpuNodes.length, "initPageAllocator: cpuPcps and cpuNodes differ in length");
  words[machine + PageGlobals.framesBase] = frames.base;
  words[machine + PageGlobals.frameCount] = shape.frames;
  words[machine + PageGlobals.swapSlots] = shape.swapSlots ?? 0;
  words[machine + PageGlobals.zonesBase] = zonesAt.base;
  words[machine + PageGlobals.zoneCount] = plans.length;
  words[machine + PageGlobals.nodes] = plans.reduce((nodes, { node }) => nodes | (1 << node), 0);
  initZones(words, zonesAt.base, plans, regionOf(map, "buddyBits"));
  reserveHoles(words, frames.base, shape.frames, plans);
  initDevice(words, frames.base + (frames.count - 1) * Frame.WORDS);
  initCpuLists(words, zonesAt.base, plans, shape, regionOf(map, "pcpRings").base, cpuPcps);
}

function initZones(words: Int32Array, zonesAt: number, plans: readonly ZonePlan[], bits: Region): void {
  words.fill(0, bits.base, bits.base + bits.count);
  let next = bits.base;
  plans.forEach((plan, index) => {
    const zone = zonesAt + index * Zone.WORDS;
    words.fill(0, zone, zone + Zone.WORDS);
    words[zone + Zone.node] = plan.node;
    words[zone + Zone.startPfn] = plan.start;
    words[zone + Zone.endPfn] = plan.end;
    words[zone + Zone.managedPages] = plan.managed;
    words[zone + Zone.watermarkMin] = plan.min;
    words[zone + Zone.watermarkLow] = plan.low;
    words[zone + Zone.watermarkHigh] = plan.high;
    words[zone + Zone.lowmemReserve] = plan.lowmemReserve;
    words[zone + Zone.pcpBatch] = plan.batch;
    words[zone + Zone.pcpHigh] = plan.pcpHigh;
    for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
      let level = freeArea(zone, order) + FreeArea.levels;
      for (const size of bitLevels(plan.start, plan.end, order)) {
        words[level++] = next;
        next += size;
      }
      words[freeArea(zone, order) + FreeArea.top] = level - 1;
    }
    freeZonePages(words, zone, plan);
  });
}

/** Frees a zone's pages in the largest aligned blocks. */
function freeZonePages(words: Int32Array, zone: number, plan: ZonePlan): void {
  for (let pfn = plan.start; pfn < plan.end; ) {
    const size = Math.min(pfn & -pfn, 1 << highestBit(plan.end - pfn), 1 << MAX_PAGE_ORDER);
    freeOnePage(words, zone, pfn, highestBit(size));
    pfn += size;
  }
  words[zone + Zone.nrFreePages] = plan.managed;
  words[zone + Zone.nonEmptyOrders] = words[zone + Zone.areas + FreeAreas.nonEmpty] as number;
}

/** Marks frame 0 and all frames in no zone. */
function reserveHoles(words: Int32Array, frames: number, count: number, plans: readonly ZonePlan[]): void {
  let hole = 0;
  for (const { start, end } of [...plans, { start: count, end: count }]) {
    for (let pfn = hole; pfn < start; pfn++) words[frames + pfn * Frame.WORDS + Frame.count] = RESERVED_COUNT;
    hole = end;
  }
}

/** The device is always there: it has a reference that nobody drops. */
function initDevice(words: Int32Array, frame: number): void {
  words[frame + Frame.count] = FRAME_REF_ONE;
  words[frame + Frame.link] = typeLink(PAGE_TYPE_NONE);
}

function initCpuLists(
  words: Int32Array,
  zonesAt: number,
  plans: readonly ZonePlan[],
  shape: PageShape,
  rings: number,
  cpuPcps: readonly number[],
): void {
  let ring = rings;
  cpuPcps.forEach((at, cpu) => {
    words.fill(0, at, at + CpuPcp.WORDS);
    words[at + CpuPcp.node] = shape.cpuNodes[cpu] as number;
    plans.forEach((plan, index) => {
      const pcp = at + CpuPcp.zones + index * ZonePcp.WORDS;
      words[pcp + ZonePcp.zone] = zonesAt + index * Zone.WORDS;
      for (let order = 0; order < NR_PCP_LISTS; order++) {
        const list = pcp + ZonePcp.lists + order * PcpList.WORDS;
        const size = pcpRingWords(plan.pcpHigh, plan.batch, order);
        words[list + PcpList.ring] = ring;
        words[list + PcpList.mask] = size - 1;
        ring += size;
      }
    });
  });
}
