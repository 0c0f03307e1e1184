/**
 * Life of an address space (kernel/fork.c: mm_alloc, mmput, __mmput, mmdrop, check_mm; v6.18).
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, fetchAdd, fetchOr, load, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { Violation } from "../base/errors.ts";
import { initRwsem } from "../sync/rwsem.ts";
import { sleepUs } from "../sync/sleep.ts";
import { MMF_FLAG_SET } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { MmGlobals } from "./globals.ts";
import { mtreeInit } from "./maple-tree/index.ts";
import { MM_COUNTER_NAMES, Mm, NR_MM_COUNTERS } from "./mm-struct.ts";
import { allocTable, freeTable } from "./page-table.ts";
import { slabAlloc, slabFree } from "./slab.ts";

/** A new mm with one user and one reference, an empty tree and an empty top-level table; 0 when out of memory. */
export function* mmAlloc(cpu: Cpu, number: number, rwsemRules: number): Steps<number> {
  const mm = yield* slabAlloc(cpu, cpu.machine + MmGlobals.mms);
  if (mm === 0) return 0;
  store(cpu, mm + Mm.number, number);
  mtreeInit(cpu, mm + Mm.tree, cpu.machine + MmGlobals.nodes);
  initRwsem(cpu.words, mm + Mm.mmapLock, rwsemRules);
  const pgd = yield* allocTable(cpu, mm);
  if (pgd === 0) {
    yield* slabFree(cpu, cpu.machine + MmGlobals.mms, mm);
    return 0;
  }
  store(cpu, mm + Mm.pgd, pgd);
  yield* atomicStore(cpu, mm + Mm.mmUsers, 1);
  yield* atomicStore(cpu, mm + Mm.mmCount, 1);
  return mm;
}

/** `test_bit` on the mm's flags. */
export function* mmFlagSet(cpu: Cpu, mm: number, flag: number): Steps<boolean> {
  return ((yield* atomicLoad(cpu, mm + Mm.flags)) & flag) !== 0;
}

/** `set_bit` on the mm's flags. */
export function* setMmFlag(cpu: Cpu, mm: number, flag: number): Steps<void> {
  yield* fetchOr(cpu, mm + Mm.flags, flag);
  trace(cpu, MMF_FLAG_SET, mm, flag);
}

/** `mmgrab`: pins the struct. */
export function* mmgrab(cpu: Cpu, mm: number): Steps<void> {
  yield* fetchAdd(cpu, mm + Mm.mmCount, 1);
}

/** `mmget_not_zero`: pins the address space unless its teardown has begun. */
export function* mmgetNotZero(cpu: Cpu, mm: number): Steps<boolean> {
  let users = yield* atomicLoad(cpu, mm + Mm.mmUsers);
  while (users !== 0) {
    const seen = yield* cmpxchg(cpu, mm + Mm.mmUsers, users, users + 1);
    if (seen === users) return true;
    users = seen;
  }
  return false;
}

/** `mmput`: the last user tears the address space down, in its own context, and drops the users' shared pin. */
export function* mmput(cpu: Cpu, mm: number): Steps<void> {
  const users = yield* fetchAdd(cpu, mm + Mm.mmUsers, -1);
  if (users < 1) throw new Violation("I2", `mmput: mm ${load(cpu, mm + Mm.number)} had ${users} users`);
  if (users > 1) return;
  yield* mmTeardown(cpu, mm);
}

/**
 * `__mmput`, by whoever dropped the last use. mm_users is 0 long before the memory is free: exit_aio may sleep for as
 * long as the I/O takes. Left out: ksm_exit and khugepaged_exit, which may take mmap_lock once for writing.
 */
export function* mmTeardown(cpu: Cpu, mm: number): Steps<void> {
  yield* exitAio(cpu, mm);
  yield* cpu.upcalls.exitMmap(cpu, mm);
  yield* mmdrop(cpu, mm);
}

/** `exit_aio` (fs/aio.c): waits for the I/O under way. */
function* exitAio(cpu: Cpu, mm: number): Steps<void> {
  const us = load(cpu, mm + Mm.aioUs);
  if (us === 0) return;
  yield* sleepUs(cpu, us);
  store(cpu, mm + Mm.aioUs, 0);
}

/** `mmdrop`: the last reference frees the struct. */
export function* mmdrop(cpu: Cpu, mm: number): Steps<void> {
  const count = yield* fetchAdd(cpu, mm + Mm.mmCount, -1);
  if (count < 1) throw new Violation("I2", `mmdrop: mm ${load(cpu, mm + Mm.number)} had ${count} references`);
  if (count > 1) return;
  checkMm(cpu, mm);
  assert(load(cpu, mm + Mm.mapCount) === 0, "mmdrop: VMAs are left");
  yield* freeTable(cpu, load(cpu, mm + Mm.pgd));
  yield* slabFree(cpu, cpu.machine + MmGlobals.mms, mm);
}

/** `check_mm`: an mm that dies owns no page and no page table, and nobody gathers from it. No other CPU can reach it any more. */
function checkMm(cpu: Cpu, mm: number): void {
  for (let kind = 0; kind < NR_MM_COUNTERS; kind++) {
    const pages = load(cpu, mm + Mm.rss + kind);
    if (pages !== 0) throw new Violation("I3", `Bad rss-counter state type:${MM_COUNTER_NAMES[kind]} val:${pages}`);
  }
  const hugetlb = load(cpu, mm + Mm.hugetlbUsage);
  if (hugetlb !== 0) throw new Violation("I3", `hugetlb_usage on freeing mm: ${hugetlb}`);
  const bytes = load(cpu, mm + Mm.pgtablesBytes);
  if (bytes !== 0) throw new Violation("I3", `non-zero pgtables_bytes on freeing mm: ${bytes}`);
  const pending = load(cpu, mm + Mm.tlbFlushPending);
  if (pending !== 0) throw new Violation("I11", `tlb_flush_pending is ${pending} on freeing mm`);
}

/** `add_mm_counter`; `pages` may be negative. */
export function* addMmCounter(cpu: Cpu, mm: number, kind: number, pages: number): Steps<void> {
  yield* fetchAdd(cpu, mm + Mm.rss + kind, pages);
}
