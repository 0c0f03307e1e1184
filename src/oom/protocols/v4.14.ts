/**
 * v4.14 (212925802454, September 2017): mm/mmap.c exit_mmap, mm/oom_kill.c __oom_reap_task_mm.
 *
 * The victim unmaps while the reaper may do the same. Then it publishes MMF_OOM_SKIP and goes once through an empty
 * write-locked section: a reaper that got the read lock before that is waited for, one that comes later sees the
 * flag under the read lock and leaves. After it the victim is alone and frees tables and VMAs without a lock.
 *
 * The flaw (B3): whether to do so is asked of the task that runs exit_mmap. When a bystander drops the last
 * mm_users, it is not an OOM victim, skips the wait, and frees tables under the reaper's feet. And (B6): the reaper's
 * whole-mm gather; here each VMA has a gather of its own, as since v4.15, so B6 does not arise.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { EINTR } from "../../base/errno.ts";
import { freePgtables, removeVmas } from "../../mm/free-pgtables.ts";
import { VMAS_IN_LIST } from "../../mm/globals.ts";
import { mmFlagSet, setMmFlag } from "../../mm/mm.ts";
import { MMF_OOM_SKIP } from "../../mm/mm-struct.ts";
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
import { mutexLock, mutexUnlock } from "../../sync/mutex.ts";
import { RULES_PRE_V5_3 } from "../../sync/rwsem.ts";
import { currentTask, tskIsOomVictim } from "../../task/task.ts";
import { FINISH_TASK_REAPING, SKIP_TASK_REAPING, START_TASK_REAPING } from "../../trace/event.ts";
import { OOM_LOCK, OomGlobals } from "../globals.ts";
import { KILLER_V4_9 } from "../killer-rules.ts";
import { logReaped, traceReaping } from "../reaping-log.ts";
import type { Protocol } from "./protocol.ts";

const SKIP_VMAS = VM_LOCKED | VM_HUGETLB | VM_PFNMAP;

function* exitMmapV414(cpu: Cpu, mm: number): Steps<void> {
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
  if (yield* tskIsOomVictim(cpu, currentTask(cpu))) {
    yield* mmapWriteLock(cpu, mm);
    yield* mmapWriteUnlock(cpu, mm);
  }
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  yield* removeVmas(cpu, mm);
}

function* oomReapTaskMmV414(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
  yield* mutexLock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  const done = (yield* mmapReadTrylock(cpu, mm)) ? yield* reapReadLocked(cpu, mm, order) : false;
  if (!done) traceReaping(cpu, SKIP_TASK_REAPING, mm);
  yield* mutexUnlock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  return done;
}

/** Reaps unless the victim is past its write-locked section; gives the read lock back. */
function* reapReadLocked(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
  const gone = yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP);
  traceReaping(cpu, gone ? SKIP_TASK_REAPING : START_TASK_REAPING, mm);
  if (!gone) {
    yield* reapVmas(cpu, mm, order, SKIP_VMAS);
    logReaped(cpu, mm);
  }
  yield* mmapReadUnlock(cpu, mm);
  if (!gone) traceReaping(cpu, FINISH_TASK_REAPING, mm);
  return true;
}

/** Hypothetical, and only safe for OOM victims: others skip the write-locked section. */
function* mreleaseMmV414(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
  yield* reapReadLocked(cpu, mm, order);
  return 0;
}

export const v414: Protocol = {
  name: "v4.14",
  commit: "212925802454",
  solves: "lets the reaper work while exit_mmap unmaps, so MMF_OOM_SKIP is no longer set too early (B1)",
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
  exitMmap: exitMmapV414,
  oomReapTaskMm: oomReapTaskMmV414,
  mreleaseMm: mreleaseMmV414,
};
