/**
 * The OOM killer (mm/oom_kill.c: out_of_memory, oom_killer_disable; v6.18) and the allocator's way to it
 * (mm/page_alloc.c: __alloc_pages_may_oom).
 *
 * Left out: the notifier chain and __GFP_FS.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, NO_TIMEOUT, store } from "../arena/mem.ts";
import { ALL_NODES, policyNodemask } from "../mm/mempolicy.ts";
import { PageGlobals } from "../mm/page.ts";
import { anyZoneAbove, GFP_KERNEL } from "../mm/page-alloc.ts";
import { ALLOC_WMARK_HIGH } from "../mm/zone.ts";
import { mutexLock, mutexLockKillable, mutexTrylock, mutexUnlock } from "../sync/mutex.ts";
import { deadlineAfter, fatalSignalPending, leftUntil } from "../sync/park.ts";
import { sleepOn, sleepUs } from "../sync/sleep.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../task/signal.ts";
import { currentTask, signalOf, Task, TaskGlobals } from "../task/task.ts";
import { getTaskStruct } from "../task/tasklist.ts";
import { OOM_KILLER_SWITCHED, OOM_NOBODY } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { oomUnkillableTask } from "./badness.ts";
import { CONSTRAINT_NONE } from "./constraint.ts";
import { constrainedAlloc, oomCpusetEligible, pagesOfNodes } from "./domain.ts";
import { OOM_LOCK, OomGlobals } from "./globals.ts";
import { helpTaskToDie, markDying, oomKillProcess } from "./kill.ts";
import type { KillerRules } from "./killer-rules.ts";
import { CHOSEN_ABORT, OomControl, ORDER_SYSRQ } from "./oom-control.ts";
import { logInvoked } from "./oom-log.ts";
import { MESSAGE_ALLOCATING_TASK, MESSAGE_MEMCG, MESSAGE_OUT_OF_MEMORY } from "./oom-message.ts";
import { PANIC_COMPULSORY, PANIC_DEADLOCKED, PANIC_ON_OOM, panic } from "./panic.ts";
import type { Protocol } from "./protocols/protocol.ts";
import { watchChoice } from "./second-kill-watch.ts";
import { selectBadProcess } from "./select.ts";

/** HZ = 250. */
export const JIFFY_US = 4_000;

/** `panic_on_oom`: never; when all memory is short; whatever the domain. */
const PANIC_NEVER = 0;
const PANIC_ALWAYS = 2;

/** Word address of this CPU's `struct oom_control`, for a shortage that an allocation without a memory policy met. */
export function oomControl(cpu: Cpu, order: number, gfp: number): number {
  const oc = cpu.machine + OomGlobals.controls + cpu.id * OomControl.WORDS;
  cpu.words.fill(0, oc, oc + OomControl.WORDS);
  store(cpu, oc + OomControl.zonelist, load(cpu, cpu.machine + PageGlobals.zonesBase));
  store(cpu, oc + OomControl.gfp, gfp);
  store(cpu, oc + OomControl.order, order);
  store(cpu, oc + OomControl.totalpages, pagesOfNodes(cpu, ALL_NODES));
  return oc;
}

/** As `oomControl`, for an allocation of the current task under its policy. */
function* allocationControl(cpu: Cpu, order: number, gfp: number): Steps<number> {
  const oc = oomControl(cpu, order, gfp);
  store(cpu, oc + OomControl.nodemask, yield* policyNodemask(cpu));
  return oc;
}

/** As `oomControl`, for a memory group at its limit, wherever the pages would come from. */
export function memcgOomControl(cpu: Cpu, memcg: number, order: number): number {
  const oc = oomControl(cpu, order, 0);
  store(cpu, oc + OomControl.zonelist, 0);
  store(cpu, oc + OomControl.memcg, memcg);
  return oc;
}

/**
 * `__alloc_pages_may_oom`: true when the allocation shall be tried again. Who finds oom_lock taken sleeps a jiffy instead,
 * since somebody else is killing. The last look is at the high watermark, for what a kill has just given back.
 *
 * Who learns that a victim is on its way sleeps a jiffy as well, without the lock: it stands for the rounds of reclaim
 * (MAX_RECLAIM_RETRIES) between two looks, in which a kernel would not sit on oom_lock either.
 */
export function* allocPagesMayOom(cpu: Cpu, order: number, gfp: number, protocol: Protocol): Steps<boolean> {
  const lock = cpu.machine + OomGlobals.oomLock;
  if (!(yield* mutexTrylock(cpu, lock, OOM_LOCK))) {
    yield* sleepUs(cpu, JIFFY_US);
    return true;
  }
  const enough = yield* anyZoneAbove(cpu, order, ALLOC_WMARK_HIGH);
  const oc = yield* allocationControl(cpu, order, gfp);
  const retry = enough || (yield* outOfMemory(cpu, oc, protocol));
  yield* mutexUnlock(cpu, lock, OOM_LOCK);
  if (load(cpu, oc + OomControl.chosen) === CHOSEN_ABORT) yield* sleepUs(cpu, JIFFY_US);
  return retry;
}

/** `out_of_memory`: true when something was killed or is dying already. The caller holds oom_lock. */
export function* outOfMemory(cpu: Cpu, oc: number, protocol: Protocol): Steps<boolean> {
  if (load(cpu, cpu.machine + OomGlobals.oomKillerDisabled) !== 0) return false;
  const current = currentTask(cpu);
  if (current !== 0 && (yield* letCallerDie(cpu, current, protocol))) return true;
  yield* constrainedAlloc(cpu, oc);
  yield* checkPanicOnOom(cpu, oc);
  if (yield* mayKillCurrent(cpu, oc, current, protocol.killer)) {
    yield* getTaskStruct(cpu, current);
    store(cpu, oc + OomControl.chosen, current);
    yield* oomKillProcess(cpu, oc, MESSAGE_ALLOCATING_TASK, protocol);
    return true;
  }
  yield* selectBadProcess(cpu, oc, protocol.killer);
  const chosen = load(cpu, oc + OomControl.chosen);
  const memcg = load(cpu, oc + OomControl.memcg);
  if (chosen === 0) {
    logInvoked(cpu, oc);
    const fatal = load(cpu, oc + OomControl.order) !== ORDER_SYSRQ && memcg === 0;
    trace(cpu, OOM_NOBODY, fatal ? 1 : 0, 0);
    if (fatal) yield* panic(cpu, PANIC_DEADLOCKED);
    return false;
  }
  if (chosen === CHOSEN_ABORT) return true;
  if (load(cpu, oc + OomControl.order) !== ORDER_SYSRQ) watchChoice(cpu, chosen);
  yield* oomKillProcess(cpu, oc, memcg === 0 ? MESSAGE_OUT_OF_MEMORY : MESSAGE_MEMCG, protocol);
  if (protocol.killer.sleepsUnderOomLock) yield* sleepUs(cpu, JIFFY_US);
  return true;
}

/** A caller that is on its way out gets the reserves, and nobody is killed. */
function* letCallerDie(cpu: Cpu, current: number, protocol: Protocol): Steps<boolean> {
  if (yield* helpTaskToDie(cpu, current, protocol)) return true;
  if (!protocol.killer.killedCallerGoesOn || !(yield* fatalSignalPending(cpu))) return false;
  return yield* markDying(cpu, current, protocol);
}

/** `check_panic_on_oom` */
function* checkPanicOnOom(cpu: Cpu, oc: number): Steps<void> {
  const panicOnOom = load(cpu, cpu.machine + OomGlobals.panicOnOom);
  if (panicOnOom === PANIC_NEVER || load(cpu, oc + OomControl.order) === ORDER_SYSRQ) return;
  const always = panicOnOom === PANIC_ALWAYS;
  if (!always && load(cpu, oc + OomControl.constraint) !== CONSTRAINT_NONE) return;
  logInvoked(cpu, oc);
  yield* panic(cpu, always ? PANIC_COMPULSORY : PANIC_ON_OOM);
}

/** Whether `oom_kill_allocating_task` is set and the allocating task may be killed, and should. */
function* mayKillCurrent(cpu: Cpu, oc: number, current: number, rules: KillerRules): Steps<boolean> {
  if (load(cpu, cpu.machine + OomGlobals.oomKillAllocatingTask) === 0 || current === 0) return false;
  if (load(cpu, oc + OomControl.memcg) !== 0 || !(yield* oomCpusetEligible(cpu, oc, current, rules))) return false;
  if ((yield* oomUnkillableTask(cpu, current)) || (yield* atomicLoad(cpu, current + Task.mm)) === 0) return false;
  return (yield* atomicLoad(cpu, signalOf(cpu, current) + Signal.oomScoreAdj)) !== OOM_SCORE_ADJ_MIN;
}

/** SysRq-f (`moom_callback`): kills the worst process now, whoever is dying already. Whether there was one. */
export function* sysrqOomKill(cpu: Cpu, protocol: Protocol): Steps<boolean> {
  yield* mutexLock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  const killed = yield* outOfMemory(cpu, oomControl(cpu, ORDER_SYSRQ, GFP_KERNEL), protocol);
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
  trace(cpu, OOM_KILLER_SWITCHED, 0, 0);
  return true;
}

/** `oom_killer_enable` */
export function* oomKillerEnable(cpu: Cpu): Steps<void> {
  yield* mutexLock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  store(cpu, cpu.machine + OomGlobals.oomKillerDisabled, 0);
  yield* mutexUnlock(cpu, cpu.machine + OomGlobals.oomLock, OOM_LOCK);
  trace(cpu, OOM_KILLER_SWITCHED, 1, 0);
}
