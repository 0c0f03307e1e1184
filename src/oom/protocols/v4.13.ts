/**
 * v4.13 (26db62f179d1 and what followed until September 2017): mm/oom_kill.c __oom_reap_task_mm, mm/mmap.c exit_mmap,
 * kernel/fork.c __mmput.
 *
 * Exclusion is mm_users alone. The reaper works only while it can pin the address space; once the victim dropped the
 * last user, exit_mmap runs without any lock, because nobody else can be there. The flaw (B1): the reaper then
 * answers "done" and its caller sets MMF_OOM_SKIP although the memory may not be free for long.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { EINTR, ESRCH } from "../../base/errno.ts";
import { freePgtables, removeVmas } from "../../mm/free-pgtables.ts";
import { VMAS_IN_LIST } from "../../mm/globals.ts";
import { mmgetNotZero, mmput, setMmFlag } from "../../mm/mm.ts";
import { MMF_OOM_SKIP } from "../../mm/mm-struct.ts";
import { mmapReadLockKillable, mmapReadTrylock, mmapReadUnlock } from "../../mm/mmap-lock.ts";
import { tlbFinishMmu, tlbGatherMmu } from "../../mm/mmu-gather.ts";
import type { TraversalOrder } from "../../mm/traversal/order.ts";
import { reapVmas, unmapVmas } from "../../mm/unmap.ts";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP } from "../../mm/vma.ts";
import { mutexLock, mutexUnlock } from "../../sync/mutex.ts";
import { RULES_PRE_V5_3 } from "../../sync/rwsem.ts";
import { FINISH_TASK_REAPING, SKIP_TASK_REAPING, START_TASK_REAPING } from "../../trace/event.ts";
import { OOM_LOCK, OomGlobals } from "../globals.ts";
import { KILLER_V4_9 } from "../killer-rules.ts";
import { logReaped, traceReaping } from "../reaping-log.ts";
import { mmputAsync } from "../victim.ts";
import type { Protocol } from "./protocol.ts";

const SKIP_VMAS = VM_LOCKED | VM_HUGETLB | VM_PFNMAP;

function* exitMmapV413(cpu: Cpu, mm: number): Steps<void> {
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  yield* removeVmas(cpu, mm);
  // __mmput does this after exit_mmap, just before its mmdrop.
  yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
}

function* oomReapTaskMmV413(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
  yield* mutexLock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  const done = yield* reapUnderOomLock(cpu, mm, order);
  yield* mutexUnlock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  return done;
}

function* reapUnderOomLock(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
  if (!(yield* mmapReadTrylock(cpu, mm))) {
    traceReaping(cpu, SKIP_TASK_REAPING, mm);
    return false;
  }
  if (!(yield* mmgetNotZero(cpu, mm))) {
    yield* mmapReadUnlock(cpu, mm);
    traceReaping(cpu, SKIP_TASK_REAPING, mm);
    return true;
  }
  traceReaping(cpu, START_TASK_REAPING, mm);
  yield* reapVmas(cpu, mm, order, SKIP_VMAS);
  logReaped(cpu, mm);
  yield* mmapReadUnlock(cpu, mm);
  traceReaping(cpu, FINISH_TASK_REAPING, mm);
  yield* mmputAsync(cpu, mm);
  return true;
}

/** Hypothetical: the pin by mm_users that the first process_mrelease (v5.15) used. */
function* mreleaseMmV413(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmgetNotZero(cpu, mm))) return -ESRCH;
  const locked = yield* mmapReadLockKillable(cpu, mm);
  if (locked) {
    yield* reapVmas(cpu, mm, order, SKIP_VMAS);
    yield* mmapReadUnlock(cpu, mm);
  }
  yield* mmput(cpu, mm);
  return locked ? 0 : -EINTR;
}

export const v413: Protocol = {
  name: "v4.13",
  commit: "26db62f179d1",
  solves: "keeps the victim's mm reachable for the reaper after the victim let go of it",
  vmaStore: VMAS_IN_LIST,
  rwsemRules: RULES_PRE_V5_3,
  order: "forward",
  hasMrelease: false,
  mreleaseSafe: true,
  reaperDelayUs: 0,
  killer: KILLER_V4_9,
  logEra: "v4.13",
  bugs: ["B1"],
  brokenOnPurpose: false,
  exitMmap: exitMmapV413,
  oomReapTaskMm: oomReapTaskMmV413,
  mreleaseMm: mreleaseMmV413,
};
