/** An address space for what can build anonymous pages alone. */

import { VM_HUGETLB, VM_PFNMAP, VM_SHARED } from "../mm/vma.ts";
import { type Layout, type LayoutVma, runsOf } from "./layout.ts";
import { joinRuns } from "./page-runs.ts";

const WITHOUT_PAGES = VM_SHARED | VM_HUGETLB | VM_PFNMAP;

/**
 * The same VMAs with anonymous pages in place of whatever is private (the reaper takes it, too) and nothing in place of
 * shared, hugetlb and device pages and of swap entries. The layout itself when it has nothing else.
 */
export function plainLayout(layout: Layout): Layout {
  return layout.vmas.every(isPlain) ? layout : { ...layout, vmas: layout.vmas.map(plain) };
}

function isPlain({ flags, present, filePages, swapped, huge }: LayoutVma): boolean {
  const special = (flags & WITHOUT_PAGES) !== 0 && present.length > 0;
  return !special && filePages === undefined && swapped === undefined && huge === undefined;
}

function plain(vma: LayoutVma): LayoutVma {
  const { startVpn, pages, flags, folioOrder = 0 } = vma;
  const { present, filePages, huge } = runsOf(vma);
  const all = (flags & WITHOUT_PAGES) !== 0 ? [] : joinRuns(joinRuns(present, filePages), huge);
  return { startVpn, pages, flags, present: all, folioOrder };
}
