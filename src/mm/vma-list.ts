/**
 * VMAs of one mm as a doubly linked list in address order: `mm->mmap`, `vm_next`, `vm_prev` (mm/util.c:
 * __vma_link_list, __vma_unlink_list, up to v6.0). Those kernels found a VMA through an rb-tree beside it; here the
 * maple tree stands in for that tree.
 *
 * `headWord` is the word address of the mm's list head. Callers hold `mmapLock` for write to link and unlink, at
 * least for read to walk.
 */

import type { Cpu } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { Vma, vmaEnd, vmaStart } from "./vma.ts";
import { readVpn } from "./vpn.ts";

/** Lowest VMA, 0 when there is none. */
export function vmaListFirst(cpu: Cpu, headWord: number): number {
  return load(cpu, headWord);
}

/** The VMA above (`vm_next`), 0 at the end. */
export function vmaListNext(cpu: Cpu, vma: number): number {
  return load(cpu, vma + Vma.next);
}

/** The VMA below (`vm_prev`), 0 at the end. */
export function vmaListPrev(cpu: Cpu, vma: number): number {
  return load(cpu, vma + Vma.prev);
}

/** Links `vma` behind `prev`, or at the head when `prev` is 0. */
export function vmaListInsert(cpu: Cpu, headWord: number, vma: number, prev: number): void {
  const next = prev === 0 ? vmaListFirst(cpu, headWord) : vmaListNext(cpu, prev);
  assert(prev === 0 || vmaEnd(cpu, prev) <= vmaStart(cpu, vma), "vmaListInsert: overlaps the VMA below");
  assert(next === 0 || vmaEnd(cpu, vma) <= vmaStart(cpu, next), "vmaListInsert: overlaps the VMA above");
  store(cpu, vma + Vma.prev, prev);
  store(cpu, vma + Vma.next, next);
  if (next !== 0) store(cpu, next + Vma.prev, vma);
  store(cpu, prev === 0 ? headWord : prev + Vma.next, vma);
}

/** Unlinks `vma` and clears its links. */
export function vmaListRemove(cpu: Cpu, headWord: number, vma: number): void {
  const prev = vmaListPrev(cpu, vma);
  const next = vmaListNext(cpu, vma);
  const above = prev === 0 ? headWord : prev + Vma.next;
  assert(load(cpu, above) === vma, "vmaListRemove: the VMA is not on this list");
  store(cpu, above, next);
  if (next !== 0) store(cpu, next + Vma.prev, prev);
  store(cpu, vma + Vma.next, 0);
  store(cpu, vma + Vma.prev, 0);
}

/** What is wrong with the list: links, order, a cycle. Empty when it is sound. Reads the arena only. */
export function checkVmaList(words: Int32Array, headWord: number): string[] {
  const findings: string[] = [];
  const seen = new Set<number>();
  let prev = 0;
  let floor = 0;
  for (let vma = words[headWord] as number; vma !== 0; vma = words[vma + Vma.next] as number) {
    if (seen.has(vma)) return [...findings, `VMA ${vma} is on the list twice`];
    if (vma < 0 || vma + Vma.WORDS > words.length) return [...findings, `VMA ${prev}: next is ${vma}, no address`];
    seen.add(vma);
    const start = readVpn(words, vma + Vma.start);
    if (words[vma + Vma.prev] !== prev) findings.push(`VMA ${vma}: prev is ${words[vma + Vma.prev]}, expected ${prev}`);
    if (start < floor) findings.push(`VMA ${vma} starts at page ${start}, below page ${floor} where the last one ends`);
    floor = readVpn(words, vma + Vma.end);
    prev = vma;
  }
  return findings;
}
