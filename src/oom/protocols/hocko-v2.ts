/**
 * Hocko's second patch of "mm, oom: allow oom reaper to race with exit_mmap" (10 August 2017, never merged), on top of
 * v4.13: mm/mmap.c exit_mmap, mm/oom_kill.c __oom_reap_task_mm.
 *
 * As the first version: unmap without a lock, free tables and VMAs under the write lock, `mm->mmap` == NULL says "torn
 * down". New: only an OOM victim takes the lock, so ordinary exits pay nothing. That answer cannot change meanwhile: a
 * task becomes a victim under task_lock and only while it has an mm, and exit_mm took the mm away under that lock. It is
 * asked once all the same, and remembered for the unlock.
 *
 * The flaw (B3): the task that is asked is the one that runs exit_mmap. When a bystander drops the last mm_users, no
 * lock is taken and the tables go under the reaper's feet. Nobody reported that of this patch; it is inferred from
 * v4.14, which was merged instead with the same question and was found to have it. So is where failed tries are traced.
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
import { currentTask, tskIsOomVictim } from "../../task/task.ts";
import { FINISH_TASK_REAPING, SKIP_TASK_REAPING, START_TASK_REAPING } from "../../trace/event.ts";
import { KILLER_V4_9 } from "../killer-rules.ts";
import { logReaped, traceReaping } from "../reaping-log.ts";
import type { Protocol } from "./protocol.ts";

const SKIP_VMAS = VM_LOCKED | VM_HUGETLB | VM_PFNMAP;

function* exitMmapHockoV2(cpu: Cpu, mm: number): Steps<void> {
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  const locked = yield* tskIsOomVictim(cpu, currentTask(cpu));
  if (locked) yield* mmapWriteLock(cpu, mm);
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  // Leaves mm->mmap NULL: what the reaper looks at.
  yield* removeVmas(cpu, mm);
  if (locked) yield* mmapWriteUnlock(cpu, mm);
  // As in v4.13 it is __mmput that does this, just before its mmdrop.
  yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
}

function* oomReapTaskMmHockoV2(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
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

/** Hypothetical, and only safe for OOM victims: others take no lock. */
function* mreleaseMmHockoV2(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
  if (load(cpu, mm + Mm.mmap) !== 0) yield* reapVmas(cpu, mm, order, SKIP_VMAS);
  yield* mmapReadUnlock(cpu, mm);
  return 0;
}

export const hockoV2: Protocol = {
  name: "hocko-v2",
  commit: "patch of 2017-08-10, not merged",
  solves: "hocko-v1 without its price for ordinary exits: only an OOM victim takes the write lock",
  vmaStore: VMAS_IN_LIST,
  rwsemRules: RULES_PRE_V5_3,
  order: "forward",
  hasMrelease: false,
  mreleaseSafe: false,
  reaperDelayUs: 0,
  killer: KILLER_V4_9,
  logEra: "v4.13",
  bugs: ["B3"],
  brokenOnPurpose: false,
  exitMmap: exitMmapHockoV2,
  oomReapTaskMm: oomReapTaskMmHockoV2,
  mreleaseMm: mreleaseMmHockoV2,
};
