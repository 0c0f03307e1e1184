/**
 * v4.17 (27ae357fa82b, May 2018, CVE-2018-1000200): mm/mmap.c exit_mmap, mm/oom_kill.c oom_reap_task_mm.
 *
 * Until then the victim's munlock cleared VM_LOCKED beside a reaper, which went by that very flag (B4). Now an OOM victim
 * first does the reaper's work itself, with no mmap_lock but under oom_lock, as the reaper does: the two take turns.
 * Then MMF_OOM_SKIP and the empty write-locked section of v4.14, and from there on, munlock included, it is alone.
 * Whether it is a victim is asked of the mm (MMF_OOM_VICTIM, 4837fe37adff, v4.15), so it does not matter who drops the
 * last mm_users (B3).
 *
 * The flaw (B15): the victim cannot free anything while somebody holds oom_lock, and whoever is inside the OOM killer
 * holds it, asleep for a jiffy to give the victim time. Locked and shared VMAs stay mapped until after MMF_OOM_SKIP.
 * v4.17 counts a try as done when MMF_OOM_SKIP was set meanwhile, which only changes what is printed.
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
import { mutexLock, mutexUnlock } from "../../sync/mutex.ts";
import { RULES_PRE_V5_3 } from "../../sync/rwsem.ts";
import { FINISH_TASK_REAPING, SKIP_TASK_REAPING, START_TASK_REAPING } from "../../trace/event.ts";
import { OOM_LOCK, OomGlobals } from "../globals.ts";
import { KILLER_V4_17 } from "../killer-rules.ts";
import { logReaped, traceReaping } from "../reaping-log.ts";
import type { Protocol } from "./protocol.ts";

const SKIP_VMAS = VM_LOCKED | VM_HUGETLB | VM_PFNMAP;

function* exitMmapV417(cpu: Cpu, mm: number): Steps<void> {
  if (yield* mmFlagSet(cpu, mm, MMF_OOM_VICTIM)) yield* reapMyself(cpu, mm);
  munlockVmas(cpu, mm);
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  yield* freePgtables(cpu, mm);
  yield* tlbFinishMmu(cpu);
  yield* removeVmas(cpu, mm);
}

/** The victim as its own reaper; after it no reaper is in the address space, and none comes. */
function* reapMyself(cpu: Cpu, mm: number): Steps<void> {
  yield* mutexLock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  yield* reapVmas(cpu, mm, forward, SKIP_VMAS);
  yield* mutexUnlock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
  yield* mmapWriteLock(cpu, mm);
  yield* mmapWriteUnlock(cpu, mm);
}

function* oomReapTaskMmV417(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean> {
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
function* mreleaseMmV417(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return -EINTR;
  yield* reapReadLocked(cpu, mm, order);
  return 0;
}

export const v417: Protocol = {
  name: "v4.17",
  commit: "27ae357fa82b",
  solves: "munlock no longer races with the reaper (B4): the victim reaps itself first, then is alone",
  vmaStore: VMAS_IN_LIST,
  rwsemRules: RULES_PRE_V5_3,
  order: "forward",
  hasMrelease: false,
  mreleaseSafe: false,
  reaperDelayUs: 0,
  killer: KILLER_V4_17,
  logEra: "v4.15",
  bugs: ["B15"],
  brokenOnPurpose: false,
  exitMmap: exitMmapV417,
  oomReapTaskMm: oomReapTaskMmV417,
  mreleaseMm: mreleaseMmV417,
};
