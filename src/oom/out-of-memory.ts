/**
 * The OOM killer (mm/oom_kill.c: out_of_memory, oom_killer_disable; v6.18) and the allocator's way to it
 * (mm/page_alloc.c: __alloc_pages_may_oom).
 *
 * Left out: the notifier chain, __GFP_FS, and domains smaller than the machine (memory policies, cpusets, memcgs).
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, load, NO_TIMEOUT, store } from "../arena/mem.ts";
import { Violation } from "../base/errors.ts";
import { PageGlobals } from "../mm/page.ts";
import { anyZoneAbove } from "../mm/page-alloc.ts";
import { ALLOC_WMARK_HIGH, Zone } from "../mm/zone.ts";
import { mutexLock, mutexLockKillable, mutexTrylock, mutexUnlock } from "../sync/mutex.ts";
import { deadlineAfter, leftUntil } from "../sync/park.ts";
import { sleepOn, sleepUs } from "../sync/sleep.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../task/signal.ts";
import { currentTask, signalOf, Task, TaskGlobals } from "../task/task.ts";
import { oomUnkillableTask } from "./badness.ts";
import { OOM_LOCK, OomGlobals } from "./globals.ts";
import { helpTaskToDie, oomKillProcess } from "./kill.ts";
import { CHOSEN_ABORT, OomControl, ORDER_SYSRQ } from "./oom-control.ts";
import type { Protocol } from "./protocols/protocol.ts";
import { watchChoice } from "./second-kill-watch.ts";
import { selectBadProcess } from "./select.ts";

/** HZ = 250. */
export const JIFFY_US = 4_000;

/** `panic_on_oom`: 2 panics whatever the domain; 1 does when all memory is short, which is the only domain here. */
const PANIC_NEVER = 0;

/** Word address of this CPU's `struct oom_control`, filled in for a shortage of all memory. */
export function oomControl(cpu: Cpu, order: number, gfp: number): number {
  const oc = cpu.machine + OomGlobals.controls + cpu.id * OomControl.WORDS;
  store(cpu, oc + OomControl.gfp, gfp);
  store(cpu, oc + OomControl.order, order);
  store(cpu, oc + OomControl.chosen, 0);
  store(cpu, oc + OomControl.totalpages, totalPages(cpu));
  return oc;
}

/** `constrained_alloc` without a constraint: all pages of the machine. */
function totalPages(cpu: Cpu): number {
  const zones = load(cpu, cpu.machine + PageGlobals.zonesBase);
  const count = load(cpu, cpu.machine + PageGlobals.zoneCount);
  let pages = 0;
  for (let i = 0; i < count; i++) pages += load(cpu, zones + i * Zone.WORDS + Zone.managedPages);
  return pages;
}

/**
 * `__alloc_pages_may_oom`: true when the allocation shall be tried again. Who finds oom_lock taken sleeps a jiffy instead,
 * since somebody else is killing. The last look is at the high watermark, for what a kill has just given back.
 */
export function* allocPagesMayOom(cpu: Cpu, order: number, gfp: number, protocol: Protocol): Steps<boolean> {
  const lock = cpu.machine + OomGlobals.oomLock;
  if (!(yield* mutexTrylock(cpu, lock, OOM_LOCK))) {
    yield* sleepUs(cpu, JIFFY_US);
    return true;
  }
  const enough = yield* anyZoneAbove(cpu, order, ALLOC_WMARK_HIGH);
  const retry = enough || (yield* outOfMemory(cpu, oomControl(cpu, order, gfp), protocol));
  yield* mutexUnlock(cpu, lock, OOM_LOCK);
  return retry;
}

/** `out_of_memory`: true when something was killed or is dying already. The caller holds oom_lock. */
export function* outOfMemory(cpu: Cpu, oc: number, protocol: Protocol): Steps<boolean> {
  if (load(cpu, cpu.machine + OomGlobals.oomKillerDisabled) !== 0) return false;
  const current = currentTask(cpu);
  if (current !== 0 && (yield* helpTaskToDie(cpu, current, protocol))) return true;
  const sysrq = load(cpu, oc + OomControl.order) === ORDER_SYSRQ;
  if (!sysrq && load(cpu, cpu.machine + OomGlobals.panicOnOom) !== PANIC_NEVER) {
    yield* panic(cpu, "Out of memory: system-wide panic_on_oom is enabled");
  }
  if (yield* mayKillCurrent(cpu, current)) {
    store(cpu, oc + OomControl.chosen, current);
    yield* oomKillProcess(cpu, current, protocol);
    return true;
  }
  yield* selectBadProcess(cpu, oc, protocol.killer);
  const chosen = load(cpu, oc + OomControl.chosen);
  if (chosen === 0) {
    if (!sysrq) yield* panic(cpu, "System is deadlocked on memory");
    return false;
  }
  if (chosen === CHOSEN_ABORT) return true;
  if (!sysrq) watchChoice(cpu, chosen);
  yield* oomKillProcess(cpu, chosen, protocol);
  if (protocol.killer.sleepsUnderOomLock) yield* sleepUs(cpu, JIFFY_US);
  return true;
}

/** Whether `oom_kill_allocating_task` is set and the allocating task may be killed. */
function* mayKillCurrent(cpu: Cpu, current: number): Steps<boolean> {
  if (load(cpu, cpu.machine + OomGlobals.oomKillAllocatingTask) === 0 || current === 0) return false;
  if ((yield* oomUnkillableTask(cpu, current)) || (yield* atomicLoad(cpu, current + Task.mm)) === 0) return false;
  return (yield* atomicLoad(cpu, signalOf(cpu, current) + Signal.oomScoreAdj)) !== OOM_SCORE_ADJ_MIN;
}

/** `panic`: the machine's end. It is noted in the arena, and ends the run as a finding. */
function* panic(cpu: Cpu, reason: string): Steps<void> {
  yield* atomicStore(cpu, cpu.machine + OomGlobals.panicked, 1);
  throw new Violation("panic", `Kernel panic - not syncing: ${reason}`);
}

/** SysRq-f (`moom_callback`): kills the worst process now, whoever is dying already. Whether there was one. */
export function* sysrqOomKill(cpu: Cpu, protocol: Protocol): Steps<boolean> {
  yield* mutexLock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  const killed = yield* outOfMemory(cpu, oomControl(cpu, ORDER_SYSRQ, 0), protocol);
  yield* mutexUnlock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  return killed;
}

/**
 * `oom_killer_disable`: no kill from now on, and no victim left; false, with the killer enabled again, when a fatal signal
 * came first or a victim outlives the timeout (emulated microseconds).
 */
export function* oomKillerDisable(cpu: Cpu, timeoutUs: number): Steps<boolean> {
  if (!(yield* mutexLockKillable(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK))) return false;
  store(cpu, cpu.machine + OomGlobals.oomKillerDisabled, 1);
  yield* mutexUnlock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  const victims = cpu.machine + TaskGlobals.oomVictims;
  const deadline = deadlineAfter(cpu, timeoutUs);
  for (let left = yield* atomicLoad(cpu, victims); left !== 0; left = yield* atomicLoad(cpu, victims)) {
    const rest = leftUntil(cpu, deadline);
    if (rest !== NO_TIMEOUT && rest <= 0) {
      yield* oomKillerEnable(cpu);
      return false;
    }
    yield* sleepOn(cpu, victims, left, rest);
  }
  return true;
}

/** `oom_killer_enable` */
export function* oomKillerEnable(cpu: Cpu): Steps<void> {
  yield* mutexLock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  store(cpu, cpu.machine + OomGlobals.oomKillerDisabled, 0);
  yield* mutexUnlock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
}
