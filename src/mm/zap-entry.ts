/**
 * Zapping entries that are not single anonymous pages mapped once (mm/memory.c: zap_present_ptes, zap_nonpresent_ptes;
 * v6.14): folios, page-cache pages, pages with other users, swap entries and device memory.
 *
 * Callers hold the entries' PTE lock and have room for two words in their gather. What each kind takes from the mm's
 * counters is collected in this CPU's `zapRss` and subtracted once per lock (`subtractZapRss`).
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { CpuMm } from "./cpu-mm.ts";
import { addMmCounter } from "./mm.ts";
import { MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES, MM_SWAPENTS } from "./mm-struct.ts";
import { MmuGather } from "./mmu-gather.ts";
import {
  devicePfn,
  folioEnd,
  folioHead,
  folioRemoveRmap,
  PAGE_DIRTY,
  PAGE_TYPE_FILE,
  PAGE_YOUNG,
  pageMark,
  pageType,
} from "./page.ts";
import { fileCounter } from "./page-cache.ts";
import { PTE_PRESENT, PTE_SHIFT, PTE_WRITE } from "./page-table.ts";
import { freeSwapAndCache } from "./swap.ts";

/** Clears the entry at word `at` and those behind it that go with it, at most `limit`; returns how many. */
export function* zapEntries(cpu: Cpu, at: number, limit: number): Steps<number> {
  const pte = load(cpu, at);
  if ((pte & PTE_PRESENT) === 0) return yield* zapSwapRun(cpu, at, limit);
  const pfn = pte >>> PTE_SHIFT;
  if (pfn === devicePfn(cpu)) {
    store(cpu, at, 0);
    return 1;
  }
  if (pageType(cpu, folioHead(cpu, pfn)) === PAGE_TYPE_FILE) return yield* zapFilePage(cpu, at, pte);
  return yield* zapFolioRun(cpu, at, pfn, limit);
}

/** Swap entries of consecutive slots: the slots lose a use each, under the PTE lock as in the kernel. */
function* zapSwapRun(cpu: Cpu, at: number, limit: number): Steps<number> {
  const first = load(cpu, at);
  let run = 1;
  while (run < limit && load(cpu, at + run) === ((first + (run << PTE_SHIFT)) | 0)) run++;
  for (let i = 0; i < run; i++) store(cpu, at + i, 0);
  collect(cpu, MM_SWAPENTS, run);
  yield* freeSwapAndCache(cpu, first >>> PTE_SHIFT, run);
  return run;
}

/** A page-cache page. Entries become writable at the first write only, so a writable one is a dirty one. */
function* zapFilePage(cpu: Cpu, at: number, pte: number): Steps<number> {
  const pfn = pte >>> PTE_SHIFT;
  store(cpu, at, 0);
  yield* pageMark(cpu, pfn, (pte & PTE_WRITE) !== 0 ? PAGE_DIRTY | PAGE_YOUNG : PAGE_YOUNG);
  yield* folioRemoveRmap(cpu, pfn, 1);
  collect(cpu, fileCounter(cpu, pfn), 1);
  gatherFolio(cpu, pfn, 0);
  return 1;
}

/** Clears the PTEs from word `at` on that map pages of the folio of `pfn`, at most `limit`; returns how many. */
function* zapFolioRun(cpu: Cpu, at: number, pfn: number, limit: number): Steps<number> {
  const run = folioRun(cpu, at, pfn, limit);
  for (let i = 0; i < run; i++) store(cpu, at + i, 0);
  const head = folioHead(cpu, pfn);
  yield* folioRemoveRmap(cpu, head, run);
  collect(cpu, MM_ANONPAGES, run);
  gatherFolio(cpu, pfn, folioEnd(cpu, pfn) - head > 1 ? run : 0);
  return run;
}

/** Queues one page (`refs` 0), or `refs` references on a larger folio. There is room for both words. */
export function gatherFolio(cpu: Cpu, pfn: number, refs: number): void {
  const used = cpu.gather + MmuGather.used;
  const next = cpu.gather + MmuGather.pages + load(cpu, used);
  if (refs > 0) {
    store(cpu, next, -refs);
    store(cpu, next + 1, pfn);
  } else store(cpu, next, pfn);
  store(cpu, used, load(cpu, used) + (refs > 0 ? 2 : 1));
}

/** How many PTEs from `entry` on map consecutive pages of the folio of `pfn`, which is the first; at most `limit`. */
function folioRun(cpu: Cpu, entry: number, pfn: number, limit: number): number {
  const most = Math.min(limit, folioEnd(cpu, pfn) - pfn);
  let run = 1;
  while (run < most && load(cpu, entry + run) >>> PTE_SHIFT === pfn + run) run++;
  return run;
}

function collect(cpu: Cpu, kind: number, entries: number): void {
  const at = cpu.mm + CpuMm.zapRss + kind;
  store(cpu, at, load(cpu, at) + entries);
}

/** `add_mm_rss_vec`: what was collected leaves the mm's counters, anonymous pages apart: returns how many those are. */
export function* subtractZapRss(cpu: Cpu, mm: number): Steps<number> {
  const counters = cpu.mm + CpuMm.zapRss;
  for (const kind of [MM_FILEPAGES, MM_SHMEMPAGES, MM_SWAPENTS]) {
    const entries = load(cpu, counters + kind);
    if (entries === 0) continue;
    store(cpu, counters + kind, 0);
    yield* addMmCounter(cpu, mm, kind, -entries);
  }
  const anon = load(cpu, counters + MM_ANONPAGES);
  store(cpu, counters + MM_ANONPAGES, 0);
  return anon;
}
