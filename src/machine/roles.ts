/**
 * What the CPUs of a race do. A role is one CPU's program from the start barrier on; everything before (building the
 * victim, killing it, finding its mm) is set up once, so that a clock started at the barrier measures the race alone.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { nowNs, nowUs } from "../arena/mem.ts";
import { CpuMm, stamp } from "../mm/cpu-mm.ts";
import { mmapReadLock, mmapReadUnlock } from "../mm/mmap-lock.ts";
import { tlbFinishMmu, tlbGatherMmu } from "../mm/mmu-gather.ts";
import { allocPages, GFP_KERNEL } from "../mm/page-alloc.ts";
import { unmapVmas } from "../mm/unmap.ts";
import { mreleaseReap } from "../oom/process-mrelease.ts";
import { oomReapTask } from "../oom/reaper.ts";
import { oomReaper } from "../oom/reaper-queue.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { sleepUs } from "../sync/sleep.ts";
import { doExit } from "../task/exit.ts";
import { currentTask } from "../task/task.ts";
import { ALLOC_STALL_BEGIN, ALLOC_STALL_END } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { crowdBystanderRoles } from "./crowd-bystanders.ts";
import { crowdPressureRoles } from "./crowd-pressure.ts";
import { crowdVictimRoles } from "./crowd-victims.ts";
import { chainPage, putPageChain } from "./page-chain.ts";
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

/** Plain data, as every role's result. */
export type AllocatorResult = {
  readonly allocated: number;
  /** How long each allocation took that the watermarks refused at first, in emulated microseconds. */
  readonly stallsUs: readonly number[];
};

/** One jiffy (HZ = 250): how long a stalled allocation sleeps before it looks again. */
const ALLOC_RETRY_US = 4_000;

/** Allocates `pages` pages, sleeping whenever the watermarks refuse, then gives them all back. */
function* allocator(cpu: Cpu, params: { readonly pages: number }): Steps<AllocatorResult> {
  const stallsUs: number[] = [];
  let chain = 0;
  for (let got = 0; got < params.pages; ) {
    const since = nowUs(cpu);
    let pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
    if (pfn === 0) {
      trace(cpu, ALLOC_STALL_BEGIN, 0, got);
      while (pfn === 0) {
        yield* sleepUs(cpu, ALLOC_RETRY_US);
        pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
      }
      trace(cpu, ALLOC_STALL_END, 0, got);
      stallsUs.push(nowUs(cpu) - since);
    }
    chain = chainPage(cpu, pfn, chain);
    got++;
    noteProgress(cpu);
  }
  yield* putPageChain(cpu, chain);
  stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
  return { allocated: params.pages, stallsUs };
}

/** Roles by the name that a trial calls them. */
export const roles = {
  victim,
  unmapLoop,
  mrelease,
  kthread,
  oomReaperKthread,
  allocator,
  ...taskRoles,
  ...crowdVictimRoles,
  ...crowdBystanderRoles,
  ...crowdPressureRoles,
};
