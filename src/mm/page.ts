/**
 * Page frames, after struct page / struct folio (include/linux/mm_types.h, include/linux/mm.h, mm/rmap.c, v6.6).
 *
 * Thread safety: a frame belongs to exactly one place at a time, and that place says who may touch it.
 * - Free: nobody touches it. The CPU that takes it off its list, or out of the buddy under the zone's lock, owns it.
 * - Allocated: `count` changes by atomic operations only. `link` is plain while the allocating CPU has not shown the
 *   page to anybody; afterwards only PAGE_DIRTY and PAGE_YOUNG change, atomically. `data` is its owner's.
 * Nobody reads a frame without a reference on its page.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, exchangeOwned, fetchAdd, fetchOr, load, POISON, store } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { InternalFault, Violation } from "../base/errors.ts";

/** Bytes of a page are 1 << PAGE_SHIFT. */
export const PAGE_SHIFT = 12;
/** A page frame number (pfn) has this many bits. Frame 0 is never handed out: 0 means "no page". */
export const PFN_BITS = 29;
/** Largest block of the buddy: 1 << MAX_PAGE_ORDER pages. */
export const MAX_PAGE_ORDER = 10;
const PFN_MASK = 2 ** PFN_BITS - 1;

/** Words of one page table entry, declared here because of the budget below. */
export const PTE_WORDS = 1;

export const Frame = struct("frame", {
  /**
   * Allocated: bits 0..15 refcount, at least 1; bits 16..30 mapcount; bit 31 clear. A folio counts in its head only.
   * Free, or tail of a folio: 0. Kept from the allocator: RESERVED_COUNT.
   */
  count: 1,
  /** Allocated: the PAGE_* bits below. Free: nothing; POISON in CHECKED builds, or 0 if it was never used. */
  link: 1,
  /** Allocated: one word of content, 0 at first. Free: as `link`. */
  data: 1,
});

assert((PTE_WORDS + Frame.WORDS) * 4 <= 16, "page: a PTE and its frame take more than 16 bytes");

/** One reference, and one mapping, in `Frame.count`. */
export const FRAME_REF_ONE = 1;
export const FRAME_RMAP_ONE = 1 << 16;
const REF_MASK = (1 << 16) - 1;
const MAPCOUNT_MAX = 0x7fff;

/** `Frame.count` of a frame that the allocator never hands out. */
export const RESERVED_COUNT = 0x8200 << 16;

/** Bits 29..31 of `Frame.link`. 6 is never stored: POISON decodes to it. */
export const PAGE_TYPE_OTHER = 0;
export const PAGE_TYPE_ANON = 1;
export const PAGE_TYPE_TABLE = 2;
export const PAGE_TYPE_GATHER = 3;
/** Bits 0..28 hold the pfn of the folio's head. Written once by the allocation, never changed. */
export const PAGE_TYPE_TAIL = 4;
/** In the page cache. From here on types share the tails' bit, so that none of these counts as `linkSingle`. */
export const PAGE_TYPE_FILE = 5;
/** No page: a swap slot (`mm/swap`), or the device behind PFNMAP ranges. Their frames lie behind those of all pages. */
export const PAGE_TYPE_NONE = 7;
const TYPE_SHIFT = 29;
/** Written to since it was mapped. Set atomically, never cleared while allocated. */
export const PAGE_DIRTY = 1 << 28;
/** Touched since it was mapped. Set atomically, never cleared while allocated. */
export const PAGE_YOUNG = 1 << 27;
/** Bits 23..26: order of the folio this page heads, 0 for a single page. Written by the allocation. */
const ORDER_SHIFT = 23;
/** Bits 0..22: owner, the mm's number; 0 when nobody in particular. */
const OWNER_MASK = (1 << ORDER_SHIFT) - 1;

/** The bits that tell single pages from others: that of PAGE_TYPE_TAIL and the types above, and the order. */
const SINGLE_MASK = (PAGE_TYPE_TAIL << TYPE_SHIFT) | (15 << ORDER_SHIFT);

assert(PAGE_TYPE_TAIL > (PAGE_TYPE_ANON | PAGE_TYPE_TABLE | PAGE_TYPE_GATHER), "page: tails need a bit of their own");
assert(PFN_BITS <= TYPE_SHIFT && MAX_PAGE_ORDER < 16, "page: link bits overlap");

/**
 * What page code keeps for the whole machine. It lies at the address `cpu.machine`, at the front of the machine's root
 * struct. Written at boot, read-only afterwards.
 */
export const PageGlobals = struct("pageGlobals", {
  /** Word address of the frame of pfn 0, and number of frames. */
  framesBase: 1,
  frameCount: 1,
  /** Swap slots. Slot i is the frame of pfn `frameCount + i`; the device's follows the last. */
  swapSlots: 1,
  /** Word address of the first `Zone`, and number of zones, by ascending pfn. */
  zonesBase: 1,
  zoneCount: 1,
  /** Nodes that have memory, one bit each. */
  nodes: 1,
  /** Word address of the first `PageMemcg`, one per page frame; 0 on machines without memory groups (`memcg`). */
  pageMemcgs: 1,
});

/** Word address of the frame of pfn 0; the frame of `pfn` is `pfn * Frame.WORDS` further on. */
export function framesOf(cpu: Cpu): number {
  return cpu.words[cpu.machine + PageGlobals.framesBase] as number;
}

/** Word address of a frame. */
export function frameAddress(cpu: Cpu, pfn: number): number {
  if (CHECKED) assertPfn(cpu, pfn);
  return framesOf(cpu) + pfn * Frame.WORDS;
}

/** The pfn that entries of PFNMAP ranges name: device memory, which nobody counts. */
export function devicePfn(cpu: Cpu): number {
  const { words, machine } = cpu;
  return (words[machine + PageGlobals.frameCount] as number) + (words[machine + PageGlobals.swapSlots] as number);
}

function assertPfn(cpu: Cpu, pfn: number): void {
  const count = cpu.words[cpu.machine + PageGlobals.frameCount] as number;
  if (Number.isInteger(pfn) && pfn > 0 && pfn < count) return;
  throw new InternalFault(`frameAddress: pfn ${pfn} is not in 1..${count - 1}`);
}

/** References in a count word. */
export function frameRefs(count: number): number {
  return count & REF_MASK;
}

/** Mappings in a count word; negative where the page is free or reserved. */
export function frameRmaps(count: number): number {
  return count >> 16;
}

/** `Frame.link` of a fresh page that heads `1 << order` pages and belongs to nobody. */
export function freshLink(order: number): number {
  return order << ORDER_SHIFT;
}

/** `Frame.link` of something of a type, alone and owned by nobody; `bits` 0..28 are the type's own. */
export function typeLink(type: number, bits = 0): number {
  return (type << TYPE_SHIFT) | bits;
}

/** `Frame.link` of a folio's tail page. */
export function tailLink(head: number): number {
  return (PAGE_TYPE_TAIL << TYPE_SHIFT) | head;
}

/** Head that a tail's link names. */
export function tailHead(link: number): number {
  return link & PFN_MASK;
}

export function linkType(link: number): number {
  return link >>> TYPE_SHIFT;
}

/** Owner of a page that is no tail. */
export function linkOwner(link: number): number {
  return link & OWNER_MASK;
}

/** Whether the page is a folio of its own, order 0 and no tail, and in no page cache. */
export function linkSingle(link: number): boolean {
  return (link & SINGLE_MASK) === 0;
}

/** Order of the folio that a page heads; the page is no tail. */
export function linkOrder(link: number): number {
  return (link >>> ORDER_SHIFT) & 15;
}

/**
 * `Frame.link` of an allocated page. Plain although PAGE_DIRTY and PAGE_YOUNG may change meanwhile (hence no `load`,
 * which promises a lock): good for all other bits.
 */
function stableLink(cpu: Cpu, pfn: number): number {
  const link = cpu.words[frameAddress(cpu, pfn) + Frame.link] as number;
  if (CHECKED && link === POISON) throw new Violation("I1", `page ${pfn} is used after it was freed`);
  return link;
}

/** PAGE_TYPE_* and owner of an allocated page head, both constant once it is shown to others. */
export function pageType(cpu: Cpu, head: number): number {
  return linkType(stableLink(cpu, head));
}

export function pageOwner(cpu: Cpu, head: number): number {
  return linkOwner(stableLink(cpu, head));
}

/** `page_folio`: head of the folio that an allocated page belongs to; the page itself where it is no tail. */
export function folioHead(cpu: Cpu, pfn: number): number {
  const link = stableLink(cpu, pfn);
  return linkType(link) === PAGE_TYPE_TAIL ? tailHead(link) : pfn;
}

/** First pfn behind the folio that an allocated page belongs to. */
export function folioEnd(cpu: Cpu, pfn: number): number {
  const head = folioHead(cpu, pfn);
  return head + (1 << linkOrder(stableLink(cpu, head)));
}

/** `Frame.link` of an allocated page with PAGE_DIRTY and PAGE_YOUNG as they are now. */
export function* pageLink(cpu: Cpu, pfn: number): Steps<number> {
  return yield* atomicLoad(cpu, frameAddress(cpu, pfn) + Frame.link);
}

/** Names type and owner (an mm's number) of a page head that its allocating CPU has not shown to anybody yet. */
export function pageSetOwner(cpu: Cpu, head: number, type: number, owner: number): void {
  const at = frameAddress(cpu, head) + Frame.link;
  store(cpu, at, ownedLink(type, linkOrder(load(cpu, at)), owner));
}

/** `Frame.link` of a page head of a type, owned by the mm of that number. */
export function ownedLink(type: number, order: number, owner: number): number {
  if (!(owner >= 0 && owner <= OWNER_MASK)) {
    throw new InternalFault(`ownedLink: owner ${owner} has more than ${ORDER_SHIFT} bits`);
  }
  return (type << TYPE_SHIFT) | freshLink(order) | owner;
}

/** Sets PAGE_DIRTY, PAGE_YOUNG or both on a page head; costs no write when they are set already. */
export function* pageMark(cpu: Cpu, head: number, bits: number): Steps<void> {
  const at = frameAddress(cpu, head) + Frame.link;
  if (((yield* atomicLoad(cpu, at)) & bits) !== bits) yield* fetchOr(cpu, at, bits);
}

/** `folio_ref_count` of a page head. */
export function* pageRefcount(cpu: Cpu, head: number): Steps<number> {
  return frameRefs(yield* atomicLoad(cpu, frameAddress(cpu, head)));
}

/** `folio_mapcount` of a page head: page table entries that map the folio or a page of it. */
export function* pageMapcount(cpu: Cpu, head: number): Steps<number> {
  return frameRmaps(yield* atomicLoad(cpu, frameAddress(cpu, head)));
}

/** `folio_ref_add`: takes `refs` more references on a page head of which the caller holds one. */
export function* folioRefAdd(cpu: Cpu, head: number, refs: number): Steps<void> {
  const old = frameRefs(yield* fetchAdd(cpu, frameAddress(cpu, head), refs));
  if (old === 0) throw new Violation("I2", `folioRefAdd: page ${head} is free`);
  if (old + refs > REF_MASK) throw new Violation("I2", `folioRefAdd: refcount of page ${head} overflows`);
}

/** `get_page`: takes one more reference on a page head of which the caller holds one. */
export function* getPage(cpu: Cpu, head: number): Steps<void> {
  yield* folioRefAdd(cpu, head, 1);
}

/** `folio_add_anon_rmap_ptes`: `maps` more page table entries map pages of this folio. */
export function* folioAddRmap(cpu: Cpu, head: number, maps: number): Steps<void> {
  const old = yield* fetchAdd(cpu, frameAddress(cpu, head), maps * FRAME_RMAP_ONE);
  if (frameRefs(old) === 0) throw new Violation("I2", `folioAddRmap: page ${head} is free`);
  if (frameRmaps(old) + maps > MAPCOUNT_MAX)
    throw new Violation("I2", `folioAddRmap: mapcount of page ${head} overflows`);
}

/** Count of a page that one page table entry maps, and that nobody else holds a reference on. */
export const MAPPED_ONCE = FRAME_RMAP_ONE + FRAME_REF_ONE;

/**
 * `folio_remove_rmap_ptes`: `maps` page table entries no longer map pages of this folio. Caller holds their PTE locks.
 *
 * A page mapped once is this CPU's own: its one entry was cleared under the PTE lock, and references are only ever
 * taken through an entry under its lock or by who has one already (there is no lockless get_user_pages here).
 */
export function* folioRemoveRmap(cpu: Cpu, head: number, maps: number): Steps<void> {
  const count = frameAddress(cpu, head) + Frame.count;
  if (maps === 1 && (yield* exchangeOwned(cpu, count, MAPPED_ONCE, FRAME_REF_ONE))) return;
  const old = yield* fetchAdd(cpu, count, -maps * FRAME_RMAP_ONE);
  if (frameRmaps(old) < maps) rmapUnderflow(head, old, maps);
}

function rmapUnderflow(head: number, old: number, maps: number): never {
  const state = frameRefs(old) === 0 ? "free" : `mapped ${frameRmaps(old)} times`;
  throw new Violation("I2", `folioRemoveRmap: page ${head} is ${state}, ${maps} mappings to remove`);
}

/**
 * Judges a put of `refs` references that found `old` in the count word of `head` and was no plain last put: throws when
 * the page was free, had fewer references, or loses its last one while still mapped.
 */
export function checkPut(head: number, old: number, refs: number): void {
  const before = frameRefs(old);
  if (before > refs) return;
  if (before === 0) throw new Violation("I2", `putPage: page ${head} is not allocated (${countName(old)})`);
  if (before < refs) throw new Violation("I2", `putPage: page ${head} has ${before} references, ${refs} to put`);
  if (old !== refs) throw new Violation("I2", `putPage: page ${head} is freed while mapped ${frameRmaps(old)} times`);
}

/** What a count word with refcount 0 says, for reports. */
export function countName(count: number): string {
  return count === RESERVED_COUNT ? "reserved" : "free, or a folio's tail";
}
