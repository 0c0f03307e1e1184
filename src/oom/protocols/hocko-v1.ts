/**
 * Hocko's first patch, "mm, oom: allow oom reaper to race with exit_mmap" (July 2017, never merged), on top of v4.13:
 * mm/mmap.c exit_mmap, mm/oom_kill.c __oom_reap_task_mm.
 *
 * Unmapping twice at once is harmless, so only what changes the address space is excluded: the victim unmaps without a
 * lock, then frees tables and VMAs under the write lock. The reaper holds the read lock while it walks and takes
 * `mm->mmap` == NULL for "torn down". It needs neither mm_users nor oom_lock: MMF_OOM_SKIP no longer comes too early
 * (B1), because the reaper works until the tables go.
 *
 * The flaw: every exiting process pays for the write lock, OOM victim or not; an artificial test said some 3 %, within
 * its noise. Known by its second version, which lists what changed, and by the discussion; that the other lines were
 * alike, and where failed tries are traced, is inferred.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { load } from "../../arena/mem.ts";
import { EINTR } from "../../base/errno.ts";
import { freePgtables, removeVmas } from "../../mm/free-pgtables.ts";
import { VMAS_IN_LIST } from "../../mm/globals.ts";
import { setMmFlag } from "../../mm/mm.ts";
import { MMF_OOM_SKIP, Mm } from "../../mm/mm-struct.ts";
import {
  mmapReadLockKillable,
  mmapReadTrylock,
  mmapReadUnlock,
  mmapWriteLock,
  mmapWriteUnlock,
} from "../../mm/mmap-lock.ts";
import { tlbFinishMmu, tlbGatherMmu } from "../../mm/mmu-gather.ts";
import type { TraversalOrder } from "../../mm/traversal/order.ts";
import { reapVmas, unmapVmas } from "../../mm/unmap.ts";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP } from "../../mm/vma.ts";
import { RULES_PRE_V5_3 } from "../../sync/rwsem.ts";
import { FINISH_TASK_REAPING, SKIP_TASK_REAPING, START_TASK_REAPING } from "../../trace/event.ts";
import { KILLER_V4_9 } from "../killer-rules.ts";
import { logReaped, traceReaping } from "../reaping-log.ts";
import type { Protocol } from "./protocol.ts";

const SKIP_VMAS = VM_LOCKED | VM_HUGETLB | VM_PFNMAP;

function* exitMmapHockoV1(cpu: Cpu, mm: number): Steps<void> {
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  yield* mmapWriteLock(cpu, mm);
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  // Leaves mm->mmap NULL: what the reaper looks at.
  yield* removeVmas(cpu, mm);
  yield* mmapWriteUnlock(cpu, mm);
  // As in v4.13 it is __mmput that does this, just before its mmdrop.
  yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
}

function* oomReapTaskMmHockoV1(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
  if (!(yield* mmapReadTrylock(cpu, mm))) {
    traceReaping(cpu, SKIP_TASK_REAPING, mm);
    return false;
  }
  // Nothing left leaves no sign in the log.
  if (load(cpu, mm + Mm.mmap) !== 0) {
    traceReaping(cpu, START_TASK_REAPING, mm);
    yield* reapVmas(cpu, mm, order, SKIP_VMAS);
    logReaped(cpu, mm);
    traceReaping(cpu, FINISH_TASK_REAPING, mm);
  }
  yield* mmapReadUnlock(cpu, mm);
  return true;
}

/** Hypothetical; safe for anybody's mm, since every exit takes the write lock. */
function* mreleaseMmHockoV1(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
  if (load(cpu, mm + Mm.mmap) !== 0) yield* reapVmas(cpu, mm, order, SKIP_VMAS);
  yield* mmapReadUnlock(cpu, mm);
  return 0;
}

export const hockoV1: Protocol = {
  name: "hocko-v1",
  commit: "patch of 2017-07-24, not merged",
  solves: "lets reaper and exit_mmap unmap at once (B1): tables and VMAs go under the write lock, in every exit",
  vmaStore: VMAS_IN_LIST,
  rwsemRules: RULES_PRE_V5_3,
  order: "forward",
  hasMrelease: false,
  mreleaseSafe: true,
  reaperDelayUs: 0,
  killer: KILLER_V4_9,
  logEra: "v4.13",
  bugs: [],
  brokenOnPurpose: false,
  exitMmap: exitMmapHockoV1,
  oomReapTaskMm: oomReapTaskMmHockoV1,
  mreleaseMm: mreleaseMmHockoV1,
};
