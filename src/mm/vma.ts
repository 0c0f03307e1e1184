/**
 * A virtual memory area: `struct vm_area_struct` (include/linux/mm_types.h, v6.1; `next` and `prev` as before v6.1).
 *
 * All fields are guarded by the mm's `mmapLock`: read under read or write, changed under write, except where
 * noted.
 */

import type { Cpu } from "../arena/cpu.ts";
import { store } from "../arena/mem.ts";
import { CACHE_LINE, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { SlabObject } from "./slab.ts";
import { loadVpn, MAX_VPN, storeVpn, VPN_WORDS } from "./vpn.ts";

export const Vma = struct(
  "vma",
  {
    slab: SlabObject,
    /** First virtual page, and the one after the last (`vm_start`, `vm_end` in pages). */
    start: VPN_WORDS,
    end: VPN_WORDS,
    /** VM_* bits. */
    flags: 1,
    /** Word address of the mm it belongs to. */
    mm: 1,
    /** Neighbours in address order, 0 at the ends; kernels before v6.1 (`mm/vma-list`). */
    next: 1,
    prev: 1,
    /** Anchor of the anonymous reverse map, 0 before the first fault; guarded as `mm/anon-vma` says. */
    anonVma: 1,
    /** File that is mapped (`mm/page-cache`), 0 for anonymous memory and devices; and its page at `start`. */
    file: 1,
    pgoff: VPN_WORDS,
  },
  CACHE_LINE,
);
assert(Vma.WORDS === CACHE_LINE, "Vma: must fill one cache line");

/** The kernel's flag bits (include/linux/mm.h). */
export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
export const VM_SHARED = 0x8;
export const VM_PFNMAP = 0x400;
export const VM_LOCKED = 0x2000;
/** A forked child does not get it (MADV_DONTFORK). */
export const VM_DONTCOPY = 0x20000;
/** Its pages count as promised (`vm_committed_as`). */
export const VM_ACCOUNT = 0x100000;
export const VM_HUGETLB = 0x400000;
/** A forked child gets it empty (MADV_WIPEONFORK). */
export const VM_WIPEONFORK = 0x2000000;
/** Faults may map 2 MiB at once (MADV_HUGEPAGE). */
export const VM_HUGEPAGE = 0x20000000;

/** Fills in a fresh (zeroed) VMA for pages [start, end); not linked anywhere yet. */
export function initVma(cpu: Cpu, vma: number, mm: number, start: number, end: number, flags: number): void {
  assert(start >= 0 && start < end && end <= MAX_VPN + 1, "initVma: expected 0 <= start < end <= 2^45");
  store(cpu, vma + Vma.mm, mm);
  storeVpn(cpu, vma + Vma.start, start);
  storeVpn(cpu, vma + Vma.end, end);
  store(cpu, vma + Vma.flags, flags);
}

/** First virtual page. */
export function vmaStart(cpu: Cpu, vma: number): number {
  return loadVpn(cpu, vma + Vma.start);
}

/** The virtual page after the last. */
export function vmaEnd(cpu: Cpu, vma: number): number {
  return loadVpn(cpu, vma + Vma.end);
}

/** `vma_pages` */
export function vmaPages(cpu: Cpu, vma: number): number {
  return vmaEnd(cpu, vma) - vmaStart(cpu, vma);
}
