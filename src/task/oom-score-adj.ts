/** Writing /proc/PID/oom_score_adj (fs/proc/base.c: __set_oom_adj; v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, load } from "../arena/mem.ts";
import { EINVAL } from "../base/errno.ts";
import { mmdrop, mmgrab } from "../mm/mm.ts";
import { Mm } from "../mm/mm-struct.ts";
import { lockClass } from "../sync/lock-class.ts";
import { mutexLock, mutexUnlock } from "../sync/mutex.ts";
import { spinLock } from "../sync/spinlock.ts";
import { OOM_SCORE_ADJ_UPDATE } from "../trace/event.ts";
import { traceWords } from "../trace/ring.ts";
import { OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MIN, Signal } from "./signal.ts";
import {
  ALLOC_LOCK,
  findLockTaskMm,
  GLOBAL_INIT_PID,
  PF_KTHREAD,
  sharesMm,
  signalOf,
  Task,
  TaskGlobals,
  taskAt,
  taskCommWords,
  taskCount,
  tasklistReadLock,
  tasklistReadUnlock,
  taskUnlock,
} from "./task.ts";

const OOM_ADJ_MUTEX = lockClass("oom_adj_mutex", "mutex");

/**
 * Sets the score adjustment of a process, and of every other one that shares its address space, as they can only be
 * killed together; a child in vfork may differ, since it is about to exec. Returns 0 or -EINVAL.
 */
export function* setOomScoreAdj(cpu: Cpu, task: number, adj: number): Steps<number> {
  if (!(adj >= OOM_SCORE_ADJ_MIN && adj <= OOM_SCORE_ADJ_MAX)) return -EINVAL;
  yield* mutexLock(cpu, cpu.machine + TaskGlobals.oomAdjMutex, OOM_ADJ_MUTEX);
  const mm = yield* pinSharedMm(cpu, task);
  yield* atomicStore(cpu, signalOf(cpu, task) + Signal.oomScoreAdj, adj);
  if (cpu.trace !== 0) {
    traceWords(cpu, OOM_SCORE_ADJ_UPDATE, [load(cpu, task + Task.pid), ...taskCommWords(cpu, task), adj]);
  }
  if (mm !== 0) {
    yield* setForSharers(cpu, task, mm, adj);
    yield* mmdrop(cpu, mm);
  }
  yield* mutexUnlock(cpu, cpu.machine + TaskGlobals.oomAdjMutex, OOM_ADJ_MUTEX);
  return 0;
}

/** The task's mm with its struct pinned, if others may share it; else 0. */
function* pinSharedMm(cpu: Cpu, task: number): Steps<number> {
  const mm = yield* findLockTaskMm(cpu, task);
  if (mm === 0) return 0;
  const shared = load(cpu, task + Task.vforkDone) === 0 && (yield* atomicLoad(cpu, mm + Mm.mmUsers)) > 1;
  if (shared) yield* mmgrab(cpu, mm);
  yield* taskUnlock(cpu, task);
  return shared ? mm : 0;
}

function* setForSharers(cpu: Cpu, task: number, mm: number, adj: number): Steps<void> {
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const other = taskAt(cpu, index);
    if (load(cpu, other + Task.pid) === 0 || signalOf(cpu, other) === signalOf(cpu, task)) continue;
    if ((load(cpu, other + Task.flags) & PF_KTHREAD) !== 0) continue;
    if (load(cpu, signalOf(cpu, other) + Signal.tgid) === GLOBAL_INIT_PID) continue;
    yield* spinLock(cpu, other + Task.allocLock, ALLOC_LOCK);
    const shares = load(cpu, other + Task.vforkDone) === 0 && (yield* sharesMm(cpu, other, mm));
    if (shares) yield* atomicStore(cpu, signalOf(cpu, other) + Signal.oomScoreAdj, adj);
    yield* taskUnlock(cpu, other);
  }
  yield* tasklistReadUnlock(cpu);
}
