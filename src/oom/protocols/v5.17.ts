/**
 * v5.17 (64591e8605d6, ba535c1caf3e, f798a1d4f94d; early 2022): mm/mmap.c exit_mmap, mm/oom_kill.c oom_reap_task_mm and
 * process_mrelease.
 *
 * process_mrelease reaps processes that the OOM killer did not choose, and pinning their mm_users made the call four
 * times as slow. So now every exit_mmap holds the write lock, from before munlock to the end: one side at a time, and a
 * pin of the struct is enough. An OOM victim reaps itself first, without a lock and beside the kthread, and publishes
 * MMF_OOM_SKIP. Other mms never get that flag; a caller who comes after their teardown is told by `mm->mmap` == NULL,
 * which the first two commits forgot (B5). oom_lock left both sides in v4.19.
 *
 * The flaw (B23): the victim holds the write lock all the time it unmaps, so the kthread's trylock fails until it gives
 * up. The self-reap makes up for that: what is left by then is what a reaper would have passed by. But a caller of
 * process_mrelease waits for the whole walk instead of sharing it.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { EINTR } from "../../base/errno.ts";
import { freePgtables, removeVmas } from "../../mm/free-pgtables.ts";
import { VMAS_IN_LIST } from "../../mm/globals.ts";
import { munlockVmas } from "../../mm/mlock.ts";
import { mmFlagSet, setMmFlag } from "../../mm/mm.ts";
import { MMF_OOM_SKIP, MMF_OOM_VICTIM } from "../../mm/mm-struct.ts";
import {
  mmapReadLockKillable,
  mmapReadTrylock,
  mmapReadUnlock,
  mmapWriteLock,
  mmapWriteUnlock,
} from "../../mm/mmap-lock.ts";
import { tlbFinishMmu, tlbGatherMmu } from "../../mm/mmu-gather.ts";
import { forward } from "../../mm/traversal/forward.ts";
import type { TraversalOrder } from "../../mm/traversal/order.ts";
import { reapVmas, unmapVmas } from "../../mm/unmap.ts";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP } from "../../mm/vma.ts";
import { RULES_MODERN } from "../../sync/rwsem.ts";
import { FINISH_TASK_REAPING, SKIP_TASK_REAPING, START_TASK_REAPING } from "../../trace/event.ts";
import { KILLER_V5_16 } from "../killer-rules.ts";
import { logReaped, traceReaping } from "../reaping-log.ts";
import type { Protocol } from "./protocol.ts";

const SKIP_VMAS = VM_LOCKED | VM_HUGETLB | VM_PFNMAP;

function* exitMmapV517(cpu: Cpu, mm: number): Steps<void> {
  if (yield* mmFlagSet(cpu, mm, MMF_OOM_VICTIM)) {
    yield* reapVmas(cpu, mm, forward, SKIP_VMAS);
    yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
  }
  yield* mmapWriteLock(cpu, mm);
  munlockVmas(cpu, mm);
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  // Leaves mm->mmap NULL: a late reaper walks an empty list.
  yield* removeVmas(cpu, mm);
  yield* mmapWriteUnlock(cpu, mm);
}

function* oomReapTaskMmV517(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
  if (!(yield* mmapReadTrylock(cpu, mm))) {
    traceReaping(cpu, SKIP_TASK_REAPING, mm);
    return false;
  }
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

/** Unlike the kthread it queues for the read lock; a fatal signal of its own ends that wait. */
function* mreleaseMmV517(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
  if (!(yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP))) yield* reapVmas(cpu, mm, order, SKIP_VMAS);
  yield* mmapReadUnlock(cpu, mm);
  return 0;
}

export const v517: Protocol = {
  name: "v5.17",
  commit: "64591e8605d6",
  solves: "process_mrelease for any killed process without pinning mm_users: all of exit_mmap under the write lock",
  vmaStore: VMAS_IN_LIST,
  rwsemRules: RULES_MODERN,
  order: "forward",
  hasMrelease: true,
  mreleaseSafe: true,
  reaperDelayUs: 0,
  killer: KILLER_V5_16,
  logEra: "v5.12",
  bugs: ["B23"],
  brokenOnPurpose: false,
  exitMmap: exitMmapV517,
  oomReapTaskMm: oomReapTaskMmV517,
  mreleaseMm: mreleaseMmV517,
};
