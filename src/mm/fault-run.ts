/**
 * Faulting neighbouring anonymous pages in together: one walk, one lock and one counter update for all that fit a
 * table, as filemap_map_pages (mm/filemap.c, v6.1) does round a file fault. The kernel has no such path for single
 * anonymous pages; here it is what makes large address spaces affordable. The words that result are those of as many
 * faults by `mapAnonymousFolio`, but for the lock statistics, which count one acquisition.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { exchangeOwned, load, store } from "../arena/mem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { allocPagesBulk } from "./alloc-bulk.ts";
import { GRANULARITY_PTE, MmGlobals, setting } from "./globals.ts";
import { addMmCounter, mmFlagSet } from "./mm.ts";
import { MM_ANONPAGES, MMF_UNSTABLE, Mm } from "./mm-struct.ts";
import { FRAME_REF_ONE, Frame, framesOf, MAPPED_ONCE, ownedLink, PAGE_TYPE_ANON } from "./page.ts";
import { putPage } from "./page-alloc.ts";
import {
  findPteTable,
  notePresent,
  PageTable,
  PTE_LOCK,
  PTE_PRESENT,
  PTE_SHIFT,
  PTE_WRITE,
  PTRS_PER_TABLE,
  pteLockOf,
  tableIndex,
} from "./page-table.ts";

/**
 * Maps pages [vpn, end) of a VMA as far as they lie in the table of page `vpn - 1`, in which the caller has just
 * faulted, and as far as this CPU's list has pages; none where each page is to be charged. Returns how many; the caller
 * faults the next one by itself.
 * `scratch` has room for the pfns of a table. Caller holds mmap_lock for reading.
 */
export function* faultAround(cpu: Cpu, mm: number, vpn: number, end: number, scratch: Int32Array): Steps<number> {
  const most = roomBehind(cpu, vpn, end);
  if (most === 0 || load(cpu, mm + Mm.memcg) !== 0) return 0;
  const pages = yield* allocPagesBulk(cpu, scratch, 0, most);
  if (pages === 0) return 0;
  const mapped = yield* mapPages(cpu, mm, vpn, scratch, 0, pages);
  for (let i = mapped; i < pages; i++) yield* putPage(cpu, scratch[i] as number);
  return mapped;
}

/** `faultAround` with pages that the caller allocated: the pfns from `at` on. Those not mapped remain the caller's. */
export function* mapAround(
  cpu: Cpu,
  mm: number,
  vpn: number,
  end: number,
  pfns: Int32Array,
  at: number,
): Steps<number> {
  const most = roomBehind(cpu, vpn, end);
  return most === 0 ? 0 : yield* mapPages(cpu, mm, vpn, pfns, at, most);
}

/** Pages of [vpn, end) in the table of `vpn - 1`; none where every PTE has a lock of its own. */
function roomBehind(cpu: Cpu, vpn: number, end: number): number {
  const index = tableIndex(vpn, 0);
  if (index === 0 || setting(cpu, MmGlobals.lockGranularity) === GRANULARITY_PTE) return 0;
  return Math.min(end - vpn, PTRS_PER_TABLE - index);
}

function* mapPages(cpu: Cpu, mm: number, vpn: number, pfns: Int32Array, at: number, pages: number): Steps<number> {
  const table = yield* findPteTable(cpu, mm, vpn);
  if (table === 0) return 0;
  const index = tableIndex(vpn, 0);
  const lock = pteLockOf(cpu, mm, table, index);
  yield* spinLock(cpu, lock, PTE_LOCK);
  const unstable = yield* mmFlagSet(cpu, mm, MMF_UNSTABLE);
  const entry = table + PageTable.entries + index;
  const mapped = unstable ? 0 : yield* installPages(cpu, entry, load(cpu, mm + Mm.number), pfns, at, pages);
  if (mapped > 0) {
    yield* addMmCounter(cpu, mm, MM_ANONPAGES, mapped);
    notePresent(cpu, table, mapped);
  }
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  return mapped;
}

/**
 * Fills PTEs from word `entry` on with pages that nobody else knows, up to the first PTE that is taken or page that is
 * not so; returns how many. Caller holds the lock. No call in the loop once it is compiled, as in `zapOwnPages`.
 */
function* installPages(
  cpu: Cpu,
  entry: number,
  owner: number,
  pfns: Int32Array,
  at: number,
  pages: number,
): Steps<number> {
  const frames = framesOf(cpu);
  const link = ownedLink(PAGE_TYPE_ANON, 0, owner);
  for (let i = 0; i < pages; i++) {
    if (load(cpu, entry + i) !== 0) return i;
    const pfn = pfns[at + i] as number;
    const frame = (frames + Math.imul(pfn, Frame.WORDS)) | 0;
    if (!(yield* exchangeOwned(cpu, frame + Frame.count, FRAME_REF_ONE, MAPPED_ONCE))) return i;
    store(cpu, frame + Frame.link, link);
    store(cpu, entry + i, (pfn << PTE_SHIFT) | PTE_PRESENT | PTE_WRITE);
  }
  return pages;
}
