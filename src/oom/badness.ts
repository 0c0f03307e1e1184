/** How much killing a process would help (mm/oom_kill.c: oom_badness, oom_unkillable_task; v4.9 to v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load } from "../arena/mem.ts";
import {
  MM_ANONPAGES,
  MM_FILEPAGES,
  MM_SHMEMPAGES,
  MM_SWAPENTS,
  MMF_OOM_SKIP,
  Mm,
  TABLE_BYTES,
} from "../mm/mm-struct.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../task/signal.ts";
import { findLockThread, PF_KTHREAD, signalOf, Task, taskUnlock } from "../task/task.ts";
import type { KillerRules } from "./killer-rules.ts";

/** LONG_MIN of the kernel: must not be killed. */
export const INELIGIBLE = -(2 ** 31);

const GLOBAL_INIT_TGID = 1;
/** Divisor of oom_score_adj. */
const ADJ_SCALE = 1000;

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
  const points = yield* mmPoints(cpu, task, load(cpu, thread + Task.mm), totalpages);
  yield* taskUnlock(cpu, thread);
  return points === INELIGIBLE || rules.signedBadness ? points : Math.max(1, points);
}

/** The caller holds task_lock, so the mm stays. */
function* mmPoints(cpu: Cpu, task: number, mm: number, totalpages: number): Steps<number> {
  const adj = yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomScoreAdj);
  if (adj === OOM_SCORE_ADJ_MIN || ((yield* atomicLoad(cpu, mm + Mm.flags)) & MMF_OOM_SKIP) !== 0) return INELIGIBLE;
  let points = Math.floor((yield* atomicLoad(cpu, mm + Mm.pgtablesBytes)) / TABLE_BYTES);
  for (const kind of [MM_FILEPAGES, MM_ANONPAGES, MM_SHMEMPAGES, MM_SWAPENTS]) {
    points += Math.max(0, yield* atomicLoad(cpu, mm + Mm.rss + kind));
  }
  return points + adj * Math.floor(totalpages / ADJ_SCALE);
}
