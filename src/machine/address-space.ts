/** Building a victim page by page: its mappings by mmapRegion, its pages by anonymous faults. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { assert } from "../base/assert.ts";
import { Random } from "../base/random.ts";
import { allocPagesBulk } from "../mm/alloc-bulk.ts";
import { mapAnonymousFolio, userStore, VM_FAULT_DONE } from "../mm/fault.ts";
import { faultAround, mapAround } from "../mm/fault-run.ts";
import { mmapRegion } from "../mm/mmap.ts";
import { allocPages, GFP_KERNEL } from "../mm/page-alloc.ts";
import { entrySpan, PTRS_PER_TABLE } from "../mm/page-table.ts";
import { TLB_ENTRIES, tlbActivate } from "../mm/tlb.ts";

/** Runs of present pages, flat: offset from the mapping's start, count, offset, count, ...; ascending, apart. */
export type PresentRuns = ArrayLike<number>;

/** One mapping, in pages. */
export interface Mapping {
  /** First virtual page number; mappings come in ascending order and do not overlap. */
  readonly startVpn: number;
  readonly pages: number;
  /** VM_* */
  readonly flags: number;
  readonly present: "all" | PresentRuns;
  /** Pages are faulted in as folios of 2^folioOrder where they fit. Default 0. */
  readonly folioOrder?: number;
}

export const FRAME_ORDERS = ["sequential", "random"] as const;
/** Whether neighbouring virtual pages have neighbouring frames, or frames in a seeded random order. */
export type FrameOrder = (typeof FRAME_ORDERS)[number];

function runsOf(mapping: Mapping): PresentRuns {
  return mapping.present === "all" ? [0, mapping.pages] : mapping.present;
}

/** Present pages of all mappings. */
export function countPresent(mappings: readonly Mapping[]): number {
  let pages = 0;
  for (const mapping of mappings) {
    const runs = runsOf(mapping);
    for (let i = 1; i < runs.length; i += 2) pages += runs[i] as number;
  }
  return pages;
}

/** Page tables of all levels that the present pages need, the top level included. */
export function countTables(mappings: readonly Mapping[], levels: number): number {
  const last = new Array<number>(levels).fill(-1);
  let tables = 1;
  for (const mapping of mappings) {
    const runs = runsOf(mapping);
    for (let i = 0; i < runs.length; i += 2) {
      const first = mapping.startVpn + (runs[i] as number);
      const end = first + (runs[i + 1] as number);
      for (let level = 0; level < levels - 1; level++) {
        const span = entrySpan(level + 1);
        const from = Math.max(Math.floor(first / span), (last[level] as number) + 1);
        const to = Math.floor((end - 1) / span);
        tables += Math.max(0, to - from + 1);
        last[level] = to;
      }
    }
  }
  return tables;
}

/** Where the present pages come from. */
interface FrameSource {
  /** Frames taken from the allocator beforehand, in the order of use; undefined: allocate at each fault. */
  readonly pfns: Int32Array | undefined;
  next: number;
  /** Room for the pfns of one table. */
  readonly scratch: Int32Array;
}

/**
 * Maps everything and faults every present page in. The caller's CPU becomes one that runs threads of `mm`; it
 * touches the last pages, so that its TLB holds translations when the kill comes. Throws when memory runs out.
 */
export function* buildAddressSpace(
  cpu: Cpu,
  mm: number,
  mappings: readonly Mapping[],
  frames: FrameOrder,
  seed: number,
): Steps<void> {
  yield* tlbActivate(cpu, mm);
  const pfns = frames === "random" ? yield* shuffledFrames(cpu, countPresent(mappings), seed) : undefined;
  const from: FrameSource = { pfns, next: 0, scratch: new Int32Array(PTRS_PER_TABLE) };
  for (let i = 0; i < mappings.length; i++) {
    const mapping = mappings[i] as Mapping;
    const vma = yield* mmapRegion(cpu, mm, mapping.startVpn, mapping.pages, mapping.flags);
    assert(vma !== 0, `buildAddressSpace: mapping ${i} does not fit the machine`);
    const runs = runsOf(mapping);
    for (let r = 0; r < runs.length; r += 2) {
      const vpn = mapping.startVpn + (runs[r] as number);
      yield* faultRun(cpu, mm, vma, vpn, runs[r + 1] as number, mapping.folioOrder ?? 0, from);
    }
  }
  yield* touchTail(cpu, mm, mappings);
}

/** Allocates `pages` frames and puts them in a seeded random order (Fisher-Yates). */
function* shuffledFrames(cpu: Cpu, pages: number, seed: number): Steps<Int32Array> {
  const pfns = new Int32Array(pages);
  for (let i = 0; i < pages; ) {
    const pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
    assert(pfn !== 0, `buildAddressSpace: memory ran out after ${i} of ${pages} pages`);
    pfns[i++] = pfn;
    i += yield* allocPagesBulk(cpu, pfns, i, pages - i);
  }
  const random = new Random(seed);
  for (let i = pages - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const swap = pfns[i] as number;
    pfns[i] = pfns[j] as number;
    pfns[j] = swap;
  }
  return pfns;
}

/** Faults `count` pages from `vpn` on in, as folios of `order` where aligned and room is left, else as single pages. */
function* faultRun(
  cpu: Cpu,
  mm: number,
  vma: number,
  vpn: number,
  count: number,
  order: number,
  from: FrameSource,
): Steps<void> {
  const end = vpn + count;
  for (let at = vpn; at < end; ) {
    const large = order > 0 && from.pfns === undefined && at % (1 << order) === 0 && at + (1 << order) <= end;
    const size = large ? order : 0;
    const pfn = from.pfns ? (from.pfns[from.next++] as number) : yield* allocPages(cpu, size, GFP_KERNEL);
    assert(pfn !== 0, `buildAddressSpace: memory ran out at page ${at}`);
    const result = yield* mapAnonymousFolio(cpu, mm, vma, at, pfn, size);
    assert(result === VM_FAULT_DONE, `buildAddressSpace: fault at page ${at} failed with ${result}`);
    at += 1 << size;
    if (order === 0) at += yield* faultNeighbours(cpu, mm, at, end, from);
  }
}

/** Behind a page that was faulted in by itself: as many of [vpn, end) as can be mapped together. */
function* faultNeighbours(cpu: Cpu, mm: number, vpn: number, end: number, from: FrameSource): Steps<number> {
  if (vpn === end) return 0;
  if (from.pfns === undefined) return yield* faultAround(cpu, mm, vpn, end, from.scratch);
  const mapped = yield* mapAround(cpu, mm, vpn, end, from.pfns, from.next);
  from.next += mapped;
  return mapped;
}

/** Touches the last present pages of the last mapping that has any. */
function* touchTail(cpu: Cpu, mm: number, mappings: readonly Mapping[]): Steps<void> {
  for (let i = mappings.length - 1; i >= 0; i--) {
    const mapping = mappings[i] as Mapping;
    const runs = runsOf(mapping);
    if (runs.length === 0) continue;
    const count = runs[runs.length - 1] as number;
    const end = mapping.startVpn + (runs[runs.length - 2] as number) + count;
    for (let vpn = end - Math.min(count, TLB_ENTRIES); vpn < end; vpn++) yield* userStore(cpu, mm, vpn, vpn & 0xffff);
    return;
  }
}
