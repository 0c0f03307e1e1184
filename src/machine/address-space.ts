/** Building a victim page by page: its mappings by mmapRegion, its pages by the faults of their kinds. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { Random } from "../base/random.ts";
import { allocPagesBulk } from "../mm/alloc-bulk.ts";
import { mapAnonymousFolio, userStore } from "../mm/fault.ts";
import { faultAround, mapAround } from "../mm/fault-run.ts";
import { doFileFault } from "../mm/file-fault.ts";
import { doHugePmdAnonymousPage, HPAGE_PMD_NR, hugetlbFault } from "../mm/huge-pmd.ts";
import { allocUserPages } from "../mm/memcg-charge.ts";
import { Mm } from "../mm/mm-struct.ts";
import { mmapRegion } from "../mm/mmap.ts";
import { GFP_KERNEL } from "../mm/page-alloc.ts";
import { createFile } from "../mm/page-cache.ts";
import { entrySpan, PTRS_PER_TABLE } from "../mm/page-table.ts";
import { remapPfnRange } from "../mm/pfnmap.ts";
import { mapSwapEntry } from "../mm/swap-fault.ts";
import { TLB_ENTRIES, tlbActivate } from "../mm/tlb.ts";
import { VM_FAULT_DONE } from "../mm/vm-fault.ts";
import { VM_HUGETLB, VM_PFNMAP } from "../mm/vma.ts";
import type { MachineShape } from "./shape.ts";

/** Runs of present pages, flat: offset from the mapping's start, count, offset, count, ...; ascending, apart. */
export type PresentRuns = ArrayLike<number>;

/** One mapping, in pages. */
export interface Mapping {
  /** First virtual page number; mappings come in ascending order and do not overlap. */
  readonly startVpn: number;
  readonly pages: number;
  /** VM_* */
  readonly flags: number;
  /** Anonymous pages, private copies of a file's among them. */
  readonly present: "all" | PresentRuns;
  /** Pages are faulted in as folios of 2^folioOrder where they fit. Default 0. */
  readonly folioOrder?: number;
  /** Present pages of what is mapped: page cache, or shared memory. */
  readonly filePages?: PresentRuns;
  /** It is shared memory that is mapped (MM_SHMEMPAGES), no file (MM_FILEPAGES). */
  readonly shmem?: boolean;
  /** Entries that hold a swap slot. */
  readonly swapped?: PresentRuns;
  /**
   * Ranges of multiples of 512 pages at aligned addresses, one huge PMD for each 512; in a VM_HUGETLB mapping hugetlb
   * pages, which rss leaves out. In a VM_PFNMAP mapping `present` is device memory, and no pages.
   */
  readonly huge?: PresentRuns;
}

export const FRAME_ORDERS = ["sequential", "random"] as const;
/** Whether neighbouring virtual pages have neighbouring frames, or frames in a seeded random order. */
export type FrameOrder = (typeof FRAME_ORDERS)[number];

function runsOf(mapping: Mapping): PresentRuns {
  return mapping.present === "all" ? [0, mapping.pages] : mapping.present;
}

const NO_RUNS: PresentRuns = [];

function countRuns(runs: PresentRuns): number {
  let pages = 0;
  for (let i = 1; i < runs.length; i += 2) pages += runs[i] as number;
  return pages;
}

function sumOf(mappings: readonly Mapping[], pagesOf: (mapping: Mapping) => number): number {
  return mappings.reduce((sum, mapping) => sum + pagesOf(mapping), 0);
}

function isDevice(mapping: Mapping): boolean {
  return (mapping.flags & VM_PFNMAP) !== 0;
}

function isHugetlb(mapping: Mapping): boolean {
  return (mapping.flags & VM_HUGETLB) !== 0;
}

function isFile(mapping: Mapping): boolean {
  return mapping.filePages !== undefined;
}

/** Anonymous small pages of all mappings. */
function countAnonymous(mappings: readonly Mapping[]): number {
  return sumOf(mappings, (mapping) => (isDevice(mapping) ? 0 : countRuns(runsOf(mapping))));
}

/** Page frames behind the present pages of all mappings: those of rss, and hugetlb pages. */
export function countPresent(mappings: readonly Mapping[]): number {
  const others = ({ filePages = NO_RUNS, huge = NO_RUNS }: Mapping): number => countRuns(filePages) + countRuns(huge);
  return countAnonymous(mappings) + sumOf(mappings, others);
}

/** What a machine needs for these mappings beside frames and tables. */
export function countKinds(mappings: readonly Mapping[]): Pick<MachineShape, "files" | "filePages" | "swapSlots"> {
  return {
    files: sumOf(mappings, (mapping) => (isFile(mapping) ? 1 : 0)),
    filePages: sumOf(mappings, (mapping) => (isFile(mapping) ? mapping.pages : 0)),
    swapSlots: sumOf(mappings, ({ swapped = NO_RUNS }) => countRuns(swapped)),
  };
}

/** Everything that is in page tables of a mapping: runs as [first page, count], ascending. */
function entryRuns(mapping: Mapping): [number, number][] {
  const { filePages = NO_RUNS, swapped = NO_RUNS, huge = NO_RUNS } = mapping;
  const all: [number, number][] = [];
  for (const runs of [runsOf(mapping), filePages, swapped, huge]) {
    for (let i = 0; i < runs.length; i += 2) all.push([mapping.startVpn + (runs[i] as number), runs[i + 1] as number]);
  }
  return all.sort(([a], [b]) => a - b);
}

/**
 * Page tables of all levels that the present pages need, the top level included, and those put aside for splitting huge
 * pages. Hugetlb pages need none at level 0.
 */
export function countTables(mappings: readonly Mapping[], levels: number): number {
  const last = new Array<number>(levels).fill(-1);
  let tables = 1;
  for (const mapping of mappings) {
    for (const [first, count] of entryRuns(mapping)) {
      for (let level = isHugetlb(mapping) ? 1 : 0; level < levels - 1; level++) {
        const span = entrySpan(level + 1);
        const from = Math.max(Math.floor(first / span), (last[level] as number) + 1);
        const to = Math.floor((first + count - 1) / span);
        tables += Math.max(0, to - from + 1);
        last[level] = Math.max(to, last[level] as number);
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
 * touches the last anonymous pages, so that its TLB holds translations when the kill comes. Throws when memory runs out.
 */
export function* buildAddressSpace(
  cpu: Cpu,
  mm: number,
  mappings: readonly Mapping[],
  frames: FrameOrder,
  seed: number,
): Steps<void> {
  yield* tlbActivate(cpu, mm);
  const pfns = frames === "random" ? yield* shuffledFrames(cpu, mm, countAnonymous(mappings), seed) : undefined;
  const from: FrameSource = { pfns, next: 0, scratch: new Int32Array(PTRS_PER_TABLE) };
  for (let i = 0; i < mappings.length; i++) {
    const mapping = mappings[i] as Mapping;
    const file = isFile(mapping) ? yield* createFile(cpu, mapping.pages, mapping.shmem === true) : 0;
    const vma = yield* mmapRegion(cpu, mm, mapping.startVpn, mapping.pages, mapping.flags, file);
    const fits = vma !== 0 && (file !== 0 || !isFile(mapping));
    assert(fits, `buildAddressSpace: mapping ${i} does not fit the machine`);
    yield* faultMapping(cpu, mm, vma, mapping, from);
  }
  yield* touchTail(cpu, mm, mappings);
}

function* faultMapping(cpu: Cpu, mm: number, vma: number, mapping: Mapping, from: FrameSource): Steps<void> {
  const { startVpn, filePages = NO_RUNS, swapped = NO_RUNS, huge = NO_RUNS } = mapping;
  const runs = runsOf(mapping);
  for (let r = 0; r < runs.length; r += 2) {
    const vpn = startVpn + (runs[r] as number);
    const count = runs[r + 1] as number;
    if (isDevice(mapping)) yield* mapDevice(cpu, mm, vpn, count);
    else yield* faultRun(cpu, mm, vma, vpn, count, mapping.folioOrder ?? 0, from);
  }
  for (let r = 0; r < huge.length; r += 2) {
    yield* faultHuge(cpu, mm, vma, mapping, startVpn + (huge[r] as number), huge[r + 1] as number);
  }
  for (let r = 0; r < filePages.length; r += 2) {
    yield* faultFile(cpu, mm, vma, startVpn + (filePages[r] as number), filePages[r + 1] as number);
  }
  for (let r = 0; r < swapped.length; r += 2) {
    yield* swapRun(cpu, mm, vma, startVpn + (swapped[r] as number), swapped[r + 1] as number);
  }
}

function* mapDevice(cpu: Cpu, mm: number, vpn: number, count: number): Steps<void> {
  const done = yield* remapPfnRange(cpu, mm, vpn, vpn + count);
  assert(done, `buildAddressSpace: no table for the device at page ${vpn}`);
}

/** Maps `count` pages from `vpn` on as huge pages; single pages in their place are no way out here. */
function* faultHuge(cpu: Cpu, mm: number, vma: number, mapping: Mapping, vpn: number, count: number): Steps<void> {
  const whole = vpn % HPAGE_PMD_NR === 0 && count % HPAGE_PMD_NR === 0;
  assert(whole, `buildAddressSpace: ${count} pages at ${vpn} are no huge pages`);
  for (let at = vpn; at < vpn + count; at += HPAGE_PMD_NR) {
    const result = isHugetlb(mapping)
      ? yield* hugetlbFault(cpu, mm, at)
      : yield* doHugePmdAnonymousPage(cpu, mm, vma, at);
    assert(result === VM_FAULT_DONE, `buildAddressSpace: huge page at page ${at} failed with ${result}`);
  }
}

/** Maps `count` pages of the file from `vpn` on, for reading. */
function* faultFile(cpu: Cpu, mm: number, vma: number, vpn: number, count: number): Steps<void> {
  for (let at = vpn; at < vpn + count; at++) {
    const result = yield* doFileFault(cpu, mm, vma, at, 0);
    assert(result === VM_FAULT_DONE, `buildAddressSpace: file page at page ${at} failed with ${result}`);
  }
}

/** Leaves `count` swap entries from `vpn` on. */
function* swapRun(cpu: Cpu, mm: number, vma: number, vpn: number, count: number): Steps<void> {
  for (let at = vpn; at < vpn + count; at++) {
    const done = yield* mapSwapEntry(cpu, mm, vma, at, at & 0xffff);
    assert(done, `buildAddressSpace: no swap slot for page ${at}`);
  }
}

/** Allocates `pages` frames and puts them in a seeded random order (Fisher-Yates). */
function* shuffledFrames(cpu: Cpu, mm: number, pages: number, seed: number): Steps<Int32Array> {
  const pfns = new Int32Array(pages);
  for (let i = 0; i < pages; ) {
    const pfn = yield* allocUserPages(cpu, mm, 0, GFP_KERNEL);
    assert(pfn !== 0, `buildAddressSpace: memory ran out after ${i} of ${pages} pages`);
    pfns[i++] = pfn;
    if (load(cpu, mm + Mm.memcg) === 0) i += yield* allocPagesBulk(cpu, pfns, i, pages - i);
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
    const pfn = from.pfns ? (from.pfns[from.next++] as number) : yield* allocUserPages(cpu, mm, size, GFP_KERNEL);
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

/** Touches the last anonymous pages of the last mapping that has any. */
function* touchTail(cpu: Cpu, mm: number, mappings: readonly Mapping[]): Steps<void> {
  for (let i = mappings.length - 1; i >= 0; i--) {
    const mapping = mappings[i] as Mapping;
    const runs = runsOf(mapping);
    if (runs.length === 0 || isDevice(mapping)) continue;
    const count = runs[runs.length - 1] as number;
    const end = mapping.startVpn + (runs[runs.length - 2] as number) + count;
    for (let vpn = end - Math.min(count, TLB_ENTRIES); vpn < end; vpn++) yield* userStore(cpu, mm, vpn, vpn & 0xffff);
    return;
  }
}
