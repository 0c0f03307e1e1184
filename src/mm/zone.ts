/**
 * Zones and their watermarks (include/linux/mmzone.h; mm/page_alloc.c: __zone_watermark_ok, setup_per_zone_wmarks,
 * calculate_min_free_kbytes, setup_per_zone_lowmem_reserve, zone_batchsize, zone_highsize; v6.6).
 *
 * Thread safety: the first part of a zone is written at boot and read-only afterwards. `areas` is guarded by `lock`.
 * The last part is written by the holder of the lock, atomically, and read by anybody, atomically.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { highestBit } from "../base/bits.ts";
import { lockClass } from "../sync/lock-class.ts";
import { Spinlock } from "../sync/spinlock.ts";
import { MAX_PAGE_ORDER, PAGE_SHIFT, PageGlobals } from "./page.ts";

export const ZONE_LOCK = lockClass("zone_lock");

/** Most zones of one machine, all nodes together. */
export const MAX_NR_ZONES = 4;

/** Levels of bits that the blocks of one order take: 32^6 = 2^30 blocks. */
export const MAX_BIT_LEVELS = 6;

/** Free blocks of one order; see `buddy`. */
export const FreeArea = struct("freeArea", {
  /** Number of free blocks. */
  nrFree: 1,
  /** Word address of the last entry of `levels` that is in use. Constant. */
  top: 1,
  /** Word address of the bits, of their summary, of its summary, ... up to one word. Constant. */
  levels: MAX_BIT_LEVELS,
});

export const FreeAreas = struct(
  "freeAreas",
  {
    order: [FreeArea, MAX_PAGE_ORDER + 1],
    /** Bit k is set while there is a free block of order k. */
    nonEmpty: 1,
  },
  CACHE_PAIR,
);

export const Zone = struct(
  "zone",
  {
    node: 1,
    /** Pages [startPfn, endPfn), all of them managed by the buddy. */
    startPfn: 1,
    endPfn: 1,
    managedPages: 1,
    /** Numbers of pages. */
    watermarkMin: 1,
    watermarkLow: 1,
    watermarkHigh: 1,
    /** Pages kept from allocations that could also be served by a higher zone of the node. */
    lowmemReserve: 1,
    /** Pages moved between buddy and a per-CPU list at a time, and pages on it that trigger that. */
    pcpBatch: 1,
    pcpHigh: 1,

    lock: { words: Spinlock.WORDS, align: CACHE_PAIR },
    areas: FreeAreas,

    /** NR_FREE_PAGES: pages in the buddy; those on per-CPU lists do not count. */
    nrFreePages: { words: 1, align: CACHE_PAIR },
    /** Copy of `areas.nonEmpty`, as of the last release of the lock. */
    nonEmptyOrders: 1,
  },
  CACHE_PAIR,
);

/** Word address of the zone that holds `pfn`. */
export function zoneOf(cpu: Cpu, pfn: number): number {
  const words = cpu.words;
  let zone = words[cpu.machine + PageGlobals.zonesBase] as number;
  while (pfn >= (words[zone + Zone.endPfn] as number)) zone += Zone.WORDS;
  return zone;
}

/** `enum zone_type`, and its names. */
const ZONE_NORMAL = 2;
export const ZONE_NAMES = ["DMA", "DMA32", "Normal"] as const;

/** `zone_idx`: a node's highest zone is its normal one, those below it are DMA32 and DMA. */
export function zoneIndex(cpu: Cpu, zone: number): number {
  const { words } = cpu;
  const end =
    (words[cpu.machine + PageGlobals.zonesBase] as number) +
    (words[cpu.machine + PageGlobals.zoneCount] as number) * Zone.WORDS;
  let above = 0;
  for (let other = zone + Zone.WORDS; other < end; other += Zone.WORDS) {
    if (words[other + Zone.node] === words[zone + Zone.node]) above++;
  }
  return Math.max(0, ZONE_NORMAL - above);
}

/** Allocation flags (mm/internal.h): which watermark holds, and what may dip below it. */
export const ALLOC_WMARK_MIN = 0;
export const ALLOC_WMARK_LOW = 1;
export const ALLOC_WMARK_HIGH = 2;
export const ALLOC_WMARK_MASK = 3;
export const ALLOC_NO_WATERMARKS = 4;
/** For victims of the OOM killer: half of the min watermark, as reduced by the two flags below. */
export const ALLOC_OOM = 0x08;
/** The caller cannot wait: with ALLOC_MIN_RESERVE a further quarter of the min watermark. */
export const ALLOC_NON_BLOCK = 0x10;
/** `__GFP_HIGH`: half of the min watermark. */
export const ALLOC_MIN_RESERVE = 0x20;

/** The watermark, in pages, that `allocFlags` asks for. */
export function wmarkPages(cpu: Cpu, zone: number, allocFlags: number): number {
  return cpu.words[zone + Zone.watermarkMin + (allocFlags & ALLOC_WMARK_MASK)] as number;
}

/** What is left of the watermark `mark` for an allocation with these flags. */
export function reducedMark(mark: number, allocFlags: number): number {
  let min = mark;
  if ((allocFlags & ALLOC_MIN_RESERVE) !== 0) {
    min -= min >> 1;
    if ((allocFlags & ALLOC_NON_BLOCK) !== 0) min -= min >> 2;
  }
  if ((allocFlags & ALLOC_OOM) !== 0) min -= min >> 1;
  return min;
}

/**
 * `zone_watermark_ok`: whether the zone would stay above `mark` pages (less what `allocFlags` may dip into) after
 * handing out `1 << order` pages, and has a free block that large. Takes no lock: true is no promise.
 */
export function* zoneWatermarkOk(
  cpu: Cpu,
  zone: number,
  order: number,
  mark: number,
  allocFlags: number,
): Steps<boolean> {
  const usable = (yield* atomicLoad(cpu, zone + Zone.nrFreePages)) - ((1 << order) - 1);
  const reserve = cpu.words[zone + Zone.lowmemReserve] as number;
  if (usable <= reducedMark(mark, allocFlags) + reserve) return false;
  if (order === 0) return true;
  return (yield* atomicLoad(cpu, zone + Zone.nonEmptyOrders)) >>> order !== 0;
}

/** `nr_free_pages`: pages in the buddy of all zones. */
export function* nrFreePages(cpu: Cpu): Steps<number> {
  const zones = cpu.words[cpu.machine + PageGlobals.zonesBase] as number;
  const count = cpu.words[cpu.machine + PageGlobals.zoneCount] as number;
  let pages = 0;
  for (let i = 0; i < count; i++) pages += yield* atomicLoad(cpu, zones + i * Zone.WORDS + Zone.nrFreePages);
  return pages;
}

/** min_free_kbytes that the kernel chooses for `managedPages` in all: sqrt(16 * kB), from 128 to 262144; in pages. */
export function defaultMinFreePages(managedPages: number): number {
  const kbPerPage = 1 << (PAGE_SHIFT - 10);
  const kb = Math.floor(Math.sqrt(managedPages * kbPerPage * 16));
  return Math.floor(Math.min(Math.max(kb, 128), 262144) / kbPerPage);
}

export interface Watermarks {
  readonly min: number;
  readonly low: number;
  readonly high: number;
}

/** One part in WATERMARK_SCALE of a zone is the least distance between its watermarks (watermark_scale_factor 10). */
const WATERMARK_SCALE = 1000;

/** A zone's watermarks in pages: its share of `minFreePages`, and two steps of a quarter of that or a thousandth of it. */
export function zoneWatermarks(managed: number, managedOfAll: number, minFreePages: number): Watermarks {
  const min = Math.floor((minFreePages * managed) / managedOfAll);
  const step = Math.max(min >> 2, Math.floor(managed / WATERMARK_SCALE));
  return { min, low: min + step, high: min + 2 * step };
}

/** Part of the higher zones' pages that a lower zone keeps from them (lowmem_reserve_ratio): 1 in 256. */
export const LOWMEM_RESERVE_RATIO = 256;

/** `zone_batchsize`: 63 pages for zones from 1 MiB pages up, 2^n - 1 pages, at least one. */
export function zoneBatchsize(managed: number): number {
  const batch = Math.max(1, Math.min(managed >> 12, (256 * 1024) >> PAGE_SHIFT));
  return Math.max(1, (1 << highestBit(batch + (batch >> 1))) - 1);
}

/** `zone_highsize`: this CPU's share of the low watermark, at least four batches; in pages. */
export function zoneHighsize(low: number, cpusOfZone: number, batch: number): number {
  return Math.max(Math.floor(low / cpusOfZone), batch * 4);
}
