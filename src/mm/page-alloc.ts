/**
 * Allocating and freeing pages (mm/page_alloc.c: __alloc_pages, get_page_from_freelist, __alloc_pages_slowpath;
 * mm/swap.c: release_pages; v6.6).
 *
 * There is no reclaim: when the watermarks refuse, the slow path gives back this CPU's own lists and then asks the
 * OOM killer. Left out: compaction, CMA.
 *
 * Thread safety: callable by any CPU without locks; takes zone_lock only, so it nests inside every other lock.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { exchangeOwned, fetchAdd, load, POISON } from "../arena/mem.ts";
import { Violation } from "../base/errors.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { accountFreePages, smallestFree, takeBlock } from "./buddy.ts";
import { memcgUncharge, memcgUnchargeList } from "./memcg.ts";
import { ALL_NODES, allowedNodes, isNuma, preferredNode } from "./mempolicy.ts";
import {
  checkPut,
  countName,
  FRAME_REF_ONE,
  Frame,
  folioHead,
  frameAddress,
  framesOf,
  freshLink,
  linkOrder,
  PageGlobals,
  tailLink,
} from "./page.ts";
import {
  CpuPcp,
  cpuPcp,
  drainPages,
  freeUnrefPage,
  freeUnrefPageList,
  PAGE_ALLOC_COSTLY_ORDER,
  zonePcp,
} from "./pcp.ts";
import { rmqueuePcplist } from "./pcp-alloc.ts";
import { traceReclaimRetry } from "./reclaim-retry.ts";
import {
  ALLOC_MIN_RESERVE,
  ALLOC_NO_WATERMARKS,
  ALLOC_NON_BLOCK,
  ALLOC_OOM,
  ALLOC_WMARK_LOW,
  ALLOC_WMARK_MIN,
  wmarkPages,
  ZONE_LOCK,
  Zone,
  zoneWatermarkOk,
} from "./zone.ts";

/** May use part of the min watermark. */
export const __GFP_HIGH = 1;
/** May wait for memory: reclaim, OOM killer. */
export const __GFP_DIRECT_RECLAIM = 2;
/** Fails rather than have the OOM killer called. */
export const __GFP_RETRY_MAYFAIL = 4;
/** Ignores the watermarks. */
export const __GFP_MEMALLOC = 8;
/** Asks for what an OOM victim gets, whoever runs. */
export const GFP_OOM_VICTIM = 16;

/** What an allocation has that can neither wait nor do without. */
const ATOMIC = ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE;

export const GFP_KERNEL = __GFP_DIRECT_RECLAIM;
export const GFP_NOWAIT = 0;
export const GFP_ATOMIC = __GFP_HIGH;

/**
 * `alloc_pages`: `1 << order` pages as one folio, with one reference, no mapping, no owner, content 0. Returns the pfn
 * of its head, or 0 when the kernel's allocation would fail. Without __GFP_DIRECT_RECLAIM it never waits.
 */
export function* allocPages(cpu: Cpu, order: number, gfp: number): Steps<number> {
  const pfn = yield* getPageFromFreelist(cpu, order, ALLOC_WMARK_LOW);
  return pfn !== 0 ? pfn : yield* allocPagesSlowpath(cpu, order, gfp);
}

/**
 * Nodes from which an allocation may come. Who has reserves is not held to policies and cpusets: a victim of the OOM
 * killer, an atomic allocation. Costs nothing on a machine of one node.
 */
function* nodesFor(cpu: Cpu, allocFlags: number): Steps<number> {
  if (!isNuma(cpu) || (allocFlags & (ALLOC_OOM | ALLOC_NO_WATERMARKS)) !== 0) return ALL_NODES;
  if ((allocFlags & ATOMIC) === ATOMIC) return ALL_NODES;
  return yield* allowedNodes(cpu);
}

/**
 * Whether an allocation by the current task could be had at this watermark; takes nothing and no lock, so true is no
 * promise.
 */
export function* anyZoneAbove(cpu: Cpu, order: number, allocFlags: number): Steps<boolean> {
  const zones = load(cpu, cpu.machine + PageGlobals.zonesBase);
  const count = load(cpu, cpu.machine + PageGlobals.zoneCount);
  const nodes = yield* nodesFor(cpu, allocFlags);
  for (let i = 0; i < count; i++) {
    const zone = zones + i * Zone.WORDS;
    if (((nodes >>> load(cpu, zone + Zone.node)) & 1) === 0) continue;
    if (yield* zoneWatermarkOk(cpu, zone, order, wmarkPages(cpu, zone, allocFlags), allocFlags)) return true;
  }
  return false;
}

/** `gfp_to_alloc_flags`, and the reserves of `__gfp_pfmemalloc_flags`. */
function gfpToAllocFlags(gfp: number, victim: boolean): number {
  let flags = ALLOC_WMARK_MIN;
  if ((gfp & __GFP_HIGH) !== 0) flags |= ALLOC_MIN_RESERVE;
  if ((gfp & __GFP_DIRECT_RECLAIM) === 0) flags |= ALLOC_NON_BLOCK;
  if ((gfp & __GFP_MEMALLOC) !== 0) flags |= ALLOC_NO_WATERMARKS;
  if (victim) flags |= ALLOC_OOM;
  return flags;
}

/**
 * `__alloc_pages_slowpath`: down to the min watermark, then the OOM killer, for as long as it sees a way. A victim gets its
 * reserve, and fails when that is not enough. No rounds without progress come first: with nothing to reclaim
 * `should_reclaim_retry` gives up at once.
 */
function* allocPagesSlowpath(cpu: Cpu, order: number, gfp: number): Steps<number> {
  for (let round = 0; ; round++) {
    const victim = yield* currentMayDip(cpu, gfp);
    const flags = gfpToAllocFlags(gfp, victim);
    let pfn = yield* getPageFromFreelist(cpu, order, flags);
    if (pfn !== 0 || (gfp & __GFP_DIRECT_RECLAIM) === 0) return pfn;
    yield* drainPages(cpu);
    pfn = yield* getPageFromFreelist(cpu, order, flags);
    if (pfn !== 0) return pfn;
    // Rounds follow each other at once where nothing is reclaimed: told each time they would fill the trace ring.
    if (round === 0) traceReclaimRetry(cpu, order, flags);
    const mayKill = order <= PAGE_ALLOC_COSTLY_ORDER && (gfp & __GFP_RETRY_MAYFAIL) === 0 && !victim;
    if (!mayKill || !(yield* cpu.upcalls.outOfMemory(cpu, order, gfp))) return 0;
  }
}

function* currentMayDip(cpu: Cpu, gfp: number): Steps<boolean> {
  return (gfp & GFP_OOM_VICTIM) !== 0 || (yield* cpu.upcalls.currentIsVictim(cpu));
}

/**
 * `get_page_from_freelist`: the zones of the preferred node first, which is this CPU's unless a policy says otherwise,
 * higher zones before lower ones; 0 if all that are allowed refuse.
 */
function* getPageFromFreelist(cpu: Cpu, order: number, allocFlags: number): Steps<number> {
  const words = cpu.words;
  const zones = words[cpu.machine + PageGlobals.zonesBase] as number;
  const count = words[cpu.machine + PageGlobals.zoneCount] as number;
  const first = isNuma(cpu) ? yield* preferredNode(cpu) : (words[cpuPcp(cpu) + CpuPcp.node] as number);
  const nodes = yield* nodesFor(cpu, allocFlags);
  for (let remote = 0; remote < 2; remote++) {
    for (let i = count - 1; i >= 0; i--) {
      const zone = zones + i * Zone.WORDS;
      const node = words[zone + Zone.node] as number;
      if ((node === first) !== (remote === 0) || ((nodes >>> node) & 1) === 0) continue;
      if ((allocFlags & ALLOC_NO_WATERMARKS) === 0) {
        const mark = wmarkPages(cpu, zone, allocFlags);
        if (!(yield* zoneWatermarkOk(cpu, zone, order, mark, allocFlags))) continue;
      }
      const pfn = yield* rmqueue(cpu, zone, i, order);
      if (pfn === 0) continue;
      prepNewPage(cpu, pfn, order);
      return pfn;
    }
  }
  return 0;
}

/** `rmqueue`: a block from the CPU's list or, where it is too large for that, from the buddy; 0 when there is none. */
function* rmqueue(cpu: Cpu, zone: number, index: number, order: number): Steps<number> {
  if (order <= PAGE_ALLOC_COSTLY_ORDER) return yield* rmqueuePcplist(cpu, zonePcp(cpu, index), order);
  let pfn = 0;
  yield* spinLock(cpu, zone + Zone.lock, ZONE_LOCK);
  const from = smallestFree(cpu.words, zone, order);
  if (from >= 0) {
    pfn = takeBlock(cpu.words, zone, from, order);
    yield* accountFreePages(cpu, zone, -(1 << order));
  }
  yield* spinUnlock(cpu, zone + Zone.lock, ZONE_LOCK);
  return pfn;
}

/** `prep_new_page`: a free block, known to this CPU only, becomes a folio. */
export function prepNewPage(cpu: Cpu, pfn: number, order: number): void {
  const words = cpu.words;
  const frame = frameAddress(cpu, pfn);
  const count = words[frame + Frame.count] as number;
  if (count !== 0) throw new Violation("I2", `allocPages: page ${pfn} is in use or ${countName(count)}`);
  if (CHECKED) requirePoison(words, frame, pfn, order);
  words[frame + Frame.count] = FRAME_REF_ONE;
  words[frame + Frame.link] = freshLink(order);
  words[frame + Frame.data] = 0;
  for (let tail = 1; tail < 1 << order; tail++) {
    words[frame + tail * Frame.WORDS + Frame.link] = tailLink(pfn);
    words[frame + tail * Frame.WORDS + Frame.data] = 0;
  }
  const allocated = cpuPcp(cpu) + CpuPcp.pgalloc;
  words[allocated] = ((words[allocated] as number) + (1 << order)) | 0;
}

/** CHECKED: frames must still hold what `freeUnrefPage` or boot left there. */
function requirePoison(words: Int32Array, frame: number, pfn: number, order: number): void {
  for (let i = 0; i < 1 << order; i++) {
    const link = words[frame + i * Frame.WORDS + Frame.link] as number;
    const intact = link === words[frame + i * Frame.WORDS + Frame.data] && (link === POISON || link === 0);
    if (!intact) throw new Violation("I1", `allocPages: page ${pfn + i} was written to while it was free`);
  }
}

/** `put_page`: drops one reference on a page head; the last one frees it. Violation I2 on one too many. */
export function* putPage(cpu: Cpu, head: number): Steps<void> {
  const frame = frameAddress(cpu, head);
  const old = yield* fetchAdd(cpu, frame + Frame.count, -FRAME_REF_ONE);
  if (old === FRAME_REF_ONE) yield* freeFolio(cpu, head);
  else checkPut(head, old, 1);
}

/** `__folio_put`: the last reference on a page head is gone. */
function* freeFolio(cpu: Cpu, head: number): Steps<void> {
  const order = linkOrder(cpu.words[frameAddress(cpu, head) + Frame.link] as number);
  yield* memcgUncharge(cpu, head, order);
  yield* freeUnrefPage(cpu, head, order);
}

/**
 * `release_pages`: drops references on the pages that `n` words from `list` on name, and frees those that lose their
 * last one. A word above 0 is a page of order 0; one below 0 is minus the number of references to drop on the folio of
 * the pfn behind it, head or tail. The words are the calling CPU's own, and are used up.
 */
export function* releasePages(cpu: Cpu, list: number, n: number): Steps<void> {
  const end = list + n;
  for (let at = list; at < end; ) {
    const from = at;
    at = yield* putOwnPages(cpu, from, end);
    yield* memcgUnchargeList(cpu, from, at);
    yield* freeUnrefPageList(cpu, from, at - from);
    if (at === end) return;
    if (load(cpu, at) < 0) at = yield* releaseFolio(cpu, at);
    else yield* putPage(cpu, load(cpu, at++));
  }
}

/**
 * The usual case: single pages of which this CPU has the only reference. Drops it for the words [from, to) up to the
 * first that is something else; returns where that is. No call in the loop, as in `zapOwnPages`.
 */
function* putOwnPages(cpu: Cpu, from: number, to: number): Steps<number> {
  const { words } = cpu;
  const counts = framesOf(cpu) + Frame.count;
  let at = from;
  for (; at < to; at++) {
    const pfn = words[at] as number;
    if (pfn < 0) break;
    const count = (counts + Math.imul(pfn, Frame.WORDS)) | 0;
    if (!(yield* exchangeOwned(cpu, count, FRAME_REF_ONE, 0))) break;
  }
  return at;
}

/** Drops what the two words at `at` say on a folio; returns the word behind them. */
function* releaseFolio(cpu: Cpu, at: number): Steps<number> {
  const refs = -load(cpu, at);
  const head = folioHead(cpu, load(cpu, at + 1));
  const frame = frameAddress(cpu, head);
  const old = yield* fetchAdd(cpu, frame + Frame.count, -refs);
  if (old === refs) yield* freeFolio(cpu, head);
  else checkPut(head, old, refs);
  return at + 2;
}
