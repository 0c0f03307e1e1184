/**
 * Per-CPU page lists and freeing to them (mm/page_alloc.c: free_unref_page_commit, nr_pcp_free, free_pcppages_bulk;
 * v6.1). `pcp-alloc` allocates from them.
 *
 * Per zone and order up to PAGE_ALLOC_COSTLY_ORDER a CPU keeps a list of its own. Pages enter and leave at its hot
 * end; bulk frees take from the cold end. The lists are rings of pfns in the arena, large enough for the high mark.
 *
 * Left out: `free_high`, the shrunk high mark while a zone is reclaimed, migrate types.
 *
 * Thread safety: private to its CPU, plain accesses throughout. Others only read it, while nothing runs.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { poison } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { highestBit } from "../base/bits.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { accountFreePages, freeOnePage } from "./buddy.ts";
import { coalesce, freeBlocks } from "./buddy-bulk.ts";
import { Frame, framesOf, PageGlobals } from "./page.ts";
import { MAX_NR_ZONES, ZONE_LOCK, Zone, zoneOf } from "./zone.ts";

/** Largest order that has per-CPU lists, and for which the allocator tries hard. */
export const PAGE_ALLOC_COSTLY_ORDER = 3;
export const NR_PCP_LISTS = PAGE_ALLOC_COSTLY_ORDER + 1;

/** Entries lie at ring[i & mask] for i from `cold` up to `hot`, both of which wrap at 2^32. */
export const PcpList = struct("pcpList", { ring: 1, mask: 1, cold: 1, hot: 1 });

export const ZonePcp = struct("zonePcp", {
  /** Word address of the zone. */
  zone: 1,
  /** Pages on all lists together. */
  count: 1,
  /** Bulk frees since the last allocation, as a power of two that scales the next one. */
  freeFactor: 1,
  lists: [PcpList, NR_PCP_LISTS],
});

/** Lies at the front of `CpuMm`, hence at `cpu.mm`. */
export const CpuPcp = struct(
  "cpuPcp",
  {
    /** NUMA node of this CPU. */
    node: 1,
    /** Word address of the running task's `NodePolicy`, 0 when none runs. */
    policy: 1,
    /** Pages ever allocated and freed by this CPU (PGALLOC, PGFREE), modulo 2^32. */
    pgalloc: 1,
    pgfree: 1,
    zones: [ZonePcp, MAX_NR_ZONES],
  },
  CACHE_PAIR,
);

/** Word address of the calling CPU's page lists. */
export function cpuPcp(cpu: Cpu): number {
  return cpu.mm;
}

/** Pages that this CPU ever freed, modulo 2^32. */
export function pagesFreed(cpu: Cpu): number {
  return cpu.words[cpuPcp(cpu) + CpuPcp.pgfree] as number;
}

/** Word address of this CPU's lists for the zone number `index`. */
export function zonePcp(cpu: Cpu, index: number): number {
  return cpuPcp(cpu) + CpuPcp.zones + index * ZonePcp.WORDS;
}

/** Word address of this CPU's lists for the zone that holds `pfn`. */
function zonePcpOf(cpu: Cpu, pfn: number): number {
  const words = cpu.words;
  let zone = words[cpu.machine + PageGlobals.zonesBase] as number;
  let pcp = cpuPcp(cpu) + CpuPcp.zones;
  while (pfn >= (words[zone + Zone.endPfn] as number)) {
    zone += Zone.WORDS;
    pcp += ZonePcp.WORDS;
  }
  return pcp;
}

/** Entries a ring needs: what may come until the high mark acts, and a refill, rounded up to a power of two. */
export function pcpRingWords(high: number, batch: number, order: number): number {
  return 2 << highestBit((high >> order) + batch + 1);
}

/**
 * `free_unref_page`: takes back a page of which the last reference is gone. Its frame's count is 0 and nobody else
 * knows it any more.
 */
export function* freeUnrefPage(cpu: Cpu, pfn: number, order: number): Steps<void> {
  const words = cpu.words;
  if (CHECKED) poisonPages(cpu, framesOf(cpu), pfn, order);
  const freed = cpuPcp(cpu) + CpuPcp.pgfree;
  words[freed] = ((words[freed] as number) + (1 << order)) | 0;
  if (order > PAGE_ALLOC_COSTLY_ORDER) {
    yield* freePagesOk(cpu, pfn, order);
    return;
  }
  const pcp = zonePcpOf(cpu, pfn);
  const list = pcp + ZonePcp.lists + order * PcpList.WORDS;
  const hot = words[list + PcpList.hot] as number;
  words[(words[list + PcpList.ring] as number) + (hot & (words[list + PcpList.mask] as number))] = pfn;
  words[list + PcpList.hot] = (hot + 1) | 0;
  words[pcp + ZonePcp.count] = (words[pcp + ZonePcp.count] as number) + (1 << order);
  if (atHighMark(words, pcp)) yield* freePcppagesBulk(cpu, pcp, nrPcpFree(words, pcp), order);
}

/** `free_unref_page_list`: `freeUnrefPage` for `n` single pages, whose pfns lie in the CPU's own words from `list` on. */
export function* freeUnrefPageList(cpu: Cpu, list: number, n: number): Steps<void> {
  const words = cpu.words;
  const end = list + n;
  if (CHECKED) for (let at = list; at < end; at++) poisonPages(cpu, framesOf(cpu), words[at] as number, 0);
  const freed = cpuPcp(cpu) + CpuPcp.pgfree;
  words[freed] = ((words[freed] as number) + n) | 0;
  for (let at = list; at < end; ) {
    const pcp = zonePcpOf(cpu, words[at] as number);
    at = queueHot(words, pcp, at, end);
    if (atHighMark(words, pcp)) yield* freePcppagesBulk(cpu, pcp, nrPcpFree(words, pcp), 0);
  }
}

/**
 * Queues the single pages in [from, to) at the hot end, until the high mark or a page of another zone. Returns the first
 * word that is left; at least one page is queued.
 */
function queueHot(words: Int32Array, pcp: number, from: number, to: number): number {
  const list = pcp + ZonePcp.lists;
  const zone = words[pcp + ZonePcp.zone] as number;
  const start = words[zone + Zone.startPfn] as number;
  const end = words[zone + Zone.endPfn] as number;
  const ring = words[list + PcpList.ring] as number;
  const mask = words[list + PcpList.mask] as number;
  const room = (words[zone + Zone.pcpHigh] as number) - (words[pcp + ZonePcp.count] as number);
  const stop = Math.min(to, from + Math.max(room, 1));
  let hot = words[list + PcpList.hot] as number;
  let at = from;
  for (; at < stop; at++) {
    const pfn = words[at] as number;
    if (pfn < start || pfn >= end) break;
    words[ring + (hot & mask)] = pfn;
    hot = (hot + 1) | 0;
  }
  words[list + PcpList.hot] = hot;
  words[pcp + ZonePcp.count] = (words[pcp + ZonePcp.count] as number) + (at - from);
  return at;
}

/** CHECKED: whoever still uses the page meets POISON. */
function poisonPages(cpu: Cpu, frames: number, pfn: number, order: number): void {
  const end = frames + (pfn + (1 << order)) * Frame.WORDS;
  for (let frame = frames + pfn * Frame.WORDS; frame < end; frame += Frame.WORDS) {
    poison(cpu, frame + Frame.link);
    poison(cpu, frame + Frame.data);
  }
}

/** `__free_pages_ok`: a block too large for the per-CPU lists goes to the buddy at once. */
function* freePagesOk(cpu: Cpu, pfn: number, order: number): Steps<void> {
  const zone = zoneOf(cpu, pfn);
  yield* spinLock(cpu, zone + Zone.lock, ZONE_LOCK);
  freeOnePage(cpu.words, zone, pfn, order);
  yield* accountFreePages(cpu, zone, 1 << order);
  yield* spinUnlock(cpu, zone + Zone.lock, ZONE_LOCK);
}

function atHighMark(words: Int32Array, pcp: number): boolean {
  const high = words[(words[pcp + ZonePcp.zone] as number) + Zone.pcpHigh] as number;
  return (words[pcp + ZonePcp.count] as number) >= high;
}

/** `nr_pcp_free`: pages to free at the high mark; twice as many each time while nothing is allocated. */
function nrPcpFree(words: Int32Array, pcp: number): number {
  const zone = words[pcp + ZonePcp.zone] as number;
  const batch = words[zone + Zone.pcpBatch] as number;
  const most = (words[zone + Zone.pcpHigh] as number) - batch;
  const factor = words[pcp + ZonePcp.freeFactor] as number;
  const pages = batch << factor;
  if (pages < most) words[pcp + ZonePcp.freeFactor] = factor + 1;
  return Math.min(pages, most);
}

/** `free_pcppages_bulk`: gives `pages` pages (or all there are) to the buddy, those on the list of `order` first. */
function* freePcppagesBulk(cpu: Cpu, pcp: number, pages: number, order: number): Steps<void> {
  const words = cpu.words;
  let left = pages;
  for (let i = 0; i < NR_PCP_LISTS && left > 0; i++) {
    const k = (order + i) % NR_PCP_LISTS;
    const list = pcp + ZonePcp.lists + k * PcpList.WORDS;
    const held = ((words[list + PcpList.hot] as number) - (words[list + PcpList.cold] as number)) | 0;
    const taken = Math.min(held, (left + (1 << k) - 1) >> k);
    yield* freeColdPages(cpu, pcp, list, k, taken);
    left -= taken << k;
  }
}

/** Detaches `entries` blocks of `order` from the cold end of a list and frees them. */
function* freeColdPages(cpu: Cpu, pcp: number, list: number, order: number, entries: number): Steps<void> {
  const words = cpu.words;
  const zone = words[pcp + ZonePcp.zone] as number;
  const ring = words[list + PcpList.ring] as number;
  const mask = words[list + PcpList.mask] as number;
  const cold = words[list + PcpList.cold] as number;
  words[list + PcpList.cold] = (cold + entries) | 0;
  words[pcp + ZonePcp.count] = (words[pcp + ZonePcp.count] as number) - (entries << order);
  for (let done = 0; done < entries; ) {
    const slot = (cold + done) & mask;
    const stretch = Math.min(entries - done, mask + 1 - slot);
    const blocks = coalesce(words, ring + slot, stretch, order);
    yield* freeBlocks(cpu, zone, ring + slot, blocks);
    done += stretch;
  }
}

/** `drain_pages`: gives everything on the calling CPU's lists back to the buddy. */
export function* drainPages(cpu: Cpu): Steps<void> {
  const zones = cpu.words[cpu.machine + PageGlobals.zoneCount] as number;
  for (let i = 0; i < zones; i++) {
    const pcp = zonePcp(cpu, i);
    yield* freePcppagesBulk(cpu, pcp, cpu.words[pcp + ZonePcp.count] as number, 0);
  }
}
