/**
 * Keeping pages in memory (mm/mlock.c: do_mlock, apply_vma_lock_flags, mlock_fixup; mm/gup.c: populate_vma_page_range;
 * v6.18; munlock_vma_pages_all, which exit_mmap called until v5.17). What VM_LOCKED does here is what a reaper sees: before v5.18 it passed such VMAs by. The pages' own mlock
 * count and LRU list are left out.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { EINTR, ENOMEM } from "../base/errno.ts";
import { CpuMm } from "./cpu-mm.ts";
import { Mm } from "./mm-struct.ts";
import { mmapReadLockKillable, mmapReadUnlock, mmapWriteLockKillable, mmapWriteUnlock } from "./mmap-lock.ts";
import { faultIn, VM_FAULT_KILLED } from "./user-fault.ts";
import { FAULT_FLAG_ALLOW_RETRY, FAULT_FLAG_KILLABLE, FAULT_FLAG_WRITE, VM_FAULT_DONE } from "./vm-fault.ts";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP, VM_SHARED, VM_WRITE, Vma, vmaEnd, vmaPages, vmaStart } from "./vma.ts";
import { firstVma, nextVma, vmaFrom } from "./vma-iter.ts";
import { splitVmaAt } from "./vma-split.ts";

/**
 * `mlock`: marks the VMAs of `pages` pages from `start` on and faults their pages in. 0, -EINTR, or -ENOMEM where part
 * of the range is not mapped (what lies below is marked then) or a page cannot be had (all is marked).
 */
export function* mlock(cpu: Cpu, mm: number, start: number, pages: number): Steps<number> {
  const result = yield* applyLock(cpu, mm, start, start + pages, VM_LOCKED);
  return result === 0 ? yield* populate(cpu, mm, start, start + pages) : result;
}

/** `munlock`: takes the mark away again. */
export function* munlock(cpu: Cpu, mm: number, start: number, pages: number): Steps<number> {
  return yield* applyLock(cpu, mm, start, start + pages, 0);
}

/** Gives the VMAs of [start, end) the bit VM_LOCKED or takes it, cutting them at the ends. */
function* applyLock(cpu: Cpu, mm: number, start: number, end: number, locked: number): Steps<number> {
  if (!(yield* mmapWriteLockKillable(cpu, mm))) return -EINTR;
  let result = (yield* splitVmaAt(cpu, mm, start)) && (yield* splitVmaAt(cpu, mm, end)) ? 0 : -ENOMEM;
  for (let at = start; at < end && result === 0; ) {
    const vma = vmaFrom(cpu, mm, cpu.mm + CpuMm.walk, at);
    if (vma !== 0 && vmaStart(cpu, vma) === at) {
      markVma(cpu, mm, vma, locked);
      at = vmaEnd(cpu, vma);
    } else result = -ENOMEM;
  }
  yield* mmapWriteUnlock(cpu, mm);
  return result;
}

/**
 * `munlock_vma_pages_all` of every mlocked VMA, after which a reaper would no longer pass these by. The caller has shut
 * reapers out, by the write lock or as its protocol says (B4). The mm's account stays, as it does in exit_mmap.
 */
export function munlockVmas(cpu: Cpu, mm: number): void {
  const walk = cpu.mm + CpuMm.walk;
  for (let vma = firstVma(cpu, mm, walk); vma !== 0; vma = nextVma(cpu, vma, walk)) {
    const flags = load(cpu, vma + Vma.flags);
    if ((flags & VM_LOCKED) !== 0) store(cpu, vma + Vma.flags, flags & ~VM_LOCKED);
  }
}

/** `mlock_fixup`: hugetlb and device memory stays where it is anyway and is not marked. */
function markVma(cpu: Cpu, mm: number, vma: number, locked: number): void {
  const flags = load(cpu, vma + Vma.flags);
  if ((flags & (VM_HUGETLB | VM_PFNMAP)) !== 0 || (flags & VM_LOCKED) === locked) return;
  store(cpu, vma + Vma.flags, (flags & ~VM_LOCKED) | locked);
  const pages = locked === 0 ? -vmaPages(cpu, vma) : vmaPages(cpu, vma);
  store(cpu, mm + Mm.lockedVm, (load(cpu, mm + Mm.lockedVm) + pages) | 0);
}

/** Faults [start, end) in, private writable pages for writing, so that no copy is due later. */
function* populate(cpu: Cpu, mm: number, start: number, end: number): Steps<number> {
  for (let vpn = start; vpn < end; vpn++) {
    const flags = yield* vmaFlags(cpu, mm, vpn);
    if (flags === undefined) return -EINTR;
    if ((flags & VM_PFNMAP) !== 0) continue;
    const write = (flags & (VM_WRITE | VM_SHARED)) === VM_WRITE ? FAULT_FLAG_WRITE : 0;
    const result = yield* faultIn(cpu, mm, vpn, FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | write);
    if (result !== VM_FAULT_DONE) return result === VM_FAULT_KILLED ? -EINTR : -ENOMEM;
  }
  return 0;
}

/** VM_* of the mapping of page `vpn`, 0 where there is none any more; undefined when a fatal signal came. */
function* vmaFlags(cpu: Cpu, mm: number, vpn: number): Steps<number | undefined> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return undefined;
  const vma = vmaFrom(cpu, mm, cpu.mm + CpuMm.walk, vpn);
  const flags = vma !== 0 && vmaStart(cpu, vma) <= vpn ? load(cpu, vma + Vma.flags) : 0;
  yield* mmapReadUnlock(cpu, mm);
  return flags;
}
