/**
 * Copying page tables for fork (mm/memory.c: copy_page_range, copy_pte_range, vma_needs_copy; v6.18). The pages
 * themselves stay: in a private mapping both sides' entries are read-only afterwards, to be copied at the first write
 * (`wp-fault`, `huge-wp`).
 *
 * Callers hold the parent's mmap_lock for writing, and nobody else can reach the child, whose page-table locks are left
 * out therefore. The parent's are taken: who walks its tables for a translation goes by these.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, store } from "../arena/mem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { GRANULARITY_PTE, MmGlobals, setting } from "./globals.ts";
import { HPAGE_PMD_NR } from "./huge-pmd.ts";
import { copyHugePmd, splitHugePmd } from "./huge-wp.ts";
import { addMmCounter } from "./mm.ts";
import { MM_ANONPAGES, MM_SWAPENTS, NR_MM_COUNTERS } from "./mm-struct.ts";
import { devicePfn, folioAddRmap, folioHead, folioRefAdd, PAGE_TYPE_FILE, pageType } from "./page.ts";
import { fileCounter } from "./page-cache.ts";
import {
  findPmd,
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
import { swapDuplicate } from "./swap.ts";
import { VM_HUGETLB, VM_PFNMAP, VM_SHARED, Vma, vmaEnd, vmaStart } from "./vma.ts";

/**
 * `vma_needs_copy`: entries that the child's own faults would not bring back. What only maps a file is found there
 * again; hugetlb pages are not, as they have no file here.
 */
function* vmaNeedsCopy(cpu: Cpu, vma: number): Steps<boolean> {
  if ((load(cpu, vma + Vma.flags) & (VM_PFNMAP | VM_HUGETLB)) !== 0) return true;
  return (yield* atomicLoad(cpu, vma + Vma.anonVma)) !== 0;
}

/** `copy_page_range`: what the parent's `vma` maps, into the child; false, and part of it copied, without memory. */
export function* copyPageRange(cpu: Cpu, parent: number, child: number, vma: number): Steps<boolean> {
  if (!(yield* vmaNeedsCopy(cpu, vma))) return true;
  const cow = (load(cpu, vma + Vma.flags) & VM_SHARED) === 0;
  const end = vmaEnd(cpu, vma);
  for (let at = vmaStart(cpu, vma); at < end; ) {
    const next = Math.min(end, at - (at % PTRS_PER_TABLE) + PTRS_PER_TABLE);
    if (!(yield* copyPmd(cpu, parent, child, at, next - at, cow))) return false;
    at = next;
  }
  return true;
}

/** `count` pages from `vpn` on, all below one entry at level 1. */
function* copyPmd(cpu: Cpu, parent: number, child: number, vpn: number, count: number, cow: boolean): Steps<boolean> {
  let pmd = yield* findPmd(cpu, parent, vpn);
  if (pmd === 0) return true;
  if (pmd < 0 && count === HPAGE_PMD_NR) return yield* copyHugePmd(cpu, parent, child, vpn, cow);
  if (pmd < 0) {
    yield* splitHugePmd(cpu, parent, vpn);
    pmd = yield* findPmd(cpu, parent, vpn);
  }
  return yield* copyPteRange(cpu, parent, child, pmd, vpn, count, cow);
}

/** `copy_pte_range`: `count` entries from page `vpn` on, which lie in the parent's table `from`. */
function* copyPteRange(
  cpu: Cpu,
  parent: number,
  child: number,
  from: number,
  vpn: number,
  count: number,
  cow: boolean,
): Steps<boolean> {
  const to = yield* pteAlloc(cpu, child, vpn);
  if (to === 0) return false;
  const first = tableIndex(vpn, 0);
  const atOnce = setting(cpu, MmGlobals.lockGranularity) === GRANULARITY_PTE ? 1 : count;
  const keep = cow ? ~PTE_WRITE : ~0;
  for (let index = first; index < first + count; index += atOnce) {
    const lock = pteLockOf(cpu, parent, from, index);
    yield* spinLock(cpu, lock, PTE_LOCK);
    yield* copyLocked(cpu, child, from, to, index, index + atOnce, keep);
    yield* spinUnlock(cpu, lock, PTE_LOCK);
  }
  return true;
}

/** Entries [index, end); caller holds the parent's lock on them. Pages lose the bits that `keep` does not have. */
function* copyLocked(
  cpu: Cpu,
  child: number,
  from: number,
  to: number,
  index: number,
  end: number,
  keep: number,
): Steps<void> {
  const rss = new Array<number>(NR_MM_COUNTERS).fill(0);
  let copied = 0;
  for (let i = index; i < end; i++) {
    const pte = load(cpu, from + PageTable.entries + i);
    if (pte === 0) continue;
    const kind = yield* shareEntry(cpu, pte);
    if (kind !== UNCOUNTED) rss[kind] = (rss[kind] as number) + 1;
    const shared = (pte & PTE_PRESENT) === 0 || kind === UNCOUNTED ? pte : pte & keep;
    store(cpu, from + PageTable.entries + i, shared);
    store(cpu, to + PageTable.entries + i, shared);
    copied++;
  }
  if (copied === 0) return;
  notePresent(cpu, to, copied);
  for (let kind = 0; kind < NR_MM_COUNTERS; kind++) {
    if (rss[kind] !== 0) yield* addMmCounter(cpu, child, kind, rss[kind] as number);
  }
}

/** Device memory: in no counter of the mm. It is no page, and is never copied: a private mapping shares it, too. */
const UNCOUNTED = -1;

/**
 * `copy_present_ptes`, `copy_nonpresent_pte`: takes what a second entry like `pte` needs of its page or slot; returns the
 * counter it counts in.
 */
function* shareEntry(cpu: Cpu, pte: number): Steps<number> {
  const pfn = pte >>> PTE_SHIFT;
  if ((pte & PTE_PRESENT) === 0) {
    yield* swapDuplicate(cpu, pfn);
    return MM_SWAPENTS;
  }
  if (pfn === devicePfn(cpu)) return UNCOUNTED;
  const head = folioHead(cpu, pfn);
  yield* folioRefAdd(cpu, head, 1);
  yield* folioAddRmap(cpu, head, 1);
  return pageType(cpu, head) === PAGE_TYPE_FILE ? fileCounter(cpu, pfn) : MM_ANONPAGES;
}
