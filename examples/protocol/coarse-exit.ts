/**
 * A protocol of your own: both sides of v6.1, except that exit_mmap unmaps everything under the write lock, as v5.17
 * did. It is simpler to reason about (nobody else is in the address space while the victim tears it down), and shows
 * what the read lock of v6.1 buys: here whoever comes second waits for the whole walk of the other.
 *
 * Run: npx oomrace bench --protocol examples/protocol/coarse-exit.ts --layout vmas-2m
 */

import {
  type Cpu,
  EINTR,
  freePgtables,
  KILLER_V5_9,
  MMF_OOM_SKIP,
  mmapReadLockKillable,
  mmapReadTrylock,
  mmapReadUnlock,
  mmapWriteLock,
  mmapWriteUnlock,
  mmFlagSet,
  OOM_REAPER_DELAY_US,
  type Protocol,
  RULES_MODERN,
  reapVmas,
  removeVmas,
  type Steps,
  setMmFlag,
  type TraversalOrder,
  tlbFinishMmu,
  tlbGatherMmu,
  unmapVmas,
  VM_HUGETLB,
  VM_PFNMAP,
  VMAS_IN_TREE,
} from "oomrace/kernel";

const SKIP_VMAS = VM_HUGETLB | VM_PFNMAP;

/** The victim: one write-locked section from the first unmapped page to the last freed VMA. */
function* exitMmapCoarse(cpu: Cpu, mm: number): Steps<void> {
  yield* mmapWriteLock(cpu, mm);
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  // A reaper that comes after the unlock must not touch tables that are gone.
  yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  yield* removeVmas(cpu, mm);
  yield* mmapWriteUnlock(cpu, mm);
}

/** The caller holds the read lock. */
function* reapUnlessSkipped(cpu: Cpu, mm: number, order: TraversalOrder): Steps<void> {
  if (!(yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP))) yield* reapVmas(cpu, mm, order, SKIP_VMAS);
}

/** The kthread: while the victim is in exit_mmap the trylock fails, and the kthread tries again later. */
function* oomReapTaskMmCoarse(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
  if (!(yield* mmapReadTrylock(cpu, mm))) return false;
  yield* reapUnlessSkipped(cpu, mm, order);
  yield* mmapReadUnlock(cpu, mm);
  return true;
}

/** The process_mrelease caller: waits in line, and mostly finds the work done. */
function* mreleaseMmCoarse(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
  yield* reapUnlessSkipped(cpu, mm, order);
  yield* mmapReadUnlock(cpu, mm);
  return 0;
}

export const protocol: Protocol = {
  name: "coarse-exit",
  commit: "",
  solves: "exclusion that needs no argument: one side at a time",
  vmaStore: VMAS_IN_TREE,
  rwsemRules: RULES_MODERN,
  order: "forward",
  hasMrelease: true,
  mreleaseSafe: true,
  reaperDelayUs: OOM_REAPER_DELAY_US,
  killer: KILLER_V5_9,
  logEra: "v6.8",
  bugs: [],
  brokenOnPurpose: false,
  exitMmap: exitMmapCoarse,
  oomReapTaskMm: oomReapTaskMmCoarse,
  mreleaseMm: mreleaseMmCoarse,
};
