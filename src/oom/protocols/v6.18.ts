/**
 * v6.18 (5e1953dc71af, September 2025): mm/mmap.c exit_mmap, mm/oom_kill.c oom_reap_task_mm and process_mrelease.
 *
 * Locks and flags as in v6.1. New: the reaper walks the VMAs from the other end, so the two sides meet once instead
 * of walking through the same page tables. In v6.1 an mm without VMAs left early, later it passes through the
 * write-locked part as well; here it does in both. The kthread's finish event is traced on every try that started.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { EINTR } from "../../base/errno.ts";
import { freePgtables, removeVmas } from "../../mm/free-pgtables.ts";
import { VMAS_IN_TREE } from "../../mm/globals.ts";
import { mmFlagSet, setMmFlag } from "../../mm/mm.ts";
import { MMF_OOM_SKIP } from "../../mm/mm-struct.ts";
import {
  mmapReadLock,
  mmapReadLockKillable,
  mmapReadTrylock,
  mmapReadUnlock,
  mmapWriteLock,
  mmapWriteUnlock,
} from "../../mm/mmap-lock.ts";
import { tlbFinishMmu, tlbGatherMmu } from "../../mm/mmu-gather.ts";
import type { TraversalOrder } from "../../mm/traversal/order.ts";
import { reapVmas, unmapVmas } from "../../mm/unmap.ts";
import { VM_HUGETLB, VM_PFNMAP } from "../../mm/vma.ts";
import { RULES_MODERN } from "../../sync/rwsem.ts";
import { FINISH_TASK_REAPING, SKIP_TASK_REAPING, START_TASK_REAPING } from "../../trace/event.ts";
import { KILLER_V6_18 } from "../killer-rules.ts";
import { logReaped, traceReaping } from "../reaping-log.ts";
import { OOM_REAPER_DELAY_US, type Protocol } from "./protocol.ts";

const SKIP_VMAS = VM_HUGETLB | VM_PFNMAP;

function* exitMmapV618(cpu: Cpu, mm: number): Steps<void> {
  yield* mmapReadLock(cpu, mm);
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  yield* mmapReadUnlock(cpu, mm);
  yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
  yield* mmapWriteLock(cpu, mm);
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  yield* removeVmas(cpu, mm);
  yield* mmapWriteUnlock(cpu, mm);
}

function* oomReapTaskMmV618(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
  if (!(yield* mmapReadTrylock(cpu, mm))) {
    traceReaping(cpu, SKIP_TASK_REAPING, mm);
    return false;
  }
  if (yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP)) {
    traceReaping(cpu, SKIP_TASK_REAPING, mm);
  } else {
    traceReaping(cpu, START_TASK_REAPING, mm);
    yield* reapVmas(cpu, mm, order, SKIP_VMAS);
    logReaped(cpu, mm);
    traceReaping(cpu, FINISH_TASK_REAPING, mm);
  }
  yield* mmapReadUnlock(cpu, mm);
  return true;
}

/** Unlike the kthread it queues for the read lock; a fatal signal of its own ends that wait. */
function* mreleaseMmV618(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
  if (!(yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP))) yield* reapVmas(cpu, mm, order, SKIP_VMAS);
  yield* mmapReadUnlock(cpu, mm);
  return 0;
}

export const v618: Protocol = {
  name: "v6.18",
  commit: "5e1953dc71af",
  solves: "reaper and victim no longer contend for the same PTE locks: the reaper walks the VMAs in reverse",
  vmaStore: VMAS_IN_TREE,
  rwsemRules: RULES_MODERN,
  order: "reverse",
  hasMrelease: true,
  mreleaseSafe: true,
  reaperDelayUs: OOM_REAPER_DELAY_US,
  killer: KILLER_V6_18,
  logEra: "v6.8",
  bugs: [],
  brokenOnPurpose: false,
  exitMmap: exitMmapV618,
  oomReapTaskMm: oomReapTaskMmV618,
  mreleaseMm: mreleaseMmV618,
};
