/**
 * Removing mappings (mm/vma.c: do_vmi_munmap, vms_gather_munmap_vmas, vms_complete_munmap_vmas; v6.18). The lock is held
 * for writing throughout; the kernel's downgrade to reading while it frees is left out.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { fetchAdd, load, store } from "../arena/mem.ts";
import { EINTR, EINVAL, ENOMEM } from "../base/errno.ts";
import { CpuMm } from "./cpu-mm.ts";
import { freeVmaTables } from "./free-pgtables.ts";
import { MmGlobals, setting, VMAS_IN_LIST } from "./globals.ts";
import { HPAGE_PMD_NR } from "./huge-pmd.ts";
import { mtreeErase } from "./maple-tree/index.ts";
import { Mm } from "./mm-struct.ts";
import { mmapWriteLockKillable, mmapWriteUnlock } from "./mmap-lock.ts";
import { tlbFinishMmu, tlbGatherMmu } from "./mmu-gather.ts";
import { userPages } from "./page-table.ts";
import { slabFree } from "./slab.ts";
import { VM_ACCOUNT, VM_HUGETLB, VM_LOCKED, Vma, vmaEnd, vmaPages, vmaStart } from "./vma.ts";
import { vmaFrom, vmaUpTo } from "./vma-iter.ts";
import { vmaListRemove } from "./vma-list.ts";
import { splitVmaAt } from "./vma-split.ts";
import { unmapPageRange, ZAP_WAIT } from "./zap.ts";

/** `munmap` of `pages` pages from `start` on, mapped or not: 0, -EINTR, -ENOMEM, or -EINVAL inside a hugetlb page. */
export function* munmap(cpu: Cpu, mm: number, start: number, pages: number): Steps<number> {
  if (start < 0 || pages <= 0 || start + pages > userPages(setting(cpu, MmGlobals.levels))) return -EINVAL;
  if (!(yield* mmapWriteLockKillable(cpu, mm))) return -EINTR;
  const result = yield* doMunmap(cpu, mm, start, start + pages);
  yield* mmapWriteUnlock(cpu, mm);
  return result;
}

/** Caller holds mmap_lock for writing. */
function* doMunmap(cpu: Cpu, mm: number, start: number, end: number): Steps<number> {
  if (cutsHugetlb(cpu, mm, start) || cutsHugetlb(cpu, mm, end)) return -EINVAL;
  if (!(yield* splitVmaAt(cpu, mm, start)) || !(yield* splitVmaAt(cpu, mm, end))) return -ENOMEM;
  const walk = cpu.mm + CpuMm.walk;
  const below = start === 0 ? 0 : vmaUpTo(cpu, mm, walk, start - 1);
  const above = vmaFrom(cpu, mm, walk, end);
  const floor = below === 0 ? 0 : vmaEnd(cpu, below);
  const ceiling = above === 0 ? userPages(setting(cpu, MmGlobals.levels)) : vmaStart(cpu, above);
  yield* tlbGatherMmu(cpu, mm);
  for (let vma = firstIn(cpu, mm, start, end); vma !== 0; vma = firstIn(cpu, mm, vmaEnd(cpu, vma), end)) {
    yield* unmapPageRange(cpu, mm, vmaStart(cpu, vma), vmaEnd(cpu, vma), ZAP_WAIT);
  }
  for (let vma = firstIn(cpu, mm, start, end); vma !== 0; ) {
    const next = firstIn(cpu, mm, vmaEnd(cpu, vma), end);
    yield* freeVmaTables(cpu, mm, vma, floor, next === 0 ? ceiling : vmaStart(cpu, next));
    vma = next;
  }
  yield* tlbFinishMmu(cpu);
  for (let vma = firstIn(cpu, mm, start, end); vma !== 0; vma = firstIn(cpu, mm, start, end)) {
    yield* removeVma(cpu, mm, vma);
  }
  return 0;
}

/** Lowest VMA that ends above `start` and starts below `end`, 0 when there is none. */
function firstIn(cpu: Cpu, mm: number, start: number, end: number): number {
  const vma = vmaFrom(cpu, mm, cpu.mm + CpuMm.walk, start);
  return vma !== 0 && vmaStart(cpu, vma) < end ? vma : 0;
}

/** Whether a border at page `at` would cut a hugetlb page in two. */
function cutsHugetlb(cpu: Cpu, mm: number, at: number): boolean {
  const vma = firstIn(cpu, mm, at, at);
  return vma !== 0 && (load(cpu, vma + Vma.flags) & VM_HUGETLB) !== 0 && at % HPAGE_PMD_NR !== 0;
}

/** Takes a VMA whose pages and tables are gone out of the index and the accounts, and frees it. */
function* removeVma(cpu: Cpu, mm: number, vma: number): Steps<void> {
  const pages = vmaPages(cpu, vma);
  const flags = load(cpu, vma + Vma.flags);
  yield* mtreeErase(cpu, mm + Mm.tree, vmaStart(cpu, vma));
  if (setting(cpu, MmGlobals.vmaStore) === VMAS_IN_LIST) vmaListRemove(cpu, mm + Mm.mmap, vma);
  store(cpu, mm + Mm.mapCount, load(cpu, mm + Mm.mapCount) - 1);
  store(cpu, mm + Mm.totalVm, (load(cpu, mm + Mm.totalVm) - pages) | 0);
  if ((flags & VM_LOCKED) !== 0) store(cpu, mm + Mm.lockedVm, (load(cpu, mm + Mm.lockedVm) - pages) | 0);
  if ((flags & VM_ACCOUNT) !== 0) yield* fetchAdd(cpu, cpu.machine + MmGlobals.committed, -pages);
  yield* slabFree(cpu, cpu.machine + MmGlobals.vmas, vma);
}
