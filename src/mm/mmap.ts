/** Adding a mapping (mm/mmap.c, mm/vma.c: mmap_region without merging; v6.14). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { CpuMm } from "./cpu-mm.ts";
import { MmGlobals, setting, VMAS_IN_LIST } from "./globals.ts";
import { MTREE_OK, mtreeInsert } from "./maple-tree/index.ts";
import { Mm } from "./mm-struct.ts";
import { vmEnoughMemory, vmUnacctMemory } from "./overcommit.ts";
import { userPages } from "./page-table.ts";
import { slabAlloc, slabFree } from "./slab.ts";
import { initVma, VM_ACCOUNT, VM_HUGETLB, VM_LOCKED, VM_PFNMAP, Vma } from "./vma.ts";
import { vmaUpTo } from "./vma-iter.ts";
import { vmaListInsert } from "./vma-list.ts";
import { storeVpn } from "./vpn.ts";

/**
 * Maps `pages` virtual pages from page number `start` on with `flags` (VM_*), of `file` from its page `pgoff` on where
 * one is given; returns the VMA, 0 when out of memory, when nothing more may be promised, or when the range is taken. Caller holds mmap_lock for writing, or the mm is not published yet.
 */
export function* mmapRegion(
  cpu: Cpu,
  mm: number,
  start: number,
  pages: number,
  flags: number,
  file = 0,
  pgoff = 0,
): Steps<number> {
  assert(pages > 0 && start >= 0, `mmapRegion: ${pages} pages at ${start}`);
  assert(
    start + pages <= userPages(setting(cpu, MmGlobals.levels)),
    `mmapRegion: page ${start + pages} is no user page`,
  );
  const accounted = (flags & VM_ACCOUNT) !== 0 ? pages : 0;
  if (accounted > 0 && !(yield* vmEnoughMemory(cpu, accounted))) return 0;
  const vma = yield* insertVma(cpu, mm, start, pages, flags, file, pgoff);
  if (vma === 0 && accounted > 0) yield* vmUnacctMemory(cpu, accounted);
  return vma;
}

function* insertVma(
  cpu: Cpu,
  mm: number,
  start: number,
  pages: number,
  flags: number,
  file: number,
  pgoff: number,
): Steps<number> {
  const vmas = cpu.machine + MmGlobals.vmas;
  const vma = yield* slabAlloc(cpu, vmas);
  if (vma === 0) return 0;
  initVma(cpu, vma, mm, start, start + pages, mappedFlags(flags));
  store(cpu, vma + Vma.file, file);
  storeVpn(cpu, vma + Vma.pgoff, pgoff);
  const below = vmaUpTo(cpu, mm, cpu.mm + CpuMm.walk, start);
  if ((yield* mtreeInsert(cpu, mm + Mm.tree, start, start + pages - 1, vma)) !== MTREE_OK) {
    yield* slabFree(cpu, vmas, vma);
    return 0;
  }
  if (setting(cpu, MmGlobals.vmaStore) === VMAS_IN_LIST) vmaListInsert(cpu, mm + Mm.mmap, vma, below);
  store(cpu, mm + Mm.mapCount, load(cpu, mm + Mm.mapCount) + 1);
  store(cpu, mm + Mm.totalVm, (load(cpu, mm + Mm.totalVm) + pages) | 0);
  if ((mappedFlags(flags) & VM_LOCKED) !== 0) store(cpu, mm + Mm.lockedVm, (load(cpu, mm + Mm.lockedVm) + pages) | 0);
  return vma;
}

/** Hugetlb and device memory stays where it is anyway, and is never marked as locked. */
function mappedFlags(flags: number): number {
  return (flags & (VM_HUGETLB | VM_PFNMAP)) !== 0 ? flags & ~VM_LOCKED : flags;
}
