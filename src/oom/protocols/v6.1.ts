/**
 * v6.1 (bf3980c85212 and b3541d912a84, 2022): mm/mmap.c exit_mmap, mm/oom_kill.c oom_reap_task_mm and
 * process_mrelease. Still the shape of today.
 *
 * The victim unmaps under the read lock, like the reaper, so both may run at once. It then publishes MMF_OOM_SKIP and
 * takes the write lock for what changes the tree and the page tables. A reaper holds the read lock while it walks, so
 * the write lock waits for it; one that comes later sees MMF_OOM_SKIP, which every exiting mm gets.
 * Pages still in the victim's gather are freed under the write lock.
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
import { KILLER_V5_16 } from "../killer-rules.ts";
import { logReaped, traceReaping } from "../reaping-log.ts";
import { OOM_REAPER_DELAY_US, type Protocol } from "./protocol.ts";

const SKIP_VMAS = VM_HUGETLB | VM_PFNMAP;

function* exitMmapV61(cpu: Cpu, mm: number): Steps<void> {
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

function* oomReapTaskMmV61(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
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
function* mreleaseMmV61(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
  if (!(yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP))) yield* reapVmas(cpu, mm, order, SKIP_VMAS);
  yield* mmapReadUnlock(cpu, mm);
  return 0;
}

export const v61: Protocol = {
  name: "v6.1",
  commit: "bf3980c85212",
  solves: "one protocol for every exiting mm: no special case for OOM victims, process_mrelease included",
  vmaStore: VMAS_IN_TREE,
  rwsemRules: RULES_MODERN,
  order: "forward",
  hasMrelease: true,
  mreleaseSafe: true,
  reaperDelayUs: OOM_REAPER_DELAY_US,
  killer: KILLER_V5_16,
  logEra: "v5.12",
  bugs: [],
  brokenOnPurpose: false,
  exitMmap: exitMmapV61,
  oomReapTaskMm: oomReapTaskMmV61,
  mreleaseMm: mreleaseMmV61,
};
