/**
 * Walking the VMAs of an mm, whichever way the kernel version at hand reaches them: `mm->mmap` and its links before
 * v6.1, the maple tree since. Callers hold mmap_lock or own the mm exclusively.
 *
 * `walk` is the word address of a MaState that the walk may use.
 */

import type { Cpu } from "../arena/cpu.ts";
import { MmGlobals, setting, VMAS_IN_LIST } from "./globals.ts";
import { masFind, masFindRev, masInit } from "./maple-tree/index.ts";
import { Mm } from "./mm-struct.ts";
import { vmaListFirst, vmaListNext, vmaListPrev } from "./vma-list.ts";
import { MAX_VPN } from "./vpn.ts";

function inList(cpu: Cpu): boolean {
  return setting(cpu, MmGlobals.vmaStore) === VMAS_IN_LIST;
}

/** Lowest VMA, or 0. */
export function firstVma(cpu: Cpu, mm: number, walk: number): number {
  return inList(cpu) ? vmaListFirst(cpu, mm + Mm.mmap) : vmaFrom(cpu, mm, walk, 0);
}

/** The VMA above `vma`, or 0. */
export function nextVma(cpu: Cpu, vma: number, walk: number): number {
  return inList(cpu) ? vmaListNext(cpu, vma) : masFind(cpu, walk, MAX_VPN);
}

/** Highest VMA, or 0; found by the index, as the list has no tail. */
export function lastVma(cpu: Cpu, mm: number, walk: number): number {
  return vmaUpTo(cpu, mm, walk, MAX_VPN);
}

/** The VMA below `vma`, or 0. */
export function prevVma(cpu: Cpu, vma: number, walk: number): number {
  return inList(cpu) ? vmaListPrev(cpu, vma) : masFindRev(cpu, walk, 0);
}

/** `find_vma`: the lowest VMA that ends above page `vpn`, or 0. */
export function vmaFrom(cpu: Cpu, mm: number, walk: number, vpn: number): number {
  masInit(cpu, walk, mm + Mm.tree, vpn);
  return masFind(cpu, walk, MAX_VPN);
}

/** The highest VMA that starts at or below page `vpn`, or 0. */
export function vmaUpTo(cpu: Cpu, mm: number, walk: number, vpn: number): number {
  masInit(cpu, walk, mm + Mm.tree, vpn);
  return masFindRev(cpu, walk, 0);
}
