/** Where the pages of a mapping lie: as the system tells, or guessed. */

import { type PageRuns, PTRS_PER_PTE, type VmaRuns } from "./layout.ts";
import { alignedRuns, countRuns, joinRuns, pickRuns, runsWithout } from "./page-runs.ts";
import type { PagePlaces } from "./pagemap.ts";
import type { SmapsMapping } from "./smaps.ts";
import type { KindCounts } from "./smaps-kinds.ts";

export interface Placement extends VmaRuns {
  /** Pages whose place is a guess. */
  readonly guessed: number;
  /** Pages that smaps counts in huge PMDs, and for which there are no whole 2 MiB of present pages: mapped one by one. */
  readonly splitHuge: number;
}

/**
 * Places the pages that the system lists. A huge PMD maps whole 2 MiB; where nobody tells which, and there are more of them
 * than AnonHugePages counts, it is a guess.
 */
export function placeKnown(mapping: SmapsMapping, places: PagePlaces, counts: KindCounts, seed: number): Placement {
  const own = counts.anon + counts.huge > 0 ? places.anon : [];
  // What the process shares is never its own: zero pages in a mapping without others, pages of a shared mapping.
  const file = counts.file > 0 && own.length === 0 ? joinRuns(places.file, places.anon) : places.file;
  const whole = places.huge ?? alignedRuns(own, mapping.startVpn, PTRS_PER_PTE);
  const fitting = Math.min(counts.huge, countRuns(whole));
  const huge = pickRuns(whole, fitting, seed, mapping.startVpn, PTRS_PER_PTE);
  return {
    present: runsWithout(own, huge),
    filePages: file,
    swapped: counts.swapped > 0 ? places.swapped : [],
    huge,
    guessed: fitting < countRuns(whole) ? fitting : 0,
    splitHuge: counts.huge - fitting,
  };
}

/** Hugetlb pages that the system lists, of whatever kind it takes them for. */
export function placeKnownHugetlb(
  mapping: SmapsMapping,
  places: PagePlaces,
  counts: KindCounts,
  seed: number,
): Placement {
  const whole = alignedRuns(joinRuns(places.anon, places.file), mapping.startVpn, PTRS_PER_PTE);
  if (countRuns(whole) < counts.huge) return placeGuessed(mapping, counts, seed);
  const huge = pickRuns(whole, counts.huge, seed, mapping.startVpn, PTRS_PER_PTE);
  return { ...NOWHERE, huge, guessed: counts.huge < countRuns(whole) ? counts.huge : 0 };
}

export const NOWHERE: Placement = { present: [], filePages: [], swapped: [], huge: [], guessed: 0, splitHuge: 0 };

/** Spreads pages: huge ones over the 2 MiB ranges, then each kind over what is free. */
export function placeGuessed(mapping: SmapsMapping, counts: KindCounts, seed: number): Placement {
  const { startVpn, pages } = mapping;
  let free: PageRuns = [0, pages];
  const take = (from: PageRuns, count: number, unit?: number): PageRuns => {
    const taken = count === 0 ? [] : pickRuns(from, count, seed, startVpn, unit);
    free = runsWithout(free, taken);
    return taken;
  };
  const huge = take(alignedRuns(free, startVpn, PTRS_PER_PTE), counts.huge, PTRS_PER_PTE);
  const present = take(free, counts.anon);
  const filePages = take(free, counts.file);
  const swapped = take(free, counts.swapped);
  const kinds = [huge, present, filePages, swapped].filter((runs) => runs.length > 0);
  const full = kinds.length === 1 && countRuns(kinds[0] as PageRuns) === pages;
  const guessed = full ? 0 : counts.huge + counts.anon + counts.file + counts.swapped;
  return { present, filePages, swapped, huge, guessed, splitHuge: 0 };
}
