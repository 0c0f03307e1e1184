/** Memory groups at their limit (mm/memcontrol.c: mem_cgroup_oom, mem_cgroup_out_of_memory; v6.6). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad } from "../arena/mem.ts";
import { Memcg, memcgEvent, memcgMargin } from "../mm/memcg.ts";
import { CHARGE_FAIL, CHARGE_FORCE, CHARGE_RETRY } from "../mm/memcg-charge.ts";
import { PAGE_ALLOC_COSTLY_ORDER } from "../mm/pcp.ts";
import { mutexLockKillable, mutexUnlock } from "../sync/mutex.ts";
import { fatalSignalPending } from "../sync/park.ts";
import { sleepUs } from "../sync/sleep.ts";
import { currentTask, PF_EXITING, Task, tskIsOomVictim } from "../task/task.ts";
import { OOM_LOCK, OomGlobals } from "./globals.ts";
import { JIFFY_US, memcgOomControl, outOfMemory } from "./out-of-memory.ts";
import type { Protocol } from "./protocols/protocol.ts";

/**
 * What becomes of a charge of 2^order pages that `memcg` has no room for. The sixteen rounds of reclaim that the kernel
 * tries between two calls of the OOM killer find nothing here; a jiffy's sleep stands for them.
 */
export function* memcgChargeFailed(
  cpu: Cpu,
  memcg: number,
  order: number,
  passedOom: boolean,
  protocol: Protocol,
): Steps<number> {
  if (yield* taskIsDying(cpu)) {
    if (protocol.killer.dyingExceedLimit) return CHARGE_FORCE;
    if (passedOom) return CHARGE_FAIL;
  }
  if (order > PAGE_ALLOC_COSTLY_ORDER) return CHARGE_FAIL;
  yield* memcgEvent(cpu, memcg, Memcg.eventsOom);
  if (!(yield* memCgroupOutOfMemory(cpu, memcg, order, protocol))) return CHARGE_FAIL;
  yield* sleepUs(cpu, JIFFY_US);
  return CHARGE_RETRY;
}

/** `mem_cgroup_out_of_memory`: true when the charge shall be tried again. */
function* memCgroupOutOfMemory(cpu: Cpu, memcg: number, order: number, protocol: Protocol): Steps<boolean> {
  const lock = cpu.machine + OomGlobals.oomLock;
  if (!(yield* mutexLockKillable(cpu, lock, OOM_LOCK))) return true;
  const room = (yield* memcgMargin(cpu, memcg)) >= 1 << order;
  const retry =
    room || (yield* taskIsDying(cpu)) || (yield* outOfMemory(cpu, memcgOomControl(cpu, memcg, order), protocol));
  yield* mutexUnlock(cpu, lock, OOM_LOCK);
  return retry;
}

/** `task_is_dying`, of the task that runs here. */
function* taskIsDying(cpu: Cpu): Steps<boolean> {
  const current = currentTask(cpu);
  if (current === 0) return false;
  if ((yield* tskIsOomVictim(cpu, current)) || (yield* fatalSignalPending(cpu))) return true;
  return ((yield* atomicLoad(cpu, current + Task.flags)) & PF_EXITING) !== 0;
}
