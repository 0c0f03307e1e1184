/** Killing the chosen process (mm/oom_kill.c: oom_kill_process, __oom_kill_process; v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchAdd, load } from "../arena/mem.ts";
import { mmdrop, mmgrab, setMmFlag } from "../mm/mm.ts";
import { MMF_OOM_SKIP } from "../mm/mm-struct.ts";
import {
  findLockThread,
  killTask,
  signalOf,
  Task,
  taskAt,
  taskCount,
  taskUnlock,
  taskWillFreeMem,
} from "../task/task.ts";
import { isGlobalInit, isKthread } from "./badness.ts";
import { OomGlobals } from "./globals.ts";
import type { Protocol } from "./protocols/protocol.ts";
import { queueOomReaper } from "./reaper-queue.ts";
import { isProcess } from "./select.ts";
import { markOomVictim } from "./victim.ts";

/** A process on its way out is marked and queued, without a signal or a log line: true when `task` was one. */
export function* helpTaskToDie(cpu: Cpu, task: number, protocol: Protocol): Steps<boolean> {
  const thread = yield* findLockThread(cpu, task);
  if (thread === 0) return false;
  const dying = yield* taskWillFreeMem(cpu, thread, load(cpu, thread + Task.mm));
  if (dying) {
    yield* markOomVictim(cpu, thread);
    yield* queueOomReaper(cpu, task, protocol);
  }
  yield* taskUnlock(cpu, thread);
  return dying;
}

/** `oom_kill_process`. The caller holds oom_lock. */
export function* oomKillProcess(cpu: Cpu, victim: number, protocol: Protocol): Steps<void> {
  if (!(yield* helpTaskToDie(cpu, victim, protocol))) yield* killAndQueue(cpu, victim, protocol);
}

/**
 * `__oom_kill_process`: SIGKILL first, so that a victim cannot use the reserves at leisure, then the mark; then every other
 * process with the same mm. Nothing happens to a task that has let go of its mm meanwhile.
 */
function* killAndQueue(cpu: Cpu, victim: number, protocol: Protocol): Steps<void> {
  const thread = yield* findLockThread(cpu, victim);
  if (thread === 0) return;
  const mm = load(cpu, thread + Task.mm);
  yield* mmgrab(cpu, mm);
  yield* fetchAdd(cpu, cpu.machine + OomGlobals.oomKills, 1);
  yield* killTask(cpu, victim);
  yield* markOomVictim(cpu, thread);
  yield* taskUnlock(cpu, thread);
  if (yield* killSharers(cpu, victim, mm)) yield* queueOomReaper(cpu, victim, protocol);
  yield* mmdrop(cpu, mm);
}

/** Kills whoever shares the mm; false when it must not be reaped, because the global init does and stays alive. */
function* killSharers(cpu: Cpu, victim: number, mm: number): Steps<boolean> {
  let mayReap = true;
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    if (!isProcess(cpu, task) || signalOf(cpu, task) === signalOf(cpu, victim)) continue;
    if ((yield* atomicLoad(cpu, task + Task.mm)) !== mm) continue;
    if (isGlobalInit(cpu, task)) {
      mayReap = false;
      yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
    } else if (!(yield* isKthread(cpu, task))) yield* killTask(cpu, task);
  }
  return mayReap;
}
