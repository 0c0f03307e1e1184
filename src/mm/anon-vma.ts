/**
 * Reverse-map anchor of anonymous pages (mm/rmap.c: anon_vma_prepare, unlink_anon_vmas; v6.18), as far as teardown
 * needs it: every VMA that has faulted owns one, and freePgtables unlinks it under its lock before tables go.
 *
 * Thread safety: `users` is guarded by `lock` held for write; a VMA's `anonVma` is filled once under
 * `page_table_lock` by whichever fault comes first.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, load, store } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { lockClass } from "../sync/lock-class.ts";
import { downWrite, initRwsem, RULES_MODERN, Rwsem, upWrite } from "../sync/rwsem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { MmGlobals } from "./globals.ts";
import { Mm, PAGE_TABLE_LOCK } from "./mm-struct.ts";
import { SlabObject, slabAlloc, slabFree } from "./slab.ts";
import { Vma } from "./vma.ts";

const ANON_VMA_LOCK = lockClass("anon_vma", "rwsem");

export const AnonVma = struct(
  "anonVma",
  {
    slab: SlabObject,
    /** VMAs linked here. Guarded by lock. */
    users: 1,
    lock: Rwsem,
  },
  CACHE_PAIR,
);

/** `anon_vma_prepare`: the VMA has an anchor afterwards; false when out of memory. Caller holds mmap_lock (read). */
export function* anonVmaPrepare(cpu: Cpu, mm: number, vma: number): Steps<boolean> {
  if ((yield* atomicLoad(cpu, vma + Vma.anonVma)) !== 0) return true;
  const fresh = yield* slabAlloc(cpu, cpu.machine + MmGlobals.anonVmas);
  if (fresh === 0) return false;
  initRwsem(cpu.words, fresh + AnonVma.lock, RULES_MODERN);
  store(cpu, fresh + AnonVma.users, 1);
  yield* spinLock(cpu, mm + Mm.pageTableLock, PAGE_TABLE_LOCK);
  const raced = (yield* atomicLoad(cpu, vma + Vma.anonVma)) !== 0;
  if (!raced) yield* atomicStore(cpu, vma + Vma.anonVma, fresh);
  yield* spinUnlock(cpu, mm + Mm.pageTableLock, PAGE_TABLE_LOCK);
  if (raced) yield* slabFree(cpu, cpu.machine + MmGlobals.anonVmas, fresh);
  return true;
}

/** `anon_vma_fork`, without chains: the child's VMA hangs on its parent's anchor. False where the parent has none. */
export function* anonVmaFork(cpu: Cpu, parent: number, child: number): Steps<boolean> {
  const anonVma = yield* atomicLoad(cpu, parent + Vma.anonVma);
  if (anonVma === 0) return false;
  yield* downWrite(cpu, anonVma + AnonVma.lock, ANON_VMA_LOCK);
  store(cpu, anonVma + AnonVma.users, load(cpu, anonVma + AnonVma.users) + 1);
  yield* upWrite(cpu, anonVma + AnonVma.lock, ANON_VMA_LOCK);
  yield* atomicStore(cpu, child + Vma.anonVma, anonVma);
  return true;
}

/** `unlink_anon_vmas`: rmap walkers cannot reach the VMA afterwards. Caller owns the VMA exclusively. */
export function* unlinkAnonVmas(cpu: Cpu, vma: number): Steps<void> {
  const anonVma = yield* atomicLoad(cpu, vma + Vma.anonVma);
  if (anonVma === 0) return;
  yield* downWrite(cpu, anonVma + AnonVma.lock, ANON_VMA_LOCK);
  const users = load(cpu, anonVma + AnonVma.users) - 1;
  assert(users >= 0, "unlinkAnonVmas: no VMA is linked here");
  store(cpu, anonVma + AnonVma.users, users);
  yield* upWrite(cpu, anonVma + AnonVma.lock, ANON_VMA_LOCK);
  yield* atomicStore(cpu, vma + Vma.anonVma, 0);
  if (users === 0) yield* slabFree(cpu, cpu.machine + MmGlobals.anonVmas, anonVma);
}
