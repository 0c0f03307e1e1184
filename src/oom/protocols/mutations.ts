/**
 * Protocols with one lock or check taken out, to show what it is for: cases of the explorer, and test/race. Composed of
 * what the protocols themselves are made of, with both sides, as theirs. They are found by name, and no list offers them.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd, load, store } from "../../arena/mem.ts";
import { EINTR } from "../../base/errno.ts";
import { CpuMm } from "../../mm/cpu-mm.ts";
import { freePgtables, removeVmas } from "../../mm/free-pgtables.ts";
import { munlockVmas } from "../../mm/mlock.ts";
import { addMmCounter, setMmFlag } from "../../mm/mm.ts";
import { MM_ANONPAGES, MMF_OOM_SKIP, MMF_UNSTABLE, Mm } from "../../mm/mm-struct.ts";
import {
  mmapReadLock,
  mmapReadLockKillable,
  mmapReadUnlock,
  mmapWriteLock,
  mmapWriteUnlock,
} from "../../mm/mmap-lock.ts";
import { MmuGather, tlbFinishMmu, tlbFlushMmu, tlbGatherMmu } from "../../mm/mmu-gather.ts";
import { folioRemoveRmap } from "../../mm/page.ts";
import { releasePages } from "../../mm/page-alloc.ts";
import { findPteTable, PageTable, PTE_SHIFT, tableIndex } from "../../mm/page-table.ts";
import { cursorEnd, cursorStart } from "../../mm/traversal/cursor.ts";
import type { TraversalOrder } from "../../mm/traversal/order.ts";
import { unmapVmas } from "../../mm/unmap.ts";
import { unmapPageRange, ZAP_WAIT } from "../../mm/zap.ts";
import type { Protocol } from "./protocol.ts";
import { v414 } from "./v4.14.ts";
import { v417 } from "./v4.17.ts";
import { v517 } from "./v5.17.ts";
import { v61 } from "./v6.1.ts";

/** What a mutation does once everything is unmapped, under whatever lock it holds. */
function* freeUnlocked(cpu: Cpu, mm: number): Steps<void> {
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  yield* removeVmas(cpu, mm);
}

/** B29: publishes MMF_OOM_SKIP only after it has waited, so a reaper gets in between. */
export const skipAfterWait: Protocol = {
  ...v414,
  name: "v4.14-skip-after-wait",
  brokenOnPurpose: true,
  *exitMmap(cpu, mm) {
    yield* tlbGatherMmu(cpu, mm);
    yield* unmapVmas(cpu, mm);
    yield* mmapWriteLock(cpu, mm);
    yield* mmapWriteUnlock(cpu, mm);
    yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
    yield* freeUnlocked(cpu, mm);
  },
};

/** B29: publishes MMF_OOM_SKIP and does not wait for a reaper that is in already. */
export const skipWithoutWait: Protocol = {
  ...v414,
  name: "v4.14-skip-without-wait",
  brokenOnPurpose: true,
  *exitMmap(cpu, mm) {
    yield* tlbGatherMmu(cpu, mm);
    yield* unmapVmas(cpu, mm);
    yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
    yield* freeUnlocked(cpu, mm);
  },
};

/** B29 in the shape of v6.1: frees under the read lock that it unmapped under. */
export const freeUnderReadLock: Protocol = {
  ...v61,
  name: "v6.1-free-under-read-lock",
  brokenOnPurpose: true,
  *exitMmap(cpu, mm) {
    yield* mmapReadLock(cpu, mm);
    yield* tlbGatherMmu(cpu, mm);
    yield* unmapVmas(cpu, mm);
    yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
    yield* freeUnlocked(cpu, mm);
    yield* mmapReadUnlock(cpu, mm);
  },
};

/** Not broken after all: under v6.1's write lock the tree is emptied, and an empty tree is all that SKIP stands for. */
export const skipAtTheEnd: Protocol = {
  ...v61,
  name: "v6.1-skip-at-the-end",
  *exitMmap(cpu, mm) {
    yield* mmapReadLock(cpu, mm);
    yield* tlbGatherMmu(cpu, mm);
    yield* unmapVmas(cpu, mm);
    yield* mmapReadUnlock(cpu, mm);
    yield* mmapWriteLock(cpu, mm);
    yield* freeUnlocked(cpu, mm);
    yield* mmapWriteUnlock(cpu, mm);
    yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
  },
};

/** B5: leaves `mm->mmap` as it was, so who comes after the teardown of an mm without MMF_OOM_SKIP walks freed VMAs. */
export const staleListHead: Protocol = {
  ...v517,
  name: "v5.17-stale-list-head",
  brokenOnPurpose: true,
  *exitMmap(cpu, mm) {
    const head = load(cpu, mm + Mm.mmap);
    yield* mmapWriteLock(cpu, mm);
    yield* tlbGatherMmu(cpu, mm);
    yield* unmapVmas(cpu, mm);
    yield* freeUnlocked(cpu, mm);
    store(cpu, mm + Mm.mmap, head);
    yield* mmapWriteUnlock(cpu, mm);
  },
};

/** B4's ground: munlock as before v4.17, beside a reaper that goes by VM_LOCKED. */
export const munlockFirst: Protocol = {
  ...v417,
  name: "v4.17-munlock-first",
  brokenOnPurpose: true,
  *exitMmap(cpu, mm) {
    munlockVmas(cpu, mm);
    yield* v417.exitMmap(cpu, mm);
  },
};

/** How a mutated reaper unmaps a range, and how it closes its gather. */
interface Reaping {
  zap(cpu: Cpu, mm: number, start: number, end: number): Steps<void>;
  finish(cpu: Cpu): Steps<void>;
}

/** v6.1 with another inside of `__oom_reap_task_mm`: one gather per range of the order. */
function reapingBy(name: string, reaping: Reaping): Protocol {
  return {
    ...v61,
    name,
    brokenOnPurpose: true,
    *mreleaseMm(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
      if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
      const skip = ((yield* atomicLoad(cpu, mm + Mm.flags)) & MMF_OOM_SKIP) !== 0;
      if (!skip) yield* reapRanges(cpu, mm, order, reaping);
      yield* mmapReadUnlock(cpu, mm);
      return 0;
    },
  };
}

function* reapRanges(cpu: Cpu, mm: number, order: TraversalOrder, reaping: Reaping): Steps<void> {
  const cursor = cpu.mm + CpuMm.cursor;
  yield* setMmFlag(cpu, mm, MMF_UNSTABLE);
  for (let more = order.first(cpu, mm, cursor); more; more = order.next(cpu, mm, cursor, false)) {
    yield* tlbGatherMmu(cpu, mm);
    yield* reaping.zap(cpu, mm, cursorStart(cpu, cursor), cursorEnd(cpu, cursor));
    yield* reaping.finish(cpu);
  }
}

function* zapLocked(cpu: Cpu, mm: number, start: number, end: number): Steps<void> {
  yield* unmapPageRange(cpu, mm, start, end, ZAP_WAIT);
}

/** Reads and clears each PTE in two accesses of its own, with no lock around them. */
function* zapUnlocked(cpu: Cpu, mm: number, start: number, end: number): Steps<void> {
  const gather = cpu.gather;
  for (let vpn = start; vpn < end; vpn++) {
    const table = yield* findPteTable(cpu, mm, vpn);
    if (table === 0) continue;
    const entry = table + PageTable.entries + tableIndex(vpn, 0);
    const pte = yield* atomicLoad(cpu, entry);
    if (pte === 0) continue;
    yield* atomicStore(cpu, entry, 0);
    yield* folioRemoveRmap(cpu, pte >>> PTE_SHIFT, 1);
    yield* addMmCounter(cpu, mm, MM_ANONPAGES, -1);
    const used = load(cpu, gather + MmuGather.used);
    store(cpu, gather + MmuGather.pages + used, pte >>> PTE_SHIFT);
    store(cpu, gather + MmuGather.used, used + 1);
    store(cpu, gather + MmuGather.needFlush, 1);
    if (used + 1 === load(cpu, gather + MmuGather.capacity)) yield* tlbFlushMmu(cpu);
  }
}

/** `tlb_finish_mmu` that drops the pages' references before it flushes. */
function* finishFreeingFirst(cpu: Cpu): Steps<void> {
  const gather = cpu.gather;
  const used = load(cpu, gather + MmuGather.used);
  store(cpu, gather + MmuGather.used, 0);
  yield* releasePages(cpu, gather + MmuGather.pages, used);
  yield* tlbFinishMmu(cpu);
}

/** `tlb_finish_mmu` that looks at its own work only: no flush when it unmapped nothing. */
function* finishAlone(cpu: Cpu): Steps<void> {
  const gather = cpu.gather;
  const mm = load(cpu, gather + MmuGather.mm);
  yield* tlbFlushMmu(cpu);
  store(cpu, gather + MmuGather.mm, 0);
  yield* fetchAdd(cpu, mm + Mm.tlbFlushPending, -1);
}

/** The shape of the three below without their fault, to show that the fault is what is found. */
export const asV61 = reapingBy("v6.1-in-pieces", { zap: zapLocked, finish: tlbFinishMmu });
/** B30 */
export const noPteLock = reapingBy("v6.1-no-pte-lock", { zap: zapUnlocked, finish: tlbFinishMmu });
/** B31 */
export const freeBeforeFlush = reapingBy("v6.1-free-before-flush", { zap: zapLocked, finish: finishFreeingFirst });
/** B6: the rule that another open gather forces a flush is gone. */
export const noPendingRule = reapingBy("v6.1-no-pending-rule", { zap: zapLocked, finish: finishAlone });

export const MUTATIONS: readonly Protocol[] = [
  skipAfterWait,
  skipWithoutWait,
  freeUnderReadLock,
  skipAtTheEnd,
  staleListHead,
  munlockFirst,
  asV61,
  noPteLock,
  freeBeforeFlush,
  noPendingRule,
];
