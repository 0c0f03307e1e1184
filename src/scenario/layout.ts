/**
 * A victim's address space as data: which VMAs it has and which of their pages are present when it is killed.
 * A layout never holds an object per page: 2^28 pages are as cheap to describe as one.
 */

import { UsageError } from "../base/errors.ts";
import type { Mapping } from "../machine/address-space.ts";
import { VM_HUGETLB, VM_PFNMAP } from "../mm/vma.ts";
import { countRuns, type PageRuns, sharedPage } from "./page-runs.ts";

export type { PageRuns } from "./page-runs.ts";

/** One VMA, at its real address; what `machine/address-space` builds. */
export type LayoutVma = Mapping;

export interface Layout {
  readonly name: string;
  /** What it is for, in a sentence. */
  readonly idea: string;
  /** Ascending by address, never overlapping. */
  readonly vmas: readonly LayoutVma[];
  /** What the reader of a result must know about it (what was left out, what is a guess). */
  readonly notes: readonly string[];
}

/** What the user asks of a layout; what is left out, the layout decides. */
export interface LayoutRequest {
  readonly pages?: number;
  readonly vmas?: number;
  /** Drives every choice of the layout: same request, same layout. */
  readonly seed: number;
}

/** A named way to make layouts. A new one is a file in `layouts/` and a line in its index. */
export interface LayoutKind {
  readonly name: string;
  readonly idea: string;
  /** Sizes that a request may give it; a bench that gives others to several layouts spares this one. */
  readonly sizes: readonly ("pages" | "vmas")[];
  /** True for a layout that is measured only when it is asked for by name. Default false. */
  readonly onDemand?: boolean;
  /** @throws UsageError when the request cannot be met; NotAvailable when this machine lacks what it needs. */
  build(request: LayoutRequest): Layout;
}

/** This machine lacks what a layout needs; a bench says so and goes on with the others. */
export class NotAvailable extends UsageError {}

export interface LayoutCounts {
  readonly vmas: number;
  /** Pages of all VMAs, present or not. */
  readonly mappedPages: number;
  /** Pages in memory, those of files and of shared memory included. */
  readonly presentPages: number;
  /** Of these the process's own: what comes back when it dies. */
  readonly ownPages: number;
  /** PTE tables that hold an entry, of a page or of swap: the locks that victim and reaper can meet on. */
  readonly pteTables: number;
  /** Page-table levels that its highest address needs. */
  readonly levels: 4 | 5;
}

/** Pages that one PTE table maps. */
export const PTRS_PER_PTE = 512;
/** First virtual page number above user space with four levels (47-bit user addresses, x86-64). */
export const USER_VPN_4LEVEL = 2 ** 35;
/** The same with five levels (56-bit user addresses). */
export const USER_VPN_5LEVEL = 2 ** 44;
/** Where synthetic layouts begin: 0x5500_0000_0000, about where a position-independent program's heap does. */
export const LAYOUT_START_VPN = 0x5_5000_0000;

/** Largest folio order, as the kernel's MAX_PAGE_ORDER. */
const MAX_FOLIO_ORDER = 9;

const NO_RUNS: PageRuns = [];

/** Every list of runs of a VMA, those that it leaves out being empty. */
export interface VmaRuns {
  readonly present: PageRuns;
  readonly filePages: PageRuns;
  readonly swapped: PageRuns;
  readonly huge: PageRuns;
}

export function runsOf({ pages, present, filePages, swapped, huge }: LayoutVma): VmaRuns {
  return {
    present: present === "all" ? [0, pages] : present,
    filePages: filePages ?? NO_RUNS,
    swapped: swapped ?? NO_RUNS,
    huge: huge ?? NO_RUNS,
  };
}

/** Pages that are the process's own, alone or with those it forked from: what comes back when it dies. */
export function ownPages(vma: LayoutVma): number {
  const { present, huge } = runsOf(vma);
  return (vma.flags & VM_PFNMAP) !== 0 ? 0 : countRuns(present) + countRuns(huge);
}

/** Pages in memory, of any kind; device memory has no pages. */
export function presentPages(vma: LayoutVma): number {
  return ownPages(vma) + countRuns(runsOf(vma).filePages);
}

/** First and last PTE table of each run whose entries are PTEs, ascending. */
function tablesOf(vma: LayoutVma): [first: number, last: number][] {
  const { present, filePages, swapped } = runsOf(vma);
  const tables: [number, number][] = [];
  for (const runs of [present, filePages, swapped]) {
    for (let i = 0; i < runs.length; i += 2) {
      const from = vma.startVpn + (runs[i] as number);
      const end = from + (runs[i + 1] as number);
      tables.push([Math.floor(from / PTRS_PER_PTE), Math.floor((end - 1) / PTRS_PER_PTE)]);
    }
  }
  return tables.sort(([a], [b]) => a - b);
}

export function countLayout(layout: Layout): LayoutCounts {
  let mapped = 0;
  let present = 0;
  let own = 0;
  let tables = 0;
  let lastTable = -1;
  for (const vma of layout.vmas) {
    mapped += vma.pages;
    present += presentPages(vma);
    own += ownPages(vma);
    for (const [first, last] of tablesOf(vma)) {
      tables += Math.max(0, last - Math.max(first, lastTable + 1) + 1);
      lastTable = Math.max(lastTable, last);
    }
  }
  const last = layout.vmas.at(-1);
  const end = last === undefined ? 0 : last.startVpn + last.pages;
  return {
    vmas: layout.vmas.length,
    mappedPages: mapped,
    presentPages: present,
    ownPages: own,
    pteTables: tables,
    levels: end > USER_VPN_4LEVEL ? 5 : 4,
  };
}

/** Returns the layout if it holds what its types promise; user files may not. @throws UsageError */
export function checkLayout(layout: Layout): Layout {
  let end = 0;
  for (const [index, vma] of layout.vmas.entries()) {
    const problem = problemOf(vma, end);
    if (problem !== undefined) throw new UsageError(`layout ${layout.name}: VMA ${index}: ${problem}`);
    end = vma.startVpn + vma.pages;
  }
  if (layout.vmas.length === 0) throw new UsageError(`layout ${layout.name}: has no VMA, expected at least one`);
  return layout;
}

function problemOf(vma: LayoutVma, end: number): string | undefined {
  const order = vma.folioOrder ?? 0;
  if (!isCount(vma.startVpn) || !isCount(vma.pages) || vma.pages === 0) {
    return `startVpn ${vma.startVpn}, pages ${vma.pages}, expected whole numbers`;
  }
  if (vma.startVpn < end) return `begins at page ${vma.startVpn}, expected ${end} or more (ascending, no overlap)`;
  if (vma.startVpn + vma.pages > USER_VPN_5LEVEL) return `ends beyond page ${USER_VPN_5LEVEL}, where user space ends`;
  if (!isCount(order) || order > MAX_FOLIO_ORDER) return `folioOrder ${order}, expected 0..${MAX_FOLIO_ORDER}`;
  const runs = runsOf(vma);
  for (const [name, list] of Object.entries(runs)) {
    const problem = problemOfRuns(name, list, vma.pages);
    if (problem !== undefined) return problem;
  }
  const shared = sharedPage(runs.present, runs.filePages, runs.swapped, runs.huge);
  if (shared !== undefined) return `page ${shared} is in two of its lists of runs, expected one`;
  return problemOfHuge(vma, runs);
}

function problemOfRuns(name: string, runs: PageRuns, pages: number): string | undefined {
  if (runs.length % 2 !== 0) return `${name} has ${runs.length} numbers, expected [offset, count, ...]`;
  let end = -1;
  for (let i = 0; i < runs.length; i += 2) {
    const offset = runs[i] as number;
    const count = runs[i + 1] as number;
    if (!isCount(offset) || !isCount(count) || count === 0) return `${name}: run ${i / 2} is [${offset}, ${count}]`;
    if (offset <= end) return `${name}: run ${i / 2} begins at ${offset}, expected more than ${end}`;
    end = offset + count;
  }
  return end > pages ? `${name} ends at ${end}, beyond its ${pages} pages` : undefined;
}

function problemOfHuge({ startVpn, flags }: LayoutVma, { huge, ...small }: VmaRuns): string | undefined {
  for (let i = 0; i < huge.length; i += 2) {
    const vpn = startVpn + (huge[i] as number);
    if (vpn % PTRS_PER_PTE === 0 && (huge[i + 1] as number) % PTRS_PER_PTE === 0) continue;
    return `huge: ${huge[i + 1]} pages at page ${vpn}, expected multiples of ${PTRS_PER_PTE}`;
  }
  if ((flags & VM_HUGETLB) === 0) return undefined;
  const wrong = Object.entries(small).find(([, runs]) => runs.length > 0);
  return wrong && `${wrong[0]} in a VM_HUGETLB mapping, expected only huge`;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
