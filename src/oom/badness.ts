/** How much killing a process would help (mm/oom_kill.c: oom_badness, oom_unkillable_task; v4.6 to v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, racyLoad } from "../arena/mem.ts";
import { mmFlagSet } from "../mm/mm.ts";
import {
  MM_ANONPAGES,
  MM_FILEPAGES,
  MM_SHMEMPAGES,
  MM_SWAPENTS,
  MMF_OOM_SKIP,
  Mm,
  TABLE_BYTES,
} from "../mm/mm-struct.ts";
import { inVfork } from "../task/fork.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../task/signal.ts";
import {
  findLockThread,
  PF_KTHREAD,
  signalOf,
  Task,
  tasklistReadLock,
  tasklistReadUnlock,
  taskUnlock,
} from "../task/task.ts";
import type { KillerRules } from "./killer-rules.ts";

/** LONG_MIN of the kernel: must not be killed. */
export const INELIGIBLE = -(2 ** 31);
/** LONG_MAX: of who is to go first. */
export const MOST_POINTS = 2 ** 31 - 1;

const GLOBAL_INIT_TGID = 1;
/** Divisor of oom_score_adj. */
const ADJ_SCALE = 1000;
/** Part of its pages that CAP_SYS_ADMIN made up for. */
const ADMIN_PERCENT = 3;

export function isGlobalInit(cpu: Cpu, task: number): boolean {
  return load(cpu, signalOf(cpu, task) + Signal.tgid) === GLOBAL_INIT_TGID;
}

export function* isKthread(cpu: Cpu, task: number): Steps<boolean> {
  return ((yield* atomicLoad(cpu, task + Task.flags)) & PF_KTHREAD) !== 0;
}

/** `oom_unkillable_task`: the global init or a kthread. */
export function* oomUnkillableTask(cpu: Cpu, task: number): Steps<boolean> {
  return isGlobalInit(cpu, task) || (yield* isKthread(cpu, task));
}

/**
 * `oom_badness`: pages that the process holds, moved by its oom_score_adj; INELIGIBLE when it must not be killed.
 * `totalpages` is the size of the OOM domain. Unsigned kernels never go below one point.
 */
export function* oomBadness(cpu: Cpu, task: number, totalpages: number, rules: KillerRules): Steps<number> {
  if (yield* oomUnkillableTask(cpu, task)) return INELIGIBLE;
  const thread = yield* findLockThread(cpu, task);
  if (thread === 0) return INELIGIBLE;
  const points = yield* mmPoints(cpu, thread, load(cpu, thread + Task.mm), totalpages, rules);
  yield* taskUnlock(cpu, thread);
  return points === INELIGIBLE || rules.signedBadness ? points : Math.max(1, points);
}

/** The caller holds task_lock, so the mm stays. */
function* mmPoints(cpu: Cpu, task: number, mm: number, totalpages: number, rules: KillerRules): Steps<number> {
  const adj = yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomScoreAdj);
  if (adj === OOM_SCORE_ADJ_MIN) return INELIGIBLE;
  if (rules.knowsHidden && (yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP))) return INELIGIBLE;
  if (rules.skipsVfork && (yield* borrowsItsMm(cpu, task))) return INELIGIBLE;
  // Unsigned: from 512 GiB on, tables take more than 2 GiB.
  let points = Math.floor(((yield* atomicLoad(cpu, mm + Mm.pgtablesBytes)) >>> 0) / TABLE_BYTES);
  for (const kind of [MM_FILEPAGES, MM_ANONPAGES, MM_SHMEMPAGES, MM_SWAPENTS]) {
    points += Math.max(0, yield* atomicLoad(cpu, mm + Mm.rss + kind));
  }
  if (rules.adminBonus && load(cpu, signalOf(cpu, task) + Signal.capSysAdmin) === 1) {
    points -= Math.floor((points * ADMIN_PERCENT) / 100);
  }
  return points + adj * Math.floor(totalpages / ADJ_SCALE);
}

/** `in_vfork`; asks for tasklist_lock only where there is something to ask. */
function* borrowsItsMm(cpu: Cpu, task: number): Steps<boolean> {
  if (racyLoad(cpu, task + Task.vforkDone) === 0) return false;
  yield* tasklistReadLock(cpu);
  const borrows = yield* inVfork(cpu, task);
  yield* tasklistReadUnlock(cpu);
  return borrows;
}
