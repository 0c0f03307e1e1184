/** Building a victim page by page: its mappings by mmapRegion, its pages by anonymous faults. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { assert } from "../base/assert.ts";
import { Random } from "../base/random.ts";
import { mapAnonymousFolio, userStore, VM_FAULT_DONE } from "../mm/fault.ts";
import { mmapRegion } from "../mm/mmap.ts";
import { allocPages, GFP_KERNEL } from "../mm/page-alloc.ts";
import { TLB_ENTRIES, tlbActivate } from "../mm/tlb.ts";

/** One mapping, in pages. */
export interface Mapping {
  /** First virtual page number; mappings come in ascending order and do not overlap. */
  readonly startVpn: number;
  readonly pages: number;
  /** VM_* */
  readonly flags: number;
  /** Runs of present pages as [offset from the start, count], ascending; or all of them. */
  readonly present: "all" | readonly (readonly [offset: number, count: number])[];
  /** Pages are faulted in as folios of 2^folioOrder where they fit. Default 0. */
  readonly folioOrder?: number;
}

export const FRAME_ORDERS = ["sequential", "random"] as const;
/** Whether neighbouring virtual pages have neighbouring frames, or frames in a seeded random order. */
export type FrameOrder = (typeof FRAME_ORDERS)[number];

/** Present runs of a mapping, as virtual page numbers. */
function runsOf(mapping: Mapping): readonly (readonly [number, number])[] {
  return mapping.present === "all" ? [[0, mapping.pages]] : mapping.present;
}

/** Present pages of all mappings. */
export function presentPages(mappings: readonly Mapping[]): number {
  let pages = 0;
  for (const mapping of mappings) for (const [, count] of runsOf(mapping)) pages += count;
  return pages;
}

/** Where the present pages come from. */
interface FrameSource {
  /** Frames taken from the allocator beforehand, in the order of use; undefined: allocate at each fault. */
  readonly pfns: Int32Array | undefined;
  next: number;
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
  const pfns = frames === "random" ? yield* shuffledFrames(cpu, presentPages(mappings), seed) : undefined;
  const from: FrameSource = { pfns, next: 0 };
  for (let i = 0; i < mappings.length; i++) {
    const mapping = mappings[i] as Mapping;
    const vma = yield* mmapRegion(cpu, mm, mapping.startVpn, mapping.pages, mapping.flags);
    assert(vma !== 0, `buildAddressSpace: mapping ${i} does not fit the machine`);
    const runs = runsOf(mapping);
    for (let r = 0; r < runs.length; r++) {
      const [offset, count] = runs[r] as readonly [number, number];
      yield* faultRun(cpu, mm, vma, mapping.startVpn + offset, count, mapping.folioOrder ?? 0, from);
    }
    if (i === mappings.length - 1) yield* touchTail(cpu, mm, runs, mapping.startVpn);
  }
}

/** Allocates `pages` frames and puts them in a seeded random order (Fisher-Yates). */
function* shuffledFrames(cpu: Cpu, pages: number, seed: number): Steps<Int32Array> {
  const pfns = new Int32Array(pages);
  for (let i = 0; i < pages; i++) {
    const pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
    assert(pfn !== 0, `buildAddressSpace: memory ran out after ${i} of ${pages} pages`);
    pfns[i] = pfn;
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
  }
}

/** Touches the last present pages of the last mapping. */
function* touchTail(cpu: Cpu, mm: number, runs: readonly (readonly [number, number])[], startVpn: number): Steps<void> {
  const last = runs[runs.length - 1];
  if (!last) return;
  const end = startVpn + last[0] + last[1];
  for (let vpn = end - Math.min(last[1], TLB_ENTRIES); vpn < end; vpn++) yield* userStore(cpu, mm, vpn, vpn & 0xffff);
}
