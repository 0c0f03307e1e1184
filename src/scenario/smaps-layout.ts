/**
 * Turns parsed smaps into a layout. The emulated machine knows anonymous pages only, so:
 * - anonymous pages and pages of private file mappings (the reaper takes both) become present anonymous pages;
 * - shared, hugetlb and PFN mappings become VMAs of their kind without pages;
 * - swapped pages are left out.
 * Every number left out or changed stands in the layout's notes.
 */

import { VM_ACCOUNT, VM_EXEC, VM_HUGETLB, VM_LOCKED, VM_PFNMAP, VM_READ, VM_SHARED, VM_WRITE } from "../mm/vma.ts";
import { type Layout, type LayoutVma, type PageRuns, presentPages } from "./layout.ts";
import type { Smaps, SmapsMapping } from "./smaps.ts";
import { MEAN_RUN_PAGES, spreadPages } from "./spread.ts";

/** Present pages of a mapping as the system knows them; undefined when it does not. */
export type Presence = (mapping: SmapsMapping) => "all" | PageRuns | undefined;

/** VmFlags codes of the flags that the machine knows (fs/proc/task_mmu.c: show_smap_vma_flags). */
const FLAG_OF_CODE: Readonly<Record<string, number>> = {
  rd: VM_READ,
  wr: VM_WRITE,
  ex: VM_EXEC,
  sh: VM_SHARED,
  lo: VM_LOCKED,
  ht: VM_HUGETLB,
  ac: VM_ACCOUNT,
  pf: VM_PFNMAP,
};

const WITHOUT_PAGES = VM_SHARED | VM_HUGETLB | VM_PFNMAP;
const HUGE_PAGE_ORDER = 9;
const EMPTY: PageRuns = [];

interface Built {
  readonly mapping: SmapsMapping;
  readonly vma: LayoutVma;
  readonly guessed: boolean;
}

/** `seed` drives the spread of mappings whose presence is not known. */
export function smapsLayout(name: string, idea: string, smaps: Smaps, presence: Presence, seed: number): Layout {
  const built = smaps.mappings.map((mapping) => buildVma(mapping, presence, seed));
  return { name, idea, vmas: built.map(({ vma }) => vma), notes: notesOf(smaps, built) };
}

function buildVma(mapping: SmapsMapping, presence: Presence, seed: number): Built {
  const flags = flagsOf(mapping);
  const shape = { startVpn: mapping.startVpn, pages: mapping.pages, flags };
  const rss = Math.floor(mapping.rssKb / 4);
  if ((flags & WITHOUT_PAGES) !== 0 || rss === 0) return { mapping, vma: { ...shape, present: EMPTY }, guessed: false };
  const known = presence(mapping);
  const present = known ?? spreadPages(mapping.pages, rss, seed, mapping.startVpn);
  const folio = mapping.anonHugeKb > 0 ? { folioOrder: HUGE_PAGE_ORDER } : {};
  return { mapping, vma: { ...shape, present, ...folio }, guessed: known === undefined && present !== "all" };
}

/**
 * Without VmFlags (before Linux 3.8) only the permissions tell. With them, "s" alone does not make a mapping VM_SHARED:
 * of a file opened read-only it stays clear, and the reaper then takes the pages.
 */
function flagsOf(mapping: SmapsMapping): number {
  if (mapping.vmFlags !== null) {
    return mapping.vmFlags.reduce((flags, code) => flags | (FLAG_OF_CODE[code] ?? 0), 0);
  }
  const { perms } = mapping;
  return (
    (perms[0] === "r" ? VM_READ : 0) |
    (perms[1] === "w" ? VM_WRITE : 0) |
    (perms[2] === "x" ? VM_EXEC : 0) |
    (perms[3] === "s" ? VM_SHARED : 0) |
    (mapping.lockedKb > 0 ? VM_LOCKED : 0)
  );
}

function notesOf(smaps: Smaps, built: readonly Built[]): string[] {
  const total = (count: (one: Built) => number): number => built.reduce((sum, one) => sum + count(one), 0);
  const withFlag = (flag: number, kb: (mapping: SmapsMapping) => number): number =>
    total(({ mapping, vma }) => ((vma.flags & flag) !== 0 ? Math.floor(kb(mapping) / 4) : 0));
  const reapable = built.filter(({ vma }) => (vma.flags & WITHOUT_PAGES) === 0);
  const file = reapable.reduce((sum, { mapping }) => sum + Math.max(0, mapping.rssKb - mapping.anonymousKb) / 4, 0);
  const guessed = built.filter((one) => one.guessed);
  const counted: [number, string][] = [
    [Math.floor(file), "pages of private file mappings: counted as anonymous"],
    [withFlag(VM_SHARED, ({ rssKb }) => rssKb), "pages of shared mappings: left out"],
    [total(({ mapping }) => mapping.hugetlbKb / 4), "pages (4 KiB) of hugetlb mappings: left out"],
    [total(({ mapping }) => Math.floor(mapping.swapKb / 4)), "swapped pages: left out"],
    [
      guessed.reduce((sum, { vma }) => sum + presentPages(vma), 0),
      `pages of ${guessed.length} mappings lie where a seeded spread put them (runs of ${MEAN_RUN_PAGES} on average)`,
    ],
  ];
  const notes = counted
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count.toLocaleString("en-US")} ${what}`);
  for (const name of smaps.skipped) notes.push(`${name} skipped: it is no part of the address space`);
  return notes;
}
