/**
 * A copy of an address space for fork (kernel/fork.c: dup_mm, dup_mmap; mm/memory.c: copy_page_range; v6.18).
 *
 * Private pages are shared read-only by both, to be copied at the first write (`wp-fault`). The kernel also takes the
 * child's mmap_lock and page-table locks, nested; here nobody can reach the child before it is done, so they are left
 * out. The index is built VMA by VMA, as before v6.8, so a half-built child has no marker in its tree.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { EINTR, ENOMEM } from "../base/errno.ts";
import { Rwsem } from "../sync/rwsem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { anonVmaFork } from "./anon-vma.ts";
import { CpuMm } from "./cpu-mm.ts";
import { GRANULARITY_PTE, MmGlobals, setting } from "./globals.ts";
import { addMmCounter, mmAlloc, mmput, setMmFlag } from "./mm.ts";
import { MM_ANONPAGES, MMF_OOM_SKIP, MMF_UNSTABLE, Mm } from "./mm-struct.ts";
import { mmapRegion } from "./mmap.ts";
import { mmapWriteLockKillable, mmapWriteUnlock } from "./mmap-lock.ts";
import { folioAddRmap, folioHead, folioRefAdd } from "./page.ts";
import {
  findPteTable,
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
import { flushTlbMm } from "./tlb.ts";
import { VM_SHARED, Vma, vmaEnd, vmaPages, vmaStart } from "./vma.ts";
import { firstVma, vmaFrom } from "./vma-iter.ts";

/** `dup_mm`: a new mm, number `number`, with one user; or -EINTR, -ENOMEM, with nothing left of it. */
export function* dupMm(cpu: Cpu, parent: number, number: number): Steps<number> {
  const child = yield* mmAlloc(cpu, number, load(cpu, parent + Mm.mmapLock + Rwsem.rules));
  if (child === 0) return -ENOMEM;
  const result = yield* dupMmap(cpu, parent, child);
  if (result === 0) return child;
  yield* mmput(cpu, child);
  return result;
}

/**
 * `dup_mmap`: 0, -EINTR (a fatal signal ended the wait for the parent's lock) or -ENOMEM. A child that is left half
 * built is marked, so that no reaper or fault takes it for a whole one (64c37e134b12, v6.14).
 */
function* dupMmap(cpu: Cpu, parent: number, child: number): Steps<number> {
  if (!(yield* mmapWriteLockKillable(cpu, parent))) return -EINTR;
  const walk = cpu.mm + CpuMm.walk;
  let done = true;
  let vma = firstVma(cpu, parent, walk);
  while (vma !== 0 && done) {
    done = yield* dupVma(cpu, parent, child, vma);
    // The walk's words were used for the child meanwhile.
    vma = vmaFrom(cpu, parent, walk, vmaEnd(cpu, vma));
  }
  if (!done) yield* setMmFlag(cpu, child, MMF_OOM_SKIP | MMF_UNSTABLE);
  yield* flushTlbMm(cpu, parent);
  yield* mmapWriteUnlock(cpu, parent);
  return done ? 0 : -ENOMEM;
}

/** One VMA and its pages; false when out of memory. */
function* dupVma(cpu: Cpu, parent: number, child: number, vma: number): Steps<boolean> {
  const flags = load(cpu, vma + Vma.flags);
  const copy = yield* mmapRegion(cpu, child, vmaStart(cpu, vma), vmaPages(cpu, vma), flags);
  if (copy === 0) return false;
  if (!(yield* anonVmaFork(cpu, vma, copy))) return true;
  const keep = (flags & VM_SHARED) !== 0 ? ~0 : ~PTE_WRITE;
  const end = vmaEnd(cpu, vma);
  for (let at = vmaStart(cpu, vma); at < end; ) {
    const next = Math.min(end, at - (at % PTRS_PER_TABLE) + PTRS_PER_TABLE);
    const from = yield* findPteTable(cpu, parent, at);
    if (from !== 0 && !(yield* copyPteRange(cpu, parent, child, from, at, next - at, keep))) return false;
    at = next;
  }
  return true;
}

/** `copy_pte_range`: `count` entries from page `vpn` on, which lie in the parent's table `from`. */
function* copyPteRange(
  cpu: Cpu,
  parent: number,
  child: number,
  from: number,
  vpn: number,
  count: number,
  keep: number,
): Steps<boolean> {
  const to = yield* pteAlloc(cpu, child, vpn);
  if (to === 0) return false;
  const first = tableIndex(vpn, 0);
  const atOnce = setting(cpu, MmGlobals.lockGranularity) === GRANULARITY_PTE ? 1 : count;
  for (let index = first; index < first + count; index += atOnce) {
    const lock = pteLockOf(cpu, parent, from, index);
    yield* spinLock(cpu, lock, PTE_LOCK);
    yield* copyLocked(cpu, child, from, to, index, index + atOnce, keep);
    yield* spinUnlock(cpu, lock, PTE_LOCK);
  }
  return true;
}

/** Entries [index, end); caller holds the parent's lock on them. Each loses the bits that `keep` does not have. */
function* copyLocked(
  cpu: Cpu,
  child: number,
  from: number,
  to: number,
  index: number,
  end: number,
  keep: number,
): Steps<void> {
  let copied = 0;
  for (let i = index; i < end; i++) {
    const pte = load(cpu, from + PageTable.entries + i);
    if ((pte & PTE_PRESENT) === 0) continue;
    const head = folioHead(cpu, pte >>> PTE_SHIFT);
    yield* folioRefAdd(cpu, head, 1);
    yield* folioAddRmap(cpu, head, 1);
    store(cpu, from + PageTable.entries + i, pte & keep);
    store(cpu, to + PageTable.entries + i, pte & keep);
    copied++;
  }
  if (copied === 0) return;
  notePresent(cpu, to, copied);
  yield* addMmCounter(cpu, child, MM_ANONPAGES, copied);
}
