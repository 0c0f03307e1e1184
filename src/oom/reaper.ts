/** The reaper kthread's work on one victim (mm/oom_kill.c: oom_reap_task, v6.18). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, nowNs, racyLoad } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { CpuMm, stamp } from "../mm/cpu-mm.ts";
import { mmFlagSet, setMmFlag } from "../mm/mm.ts";
import { MMF_OOM_SKIP } from "../mm/mm-struct.ts";
import type { TraversalOrder } from "../mm/traversal/order.ts";
import { sleepUs } from "../sync/sleep.ts";
import { Signal } from "../task/signal.ts";
import { signalOf, Task } from "../task/task.ts";
import { WAKE_REAPER } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import type { Protocol } from "./protocols/protocol.ts";
import { logUnableToReap } from "./reaping-log.ts";
import { noteFailedTry } from "./second-kill-watch.ts";
import { runAsyncMmput } from "./victim.ts";

/** Tries before the reaper gives up on a victim. */
export const MAX_OOM_REAP_RETRIES = 10;
/** Pause between tries: HZ / 10. */
export const REAP_RETRY_US = 100_000;

/**
 * Queueing and reaping of one OOM victim in one: waits out the protocol's delay, then tries up to ten times, then sets MMF_OOM_SKIP whatever
 * came of it. Returns the number of tries, 0 when the victim was done before the delay was over.
 */
export function* oomReapTask(cpu: Cpu, task: number, protocol: Protocol, order: TraversalOrder): Steps<number> {
  const mm = yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomMm);
  assert(mm !== 0, "oomReapTask: the task is no OOM victim");
  if (protocol.reaperDelayUs > 0) {
    yield* sleepUs(cpu, protocol.reaperDelayUs);
    if (yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP)) return 0;
  }
  trace(cpu, WAKE_REAPER, racyLoad(cpu, task + Task.pid), 0);
  return yield* reapVictim(cpu, mm, protocol, order);
}

/** `oom_reap_task`: as `oomReapTask`, for the mm of a victim that came off the queue, whose delay is over. */
export function* reapVictim(cpu: Cpu, mm: number, protocol: Protocol, order: TraversalOrder): Steps<number> {
  let tries = 1;
  while (!(yield* protocol.oomReapTaskMm(cpu, mm, order))) {
    // After the last try too: a victim gets a full second before it is given up.
    yield* sleepUs(cpu, REAP_RETRY_US);
    noteFailedTry(cpu, mm, REAP_RETRY_US);
    if (tries === MAX_OOM_REAP_RETRIES) {
      logUnableToReap(cpu, mm);
      break;
    }
    tries++;
  }
  yield* setMmFlag(cpu, mm, MMF_OOM_SKIP);
  stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
  yield* runAsyncMmput(cpu);
  return tries;
}
