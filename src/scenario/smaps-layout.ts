/**
 * Turns parsed smaps into a layout: anonymous pages, those of huge PMDs, pages of files and of shared memory, swap entries,
 * at their places where the system or a recording tells them. Every number left out or guessed stands in the notes.
 */

import { VM_HUGETLB, VM_PFNMAP, VM_SHARED } from "../mm/vma.ts";
import type { Layout, LayoutVma } from "./layout.ts";
import { countRuns } from "./page-runs.ts";
import type { PagePlaces } from "./pagemap.ts";
import { NOWHERE, type Placement, placeGuessed, placeKnown, placeKnownHugetlb } from "./placement.ts";
import type { Smaps, SmapsMapping } from "./smaps.ts";
import { countKindsOf, flagsOf, isShmem, type KindCounts, pagesOf } from "./smaps-kinds.ts";
import { MEAN_RUN_PAGES } from "./spread.ts";

/** Where the pages of a mapping lie, as the system knows it; undefined when it does not. */
export type Presence = (mapping: SmapsMapping) => PagePlaces | undefined;

interface Built {
  readonly mapping: SmapsMapping;
  readonly vma: LayoutVma;
  readonly counts: KindCounts;
  readonly placement: Placement;
}

/** `seed` drives the spread of mappings whose pages lie who knows where. */
export function smapsLayout(name: string, idea: string, smaps: Smaps, presence: Presence, seed: number): Layout {
  const built = smaps.mappings.map((mapping) => buildVma(mapping, presence, seed));
  return { name, idea, vmas: built.map(({ vma }) => vma), notes: notesOf(smaps, built) };
}

function buildVma(mapping: SmapsMapping, presence: Presence, seed: number): Built {
  const flags = flagsOf(mapping);
  const counts = countKindsOf(mapping, flags);
  const placement = place(mapping, flags, counts, presence, seed);
  const { present, filePages, swapped, huge } = placement;
  const all = present.length === 2 && present[1] === mapping.pages;
  const vma: LayoutVma = {
    startVpn: mapping.startVpn,
    pages: mapping.pages,
    flags,
    present: all ? "all" : present,
    ...(filePages.length > 0 && { filePages }),
    ...(filePages.length > 0 && isShmem(mapping) && { shmem: true }),
    ...(swapped.length > 0 && { swapped }),
    ...(huge.length > 0 && { huge }),
  };
  return { mapping, vma, counts, placement };
}

function place(mapping: SmapsMapping, flags: number, counts: KindCounts, presence: Presence, seed: number): Placement {
  const { anon, file, swapped, huge } = counts;
  if (anon + file + swapped + huge === 0) return NOWHERE;
  const known = presence(mapping);
  if (known === undefined) return placeGuessed(mapping, counts, seed);
  return (flags & VM_HUGETLB) !== 0
    ? placeKnownHugetlb(mapping, known, counts, seed)
    : placeKnown(mapping, known, counts, seed);
}

function notesOf(smaps: Smaps, built: readonly Built[]): string[] {
  const total = (count: (one: Built) => number): number => built.reduce((sum, one) => sum + count(one), 0);
  const flagged = (flag: number, count: (one: Built) => number): number =>
    total((one) => ((one.vma.flags & flag) === 0 ? 0 : count(one)));
  const guessed = built.filter(({ placement }) => placement.guessed > 0);
  const counted: [number, string][] = [
    [
      total(({ mapping, counts }) => (mapping.anonymousKb === null ? counts.anon : 0)),
      "pages are taken for anonymous, since there is no field Anonymous",
    ],
    [
      flagged(VM_SHARED, ({ mapping }) => pagesOf(mapping.anonymousKb ?? 0)),
      "anonymous pages of shared mappings: counted as what is mapped",
    ],
    [
      total(({ mapping, vma }) => ((vma.flags & VM_HUGETLB) !== 0 ? 0 : pagesOf(mapping.pmdMappedKb))),
      "pages of files or shared memory in huge PMDs: mapped one by one",
    ],
    [total(({ placement }) => placement.splitHuge), "pages of huge PMDs lie in no whole 2 MiB: mapped one by one"],
    [
      flagged(VM_HUGETLB, ({ mapping, counts }) => (mapping.kernelPageKb > 2048 ? counts.huge : 0)),
      "pages (4 KiB) of hugetlb pages above 2 MiB: as pages of 2 MiB",
    ],
    [flagged(VM_PFNMAP, ({ counts }) => counts.left), "pages of device mappings: left out"],
    [flagged(VM_HUGETLB, ({ counts }) => counts.left), "pages (4 KiB) of hugetlb mappings are no 2 MiB: left out"],
    [
      total(({ vma, counts }) => ((vma.flags & (VM_PFNMAP | VM_HUGETLB)) !== 0 ? 0 : counts.left)),
      "swapped pages in no entry (of shared memory, or more than fit): left out",
    ],
    ...differences(built),
    [
      guessed.reduce((sum, { placement }) => sum + placement.guessed, 0),
      `pages of ${guessed.length} mappings lie where a seeded spread put them (runs of ${MEAN_RUN_PAGES} on average)`,
    ],
  ];
  const notes = counted
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count.toLocaleString("en-US")} ${what}`);
  for (const name of smaps.skipped) notes.push(`${name} skipped: it is no part of the address space`);
  return notes;
}

/** What the list of pages has more or less than the sizes say: zero pages, and changes between the two readings. */
function differences(built: readonly Built[]): [number, string][] {
  let more = 0;
  let less = 0;
  for (const { counts, placement } of built) {
    const { present, filePages, huge, swapped } = placement;
    const placed = countRuns(present) + countRuns(filePages) + countRuns(huge) + countRuns(swapped);
    const difference = placed - (counts.anon + counts.file + counts.huge + counts.swapped);
    more += Math.max(0, difference);
    less += Math.max(0, -difference);
  }
  return [
    [more, "pages more are mapped than the sizes say (zero pages, or new since): taken as they lie"],
    [less, "pages less are mapped than the sizes say: left out"],
  ];
}
