/**
 * What the CPUs of a race do. A role is one CPU's program from the start barrier on; everything before (building the
 * victim, killing it, finding its mm) is set up once, so that a clock started at the barrier measures the race alone.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, nowNs } from "../arena/mem.ts";
import { ESRCH } from "../base/errno.ts";
import { CpuMm, stamp } from "../mm/cpu-mm.ts";
import { mmapReadLock, mmapReadUnlock } from "../mm/mmap-lock.ts";
import { tlbFinishMmu, tlbGatherMmu } from "../mm/mmu-gather.ts";
import { unmapVmas } from "../mm/unmap.ts";
import { OomGlobals } from "../oom/globals.ts";
import { JIFFY_US } from "../oom/out-of-memory.ts";
import { mreleaseReap, processMrelease } from "../oom/process-mrelease.ts";
import { oomReapTask } from "../oom/reaper.ts";
import { oomReaper } from "../oom/reaper-queue.ts";
import { sleepOn, sleepUs } from "../sync/sleep.ts";
import { doExit } from "../task/exit.ts";
import { currentTask } from "../task/task.ts";
import { allocatorRoles } from "./allocator-roles.ts";
import { caseRoles } from "./case-roles.ts";
import { crowdBystanderRoles } from "./crowd-bystanders.ts";
import { crowdPressureRoles } from "./crowd-pressure.ts";
import { crowdVictimRoles } from "./crowd-victims.ts";
import { eventRoles } from "./event-roles.ts";
import { lockRoles } from "./lock-roles.ts";
import { taskRoles } from "./task-roles.ts";
import { findOrder, findProtocol } from "./variants.ts";

export { findOrder, findProtocol } from "./variants.ts";

/** The killed task exits; the last user of the mm tears it down. */
function* victim(cpu: Cpu, _params: Record<string, never>): Steps<void> {
  yield* doExit(cpu, currentTask(cpu));
  stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
}

/**
 * The victim's half of the race without what only it does: no exit, no freeing of tables and VMAs. The loop that
 * bench/native has in C, to be run beside it.
 */
function* unmapLoop(cpu: Cpu, params: { readonly mm: number }): Steps<void> {
  yield* mmapReadLock(cpu, params.mm);
  yield* tlbGatherMmu(cpu, params.mm);
  yield* unmapVmas(cpu, params.mm);
  yield* tlbFinishMmu(cpu);
  yield* mmapReadUnlock(cpu, params.mm);
  stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
}

export interface ReaperParams {
  readonly protocol: string;
  readonly order: string;
}

/** The second half of process_mrelease, on an mm that the set-up found and pinned. Returns its errno. */
function* mrelease(cpu: Cpu, params: ReaperParams & { readonly mm: number }): Steps<{ errno: number }> {
  const errno = yield* mreleaseReap(cpu, params.mm, findProtocol(params.protocol), findOrder(params.order));
  stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
  return { errno };
}

/** The reaper kthread, with this one victim on its queue. Returns how often it tried. */
function* kthread(cpu: Cpu, params: ReaperParams & { readonly task: number }): Steps<{ tries: number }> {
  const tries = yield* oomReapTask(cpu, params.task, findProtocol(params.protocol), findOrder(params.order));
  return { tries };
}

/** The reaper kthread with its queue, until `stopOomReaper`. Returns how many victims it took from the list. */
function* oomReaperKthread(cpu: Cpu, params: ReaperParams): Steps<{ reaped: number }> {
  return { reaped: yield* oomReaper(cpu, findProtocol(params.protocol), findOrder(params.order)) };
}

/** How soon a caller tries again: the event comes before the signal. */
const EVENT_LEAD_US = 10;

/**
 * A process that looks after others, as lmkd does: told of each kill by memory.events, it calls process_mrelease on all that
 * it has pidfds of (`processes`: task slots 0 and up) until the dead one answers, and goes on until the machine stops.
 * Returns how many calls reaped, and how many came too late (ESRCH).
 */
function* mreleaseCaller(
  cpu: Cpu,
  params: ReaperParams & { readonly processes: number },
): Steps<{ reaped: number; late: number }> {
  const protocol = findProtocol(params.protocol);
  const order = findOrder(params.order);
  const kills = cpu.machine + OomGlobals.oomKills;
  const answered = new Set<number>();
  let reaped = 0;
  for (;;) {
    const stop = yield* atomicLoad(cpu, cpu.machine + OomGlobals.oomReaperStop);
    const seen = yield* atomicLoad(cpu, kills);
    if (seen === answered.size) {
      if (stop !== 0) return { reaped, late: answered.size - reaped };
      yield* sleepOn(cpu, kills, seen, JIFFY_US);
      continue;
    }
    for (let slot = 0; slot < params.processes; slot++) {
      if (answered.has(slot)) continue;
      const errno = yield* processMrelease(cpu, slot, 0, protocol, order);
      if (errno === 0) {
        stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
        reaped++;
      }
      if (errno === 0 || errno === -ESRCH) answered.add(slot);
    }
    if (answered.size < seen) yield* sleepUs(cpu, EVENT_LEAD_US);
  }
}

/** Roles by the name that a trial calls them. */
export const roles = {
  victim,
  unmapLoop,
  mrelease,
  mreleaseCaller,
  kthread,
  oomReaperKthread,
  ...allocatorRoles,
  ...taskRoles,
  ...caseRoles,
  ...lockRoles,
  ...eventRoles,
  ...crowdVictimRoles,
  ...crowdBystanderRoles,
  ...crowdPressureRoles,
};
