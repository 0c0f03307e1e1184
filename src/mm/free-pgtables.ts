/**
 * Freeing page tables and VMAs once nothing is mapped (mm/memory.c: free_pgtables, free_pgd_range; mm/vma.c:
 * remove_vma; v6.14).
 *
 * No other walker of these tables may exist: the caller holds mmap_lock for writing, or has shut the reaper out
 * some other way that its protocol names, and rmap walkers are shut out by the unlink that comes first.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd, load, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { Violation } from "../base/errors.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { unlinkAnonVmas } from "./anon-vma.ts";
import { CpuMm } from "./cpu-mm.ts";
import { MmGlobals, setting } from "./globals.ts";
import { mtreeDestroy } from "./maple-tree/index.ts";
import { Mm, TABLE_BYTES } from "./mm-struct.ts";
import { tlbRemoveTable } from "./mmu-gather.ts";
import { entrySpan, PageTable, PTRS_PER_TABLE, tableIndex, userPages } from "./page-table.ts";
import { slabFree } from "./slab.ts";
import { VM_ACCOUNT, Vma, vmaEnd, vmaStart } from "./vma.ts";
import { firstVma, nextVma } from "./vma-iter.ts";

/**
 * `free_pgtables`: frees the tables of all VMAs, low to high. The start of the next VMA is the ceiling: a table that
 * reaches beyond it is left to that VMA, so a table that several share is freed once, with the last of them.
 * Neighbours less than one table apart are taken together.
 */
export function* freePgtables(cpu: Cpu, mm: number): Steps<void> {
  const walk = cpu.mm + CpuMm.walk;
  const top = userPages(setting(cpu, MmGlobals.levels));
  let vma = firstVma(cpu, mm, walk);
  while (vma !== 0) {
    const start = vmaStart(cpu, vma);
    let end = vmaEnd(cpu, vma);
    yield* unlinkAnonVmas(cpu, vma);
    let next = nextVma(cpu, vma, walk);
    while (next !== 0 && vmaStart(cpu, next) <= end + PTRS_PER_TABLE) {
      yield* unlinkAnonVmas(cpu, next);
      end = vmaEnd(cpu, next);
      next = nextVma(cpu, next, walk);
    }
    const ceiling = next === 0 ? top : vmaStart(cpu, next);
    yield* freeRange(cpu, mm, load(cpu, mm + Mm.pgd), setting(cpu, MmGlobals.levels) - 1, start, end, 0, ceiling);
    vma = next;
  }
}

/** The same for one VMA among others: its tables that reach neither below `floor` nor above `ceiling`. */
export function* freeVmaTables(cpu: Cpu, mm: number, vma: number, floor: number, ceiling: number): Steps<void> {
  yield* unlinkAnonVmas(cpu, vma);
  const top = setting(cpu, MmGlobals.levels) - 1;
  yield* freeRange(cpu, mm, load(cpu, mm + Mm.pgd), top, vmaStart(cpu, vma), vmaEnd(cpu, vma), floor, ceiling);
}

/** `free_p?d_range`: frees the tables below `table` that cover [start, end) and lie inside [floor, ceiling). */
function* freeRange(
  cpu: Cpu,
  mm: number,
  table: number,
  level: number,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): Steps<void> {
  const span = entrySpan(level);
  for (let base = start - (start % span); base < end; base += span) {
    const entry = table + PageTable.entries + tableIndex(base, level);
    const below = yield* atomicLoad(cpu, entry);
    if (below === 0) continue;
    if (below < 0) throw new Violation("I3", `freePgtables: a huge page is still mapped at page ${base}`);
    if (level > 1) {
      yield* freeRange(cpu, mm, below, level - 1, Math.max(start, base), Math.min(end, base + span), floor, ceiling);
    }
    if (base < floor || base + span > ceiling) continue;
    yield* atomicStore(cpu, entry, 0);
    yield* fetchAdd(cpu, mm + Mm.pgtablesBytes, -TABLE_BYTES);
    tlbRemoveTable(cpu, below);
    noteProgress(cpu);
  }
}

/** `remove_vma` for all, `vm_unacct_memory` for what they had promised, and the end of the index. */
export function* removeVmas(cpu: Cpu, mm: number): Steps<void> {
  const walk = cpu.mm + CpuMm.walk;
  let removed = 0;
  let accounted = 0;
  for (let vma = firstVma(cpu, mm, walk); vma !== 0; removed++) {
    const next = nextVma(cpu, vma, walk);
    if ((load(cpu, vma + Vma.flags) & VM_ACCOUNT) !== 0) accounted += vmaEnd(cpu, vma) - vmaStart(cpu, vma);
    yield* slabFree(cpu, cpu.machine + MmGlobals.vmas, vma);
    noteProgress(cpu);
    vma = next;
  }
  assert(
    removed === load(cpu, mm + Mm.mapCount),
    `removeVmas: ${removed} VMAs, map_count ${load(cpu, mm + Mm.mapCount)}`,
  );
  yield* mtreeDestroy(cpu, mm + Mm.tree);
  store(cpu, mm + Mm.mmap, 0);
  store(cpu, mm + Mm.mapCount, 0);
  store(cpu, mm + Mm.lockedVm, 0);
  if (accounted > 0) yield* fetchAdd(cpu, cpu.machine + MmGlobals.committed, -accounted);
}
