/**
 * `munlock_vma_pages_all` of every mlocked VMA (mm/mlock.c; exit_mmap did it until v5.17). What it does to the pages,
 * mlock's own accounting, is not modelled: what races with a reaper is the flag.
 */

import type { Cpu } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { CpuMm } from "./cpu-mm.ts";
import { VM_LOCKED, Vma } from "./vma.ts";
import { firstVma, nextVma } from "./vma-iter.ts";

/**
 * Clears VM_LOCKED everywhere, after which a reaper would no longer pass these VMAs by. The caller has shut reapers out,
 * by the write lock or as its protocol says (B4).
 */
export function munlockVmas(cpu: Cpu, mm: number): void {
  const walk = cpu.mm + CpuMm.walk;
  for (let vma = firstVma(cpu, mm, walk); vma !== 0; vma = nextVma(cpu, vma, walk)) {
    const flags = load(cpu, vma + Vma.flags);
    if ((flags & VM_LOCKED) !== 0) store(cpu, vma + Vma.flags, flags & ~VM_LOCKED);
  }
}
