/**
 * The same shape with fewer pages, for what cannot take a layout whole. VMAs that hold much of it are cut; of the others
 * some are left out, neighbours staying together, so that as many share a page table as before.
 */

import { type Layout, type LayoutVma, type PageRuns, PTRS_PER_PTE, presentPages } from "./layout.ts";

/** VMAs beyond this part of the pages wanted are cut: to leave out one of them would show. */
const LARGE_PART = 1 / 16;
/** Of about so many neighbours the first ones stay. */
const STRETCH = 256;

/** Of a plain layout (`plainLayout`): the layout itself when it has no more than `pages` present pages; else about as many. */
export function shrinkLayout(layout: Layout, pages: number): Layout {
  const total = layout.vmas.reduce((sum, vma) => sum + presentPages(vma), 0);
  if (total <= pages) return layout;
  const share = pages / total;
  const large = (vma: LayoutVma): boolean => vma.pages > pages * LARGE_PART;
  const others = layout.vmas.filter((vma) => !large(vma)).length;
  const stretch = others / Math.ceil(others / STRETCH);
  let index = 0;
  const vmas = layout.vmas.flatMap((vma): LayoutVma[] => {
    if (large(vma)) return [cut(vma, share)];
    return index++ % stretch < Math.max(1, share * stretch) ? [vma] : [];
  });
  return { ...layout, vmas };
}

/** The first part of a VMA, in whole page tables. */
function cut(vma: LayoutVma, share: number): LayoutVma {
  const pages = Math.min(vma.pages, Math.ceil((vma.pages * share) / PTRS_PER_PTE) * PTRS_PER_PTE);
  return { ...vma, pages, present: vma.present === "all" ? "all" : cutRuns(vma.present, pages) };
}

function cutRuns(runs: PageRuns, end: number): PageRuns {
  const kept: number[] = [];
  for (let i = 0; i < runs.length; i += 2) {
    const offset = runs[i] as number;
    if (offset < end) kept.push(offset, Math.min(runs[i + 1] as number, end - offset));
  }
  return kept;
}
