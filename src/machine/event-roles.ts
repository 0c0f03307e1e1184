/** CPUs that wait for events and bring them about, on one completion or one wait queue: for the explorer's lock cases. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, cmpxchg, fetchAdd, NO_TIMEOUT } from "../arena/mem.ts";
import {
  complete,
  completeAll,
  completionDone,
  reinitCompletion,
  tryWaitForCompletion,
  waitForCompletion,
  waitForCompletionKillable,
  waitForCompletionTimeout,
} from "../sync/completion.ts";
import { SLEEP_WOKEN, sendSigkill } from "../sync/park.ts";
import {
  finishWait,
  prepareToWait,
  prepareToWaitExclusive,
  sleepOnQueue,
  wakeUp,
  wakeUpAll,
} from "../sync/wait-queue.ts";
import { LAB_CLASS, LockLab } from "./lock-lab.ts";
import { LONG_US } from "./lock-roles.ts";

export type CompletionUse =
  | "wait"
  | "wait killable"
  | "wait long"
  | "try"
  | "look"
  | "complete"
  | "complete all"
  | "reinit"
  | `kill ${number}`;

export type QueueUse = "take" | "take killable" | "take long" | "see" | "add" | "add for all" | `kill ${number}`;

/** Plans of both roles; `lab` is the address of the LockLab. */
export interface EventPlan<Use> {
  readonly lab: number;
  readonly plan: readonly Use[];
}

function* completionUser(cpu: Cpu, { lab, plan }: EventPlan<CompletionUse>): Steps<void> {
  const at = lab + LockLab.lock;
  for (const use of plan) {
    if (use === "wait") yield* waitForCompletion(cpu, at, LAB_CLASS);
    else if (use === "wait killable") yield* waitForCompletionKillable(cpu, at, LAB_CLASS);
    else if (use === "wait long") yield* waitForCompletionTimeout(cpu, at, LAB_CLASS, LONG_US);
    else if (use === "try") yield* tryWaitForCompletion(cpu, at, LAB_CLASS);
    else if (use === "look") yield* completionDone(cpu, at);
    else if (use === "complete") yield* complete(cpu, at);
    else if (use === "complete all") yield* completeAll(cpu, at);
    else if (use === "reinit") yield* reinitCompletion(cpu, at);
    else yield* sendSigkill(cpu, Number(use.slice("kill ".length)));
  }
}

/** "take" waits for an item of its own, "see" for there to be one, "add for all" adds one that nobody takes. */
function* queueUser(cpu: Cpu, { lab, plan }: EventPlan<QueueUse>): Steps<void> {
  const at = lab + LockLab.lock;
  for (const use of plan) {
    if (use === "see") yield* seeItem(cpu, lab);
    else if (use === "take") yield* takeItem(cpu, lab, NO_TIMEOUT, false);
    else if (use === "take long") yield* takeItem(cpu, lab, LONG_US, false);
    else if (use === "take killable") yield* takeItem(cpu, lab, NO_TIMEOUT, true);
    else if (use === "add") {
      yield* fetchAdd(cpu, lab + LockLab.items, 1);
      yield* wakeUp(cpu, at);
    } else if (use === "add for all") {
      yield* fetchAdd(cpu, lab + LockLab.items, 1);
      yield* wakeUpAll(cpu, at);
    } else yield* sendSigkill(cpu, Number(use.slice("kill ".length)));
  }
}

/** `wait_event`: any number of waiters see the same item. */
function* seeItem(cpu: Cpu, lab: number): Steps<void> {
  const queue = lab + LockLab.lock;
  for (;;) {
    yield* prepareToWait(cpu, queue);
    if ((yield* atomicLoad(cpu, lab + LockLab.items)) > 0) break;
    yield* sleepOnQueue(cpu, queue, LAB_CLASS, NO_TIMEOUT, false);
  }
  yield* finishWait(cpu, queue);
}

/** `wait_event_exclusive`: an item for each waiter; who gives up looks once more, still queued. A wake-up that was for one who takes nothing is handed on. */
function* takeItem(cpu: Cpu, lab: number, timeoutUs: number, killable: boolean): Steps<void> {
  const queue = lab + LockLab.lock;
  for (let last = false; ; ) {
    yield* prepareToWaitExclusive(cpu, queue);
    if ((yield* tryTake(cpu, lab + LockLab.items)) || last) break;
    last = (yield* sleepOnQueue(cpu, queue, LAB_CLASS, timeoutUs, killable)) !== SLEEP_WOKEN;
  }
  if (yield* finishWait(cpu, queue)) yield* wakeUp(cpu, queue);
}

function* tryTake(cpu: Cpu, items: number): Steps<boolean> {
  let seen = yield* atomicLoad(cpu, items);
  while (seen > 0) {
    const old = yield* cmpxchg(cpu, items, seen, seen - 1);
    if (old === seen) return true;
    seen = old;
  }
  return false;
}

export const eventRoles = { completionUser, queueUser };
