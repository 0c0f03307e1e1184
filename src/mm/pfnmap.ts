/** Mapping device memory (mm/memory.c: remap_pfn_range; v6.18): entries without a page behind them, rmap or rss. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { GRANULARITY_PTE, MmGlobals, setting } from "./globals.ts";
import { devicePfn } from "./page.ts";
import {
  notePresent,
  PageTable,
  PTE_LOCK,
  PTE_PRESENT,
  PTE_SHIFT,
  PTE_WRITE,
  PTRS_PER_TABLE,
  pteAlloc,
  pteLockOf,
  tableIndex,
} from "./page-table.ts";

/**
 * Maps the device to pages [start, end) of a VM_PFNMAP mapping, all at once as drivers do at mmap; such mappings never
 * fault. False, and part of it mapped, when there is no memory for tables. Caller holds mmap_lock for writing, or owns
 * the mm.
 */
export function* remapPfnRange(cpu: Cpu, mm: number, start: number, end: number): Steps<boolean> {
  const atOnce = setting(cpu, MmGlobals.lockGranularity) === GRANULARITY_PTE ? 1 : PTRS_PER_TABLE;
  for (let vpn = start; vpn < end; ) {
    const table = yield* pteAlloc(cpu, mm, vpn);
    if (table === 0) return false;
    const index = tableIndex(vpn, 0);
    const pages = Math.min(end - vpn, PTRS_PER_TABLE - index, atOnce);
    const lock = pteLockOf(cpu, mm, table, index);
    yield* spinLock(cpu, lock, PTE_LOCK);
    for (let i = index; i < index + pages; i++) {
      assert(load(cpu, table + PageTable.entries + i) === 0, `remapPfnRange: page ${vpn} is mapped already`);
      store(cpu, table + PageTable.entries + i, (devicePfn(cpu) << PTE_SHIFT) | PTE_PRESENT | PTE_WRITE);
    }
    notePresent(cpu, table, pages);
    yield* spinUnlock(cpu, lock, PTE_LOCK);
    vpn += pages;
  }
  return true;
}
