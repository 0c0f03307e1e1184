/** Cutting VMAs where a range of pages begins and ends (mm/vma.c: __split_vma; v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, store } from "../arena/mem.ts";
import { anonVmaFork } from "./anon-vma.ts";
import { CpuMm } from "./cpu-mm.ts";
import { MmGlobals, setting, VMAS_IN_LIST } from "./globals.ts";
import { MTREE_OK, mtreeStore } from "./maple-tree/index.ts";
import { Mm } from "./mm-struct.ts";
import { slabAlloc, slabFree } from "./slab.ts";
import { initVma, Vma, vmaEnd, vmaStart } from "./vma.ts";
import { vmaFrom } from "./vma-iter.ts";
import { vmaListInsert } from "./vma-list.ts";
import { loadVpn, storeVpn } from "./vpn.ts";

/**
 * Afterwards no VMA reaches across page `at`; false, and nothing changed, when there is no memory for the upper half.
 * Caller holds mmap_lock for writing.
 */
export function* splitVmaAt(cpu: Cpu, mm: number, at: number): Steps<boolean> {
  const lower = vmaFrom(cpu, mm, cpu.mm + CpuMm.walk, at);
  if (lower === 0 || vmaStart(cpu, lower) >= at) return true;
  const vmas = cpu.machine + MmGlobals.vmas;
  const upper = yield* slabAlloc(cpu, vmas);
  if (upper === 0) return false;
  const end = vmaEnd(cpu, lower);
  initVma(cpu, upper, mm, at, end, load(cpu, lower + Vma.flags));
  if ((yield* mtreeStore(cpu, mm + Mm.tree, at, end - 1, upper)) !== MTREE_OK) {
    yield* slabFree(cpu, vmas, upper);
    return false;
  }
  store(cpu, upper + Vma.file, load(cpu, lower + Vma.file));
  storeVpn(cpu, upper + Vma.pgoff, loadVpn(cpu, lower + Vma.pgoff) + at - vmaStart(cpu, lower));
  storeVpn(cpu, lower + Vma.end, at);
  if ((yield* atomicLoad(cpu, lower + Vma.anonVma)) !== 0) yield* anonVmaFork(cpu, lower, upper);
  if (setting(cpu, MmGlobals.vmaStore) === VMAS_IN_LIST) vmaListInsert(cpu, mm + Mm.mmap, upper, lower);
  store(cpu, mm + Mm.mapCount, load(cpu, mm + Mm.mapCount) + 1);
  return true;
}
