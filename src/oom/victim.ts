/** Marking a victim (mm/oom_kill.c: mark_oom_victim, v6.18) and mmput_async (kernel/fork.c). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { cmpxchg, fetchAdd, load, store, xchg } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { mmgrab, mmTeardown, setMmFlag } from "../mm/mm.ts";
import { MMF_OOM_VICTIM, Mm } from "../mm/mm-struct.ts";
import { Signal } from "../task/signal.ts";
import { signalOf, Task, TaskGlobals, taskCommWords } from "../task/task.ts";
import { MARK_VICTIM } from "../trace/event.ts";
import { traceWords } from "../trace/ring.ts";
import { OomGlobals } from "./globals.ts";
import { pgtablesKib, rssKib, totalVmKib } from "./mm-kib.ts";

/**
 * `mark_oom_victim`: gives the task TIF_MEMDIE, once, pins its mm and marks it MMF_OOM_VICTIM (v4.15 to v6.0; other
 * protocols do not look). The caller holds task_lock, or the task is current.
 */
export function* markOomVictim(cpu: Cpu, task: number): Steps<void> {
  const mm = load(cpu, task + Task.mm);
  assert(mm !== 0, "markOomVictim: the task has no mm");
  if ((yield* xchg(cpu, task + Task.tifMemdie, 1)) !== 0) return;
  yield* fetchAdd(cpu, cpu.machine + TaskGlobals.oomVictims, 1);
  if ((yield* cmpxchg(cpu, signalOf(cpu, task) + Signal.oomMm, 0, mm)) === 0) {
    nameVictim(cpu, task, mm);
    yield* mmgrab(cpu, mm);
    yield* setMmFlag(cpu, mm, MMF_OOM_VICTIM);
  }
  if (cpu.trace !== 0) traceWords(cpu, MARK_VICTIM, markWords(cpu, task, mm));
}

/** Notes on the mm whom the reaper's messages shall name. */
function nameVictim(cpu: Cpu, task: number, mm: number): void {
  store(cpu, mm + Mm.oomPid, load(cpu, task + Task.pid));
  taskCommWords(cpu, task).forEach((word, i) => {
    store(cpu, mm + Mm.oomComm + i, word);
  });
}

/** The fields of mark_victim. */
function markWords(cpu: Cpu, task: number, mm: number): number[] {
  const signal = signalOf(cpu, task);
  return [
    load(cpu, task + Task.pid),
    ...taskCommWords(cpu, task),
    totalVmKib(cpu, mm),
    ...rssKib(cpu, mm),
    load(cpu, signal + Signal.uid),
    pgtablesKib(cpu, mm),
    cpu.words[signal + Signal.oomScoreAdj] as number,
  ];
}

/** `mmput_async`: like mmput, but the last user's teardown is left to a worker, so the reaper cannot get stuck in it. */
export function* mmputAsync(cpu: Cpu, mm: number): Steps<void> {
  const users = yield* fetchAdd(cpu, mm + Mm.mmUsers, -1);
  assert(users > 0, "mmputAsync: no user left");
  if (users > 1) return;
  const queued = yield* xchg(cpu, cpu.machine + OomGlobals.asyncMmput, mm);
  assert(queued === 0, "mmputAsync: a teardown is queued already");
}

/** The worker: tears down what `mmputAsync` queued, if anything. Returns whether it did. */
export function* runAsyncMmput(cpu: Cpu): Steps<boolean> {
  const mm = yield* xchg(cpu, cpu.machine + OomGlobals.asyncMmput, 0);
  if (mm === 0) return false;
  yield* mmTeardown(cpu, mm);
  return true;
}
