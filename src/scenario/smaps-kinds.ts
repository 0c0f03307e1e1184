/** What smaps says of a mapping, as the emulated machine has it: flags, and how many pages of which kind. */

import {
  VM_ACCOUNT,
  VM_DONTCOPY,
  VM_EXEC,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_LOCKED,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
} from "../mm/vma.ts";
import { PTRS_PER_PTE } from "./layout.ts";
import type { SmapsMapping } from "./smaps.ts";

/** VmFlags codes of the flags that the machine knows (fs/proc/task_mmu.c: show_smap_vma_flags). */
const FLAG_OF_CODE: Readonly<Record<string, number>> = {
  rd: VM_READ,
  wr: VM_WRITE,
  ex: VM_EXEC,
  sh: VM_SHARED,
  lo: VM_LOCKED,
  ht: VM_HUGETLB,
  hg: VM_HUGEPAGE,
  ac: VM_ACCOUNT,
  dc: VM_DONTCOPY,
  wf: VM_WIPEONFORK,
  pf: VM_PFNMAP,
};

/** Shared anonymous memory, memfd, System V, POSIX, Android's; in recordings without folders. */
const SHMEM_PATH =
  /^(?:\/dev\/shm\/|\/dev\/ashmem\/|\/?memfd:|\/?SYSV[0-9a-f]{8} \(deleted\)|(?:\/dev\/)?zero \(deleted\)|\[anon_shmem:)/;

/**
 * Without VmFlags (before Linux 3.8) only the permissions tell. With them, "s" alone does not make a mapping VM_SHARED:
 * of a file opened read-only it stays clear, and the reaper then takes the pages.
 */
export function flagsOf(mapping: SmapsMapping): number {
  if (mapping.vmFlags !== null) {
    return mapping.vmFlags.reduce((flags, code) => flags | (FLAG_OF_CODE[code] ?? 0), 0);
  }
  const { perms } = mapping;
  return (
    (perms[0] === "r" ? VM_READ : 0) |
    (perms[1] === "w" ? VM_WRITE : 0) |
    (perms[2] === "x" ? VM_EXEC : 0) |
    (perms[3] === "s" ? VM_SHARED : 0) |
    (mapping.lockedKb > 0 ? VM_LOCKED : 0) |
    (mapping.hugetlbKb > 0 ? VM_HUGETLB : 0)
  );
}

export function isShmem({ path, mappedShmem }: SmapsMapping): boolean {
  return mappedShmem || SHMEM_PATH.test(path);
}

/** Pages of a mapping by kind, as many as its fields say; none in two kinds. */
export interface KindCounts {
  /** Small anonymous pages. */
  readonly anon: number;
  readonly file: number;
  readonly swapped: number;
  /** Pages (4 KiB) in huge PMDs, a multiple of 512. */
  readonly huge: number;
  /** Pages that no entry of this mapping stands for: swap of shared memory, hugetlb pages below 2 MiB, what does not fit. */
  readonly left: number;
}

const NOTHING: KindCounts = { anon: 0, file: 0, swapped: 0, huge: 0, left: 0 };

export function countKindsOf(mapping: SmapsMapping, flags: number): KindCounts {
  const rss = pagesOf(mapping.rssKb);
  if ((flags & VM_PFNMAP) !== 0) return { ...NOTHING, left: rss };
  if ((flags & VM_HUGETLB) !== 0) return hugetlbCounts(mapping);
  const shared = (flags & VM_SHARED) !== 0;
  // Entries of a shared mapping never hold a page of the process's own. Its swapped pages are the object's: no entry has them.
  const anon = shared ? 0 : pagesOf(mapping.anonymousKb ?? guessedAnonymousKb(mapping));
  const huge = Math.min(wholeHuge(mapping.anonHugeKb), shared ? 0 : placesForHuge(mapping) * PTRS_PER_PTE);
  const swap = pagesOf(mapping.swapKb);
  const swapped = shared && isShmem(mapping) ? 0 : Math.min(swap, mapping.pages - rss);
  return { anon: anon - huge, file: rss - anon, swapped, huge, left: swap - swapped };
}

/** Of memory without a file all is the process's own; of a file what was written to. */
function guessedAnonymousKb({ inode, rssKb, privateDirtyKb }: SmapsMapping): number {
  return inode === 0 ? rssKb : privateDirtyKb;
}

function hugetlbCounts(mapping: SmapsMapping): KindCounts {
  const pages = pagesOf(mapping.hugetlbKb);
  const huge = Math.min(wholeHuge(mapping.hugetlbKb), placesForHuge(mapping) * PTRS_PER_PTE);
  return { ...NOTHING, huge, left: pages - huge + pagesOf(mapping.rssKb) + pagesOf(mapping.swapKb) };
}

/** 2 MiB ranges at such addresses. */
function placesForHuge({ startVpn, pages }: SmapsMapping): number {
  return Math.max(0, Math.floor((startVpn + pages) / PTRS_PER_PTE) - Math.ceil(startVpn / PTRS_PER_PTE));
}

function wholeHuge(kb: number): number {
  return Math.floor(pagesOf(kb) / PTRS_PER_PTE) * PTRS_PER_PTE;
}

export function pagesOf(kb: number): number {
  return Math.floor(kb / 4);
}
