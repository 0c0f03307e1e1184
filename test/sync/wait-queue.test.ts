import { describe, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, fetchAdd, NO_TIMEOUT, runToEnd } from "../../src/arena/mem.ts";
import { struct } from "../../src/arena/struct.ts";
import { lockClass } from "../../src/sync/lock-class.ts";
import { Mutex, mutexLock, mutexUnlock } from "../../src/sync/mutex.ts";
import { SLEEP_KILLED, SLEEP_TIMED_OUT, SLEEP_WOKEN, sendSigkill } from "../../src/sync/park.ts";
import {
  finishWait,
  prepareToWait,
  prepareToWaitExclusive,
  sleepOnQueue,
  WaitQueue,
  wakeUp,
  wakeUpAll,
} from "../../src/sync/wait-queue.ts";
import { checkEqual, createLab, exploreSeeds, type Program } from "./lock-lab.ts";

const Queues = struct("queues", { queue: WaitQueue, mutex: Mutex });
const lab = createLab(Queues);
const { cls, scratch: flag } = lab;
const queue = lab.lock + Queues.queue;
const mutex = lab.lock + Queues.mutex;
const MUTEX_CLASS = lockClass("lab mutex");

function checkEmpty(): void {
  for (let word = 0; word < WaitQueue.WORDS; word++) checkEqual(`word ${word}`, lab.words[queue + word], 0);
}

/** Waits until the flag is set, as a kernel thread does. */
const waiter: Program = function* (cpu) {
  for (;;) {
    yield* prepareToWait(cpu, queue);
    if ((yield* atomicLoad(cpu, flag)) !== 0) break;
    yield* sleepOnQueue(cpu, queue, cls, NO_TIMEOUT, false);
  }
  yield* finishWait(cpu, queue);
};

/** Takes one of the tokens that the flag counts. */
const taker: Program = function* (cpu) {
  for (;;) {
    yield* prepareToWaitExclusive(cpu, queue);
    if (yield* takeToken(cpu)) break;
    yield* sleepOnQueue(cpu, queue, cls, NO_TIMEOUT, false);
  }
  if (yield* finishWait(cpu, queue)) yield* wakeUp(cpu, queue);
};

function* takeToken(cpu: Cpu): Steps<boolean> {
  let seen = yield* atomicLoad(cpu, flag);
  while (seen > 0) {
    const old = yield* cmpxchg(cpu, flag, seen, seen - 1);
    if (old === seen) return true;
    seen = old;
  }
  return false;
}

describe("no wake-up is lost", () => {
  test("wakeUp wakes everybody who is not exclusive", () => {
    const setter: Program = function* (cpu) {
      yield* atomicStore(cpu, flag, 1);
      yield* wakeUp(cpu, queue);
    };
    let slept = 0;
    exploreSeeds(lab, [waiter, waiter, waiter, setter], () => {
      slept += lab.totals().parked;
      checkEmpty();
    });
    expect(slept).toBeGreaterThan(0);
  });

  test("one exclusive waiter per wakeUp: as many tokens as takers, all finish", () => {
    const giver: Program = function* (cpu) {
      for (let i = 0; i < 3; i++) {
        yield* fetchAdd(cpu, flag, 1);
        yield* wakeUp(cpu, queue);
      }
    };
    exploreSeeds(lab, [taker, taker, taker, giver], checkEmpty);
  });

  test("wakeUpAll wakes exclusive waiters too", () => {
    const giver: Program = function* (cpu) {
      yield* fetchAdd(cpu, flag, 3);
      yield* wakeUpAll(cpu, queue);
    };
    exploreSeeds(lab, [taker, taker, taker, giver], checkEmpty);
  });

  test("a mutex that the waiter sleeps for, between prepareToWait and its sleep, swallows no wake-up", () => {
    const lockingWaiter: Program = function* (cpu) {
      for (;;) {
        yield* prepareToWait(cpu, queue);
        yield* mutexLock(cpu, mutex, MUTEX_CLASS);
        const set = lab.words[flag] !== 0;
        yield* mutexUnlock(cpu, mutex, MUTEX_CLASS);
        if (set) break;
        yield* sleepOnQueue(cpu, queue, cls, NO_TIMEOUT, false);
      }
      yield* finishWait(cpu, queue);
    };
    const setter: Program = function* (cpu) {
      yield* mutexLock(cpu, mutex, MUTEX_CLASS);
      lab.words[flag] = 1;
      yield* mutexUnlock(cpu, mutex, MUTEX_CLASS);
      yield* wakeUp(cpu, queue);
    };
    const contender: Program = function* (cpu) {
      for (let round = 0; round < 3; round++) {
        yield* mutexLock(cpu, mutex, MUTEX_CLASS);
        yield* atomicLoad(cpu, flag + 1);
        yield* mutexUnlock(cpu, mutex, MUTEX_CLASS);
      }
    };
    exploreSeeds(lab, [lockingWaiter, setter, contender, lockingWaiter], checkEmpty);
  });
});

test("without a wake-up the waiter sleeps on", () => {
  for (let seed = 1; seed <= 20; seed++) expect(lab.run(seed, [waiter]).state).toBe("deadlock");
});

test("a waiter that goes on at once leaves the queue", () => {
  lab.reset();
  lab.words[flag] = 1;
  runToEnd(waiter(lab.solo(0)));
  checkEmpty();
  runToEnd(wakeUp(lab.solo(1), queue));
});

test("a CPU on one wait queue cannot join another", () => {
  lab.reset();
  const second = lab.other + Queues.queue;
  runToEnd(prepareToWait(lab.solo(0), queue));
  runToEnd(prepareToWait(lab.solo(0), queue));
  expect(() => runToEnd(prepareToWait(lab.solo(0), second))).toThrow(
    "prepareToWait: this CPU is on another wait queue",
  );
  runToEnd(finishWait(lab.solo(0), queue));
  runToEnd(prepareToWait(lab.solo(0), second));
  runToEnd(finishWait(lab.solo(0), second));
});

/** One sleep of a prepared waiter; returns how it ended and leaves the queue. */
function sleeper(timeoutUs: number, killable: boolean): Program {
  return function* (cpu) {
    yield* prepareToWaitExclusive(cpu, queue);
    const result = yield* sleepOnQueue(cpu, queue, cls, timeoutUs, killable);
    yield* finishWait(cpu, queue);
    return result;
  };
}

test("a timeout is measured in emulated microseconds", () => {
  const outcome = lab.run(1, [sleeper(300, false)]);
  expect(outcome).toMatchObject({ state: "finished", results: [SLEEP_TIMED_OUT], timeNs: 300_000 });
  checkEmpty();
});

test("timeout against wake-up: a waiter that was chosen is told so", () => {
  const waker: Program = function* (cpu) {
    for (let i = 0; i < 4; i++) yield* atomicLoad(cpu, flag);
    yield* wakeUp(cpu, queue);
  };
  const seen = new Set<unknown>();
  exploreSeeds(lab, [sleeper(10, false), sleeper(10, false), waker], ([first, second]) => {
    seen.add(`${first}${second}`);
    if (first === SLEEP_WOKEN && second === SLEEP_WOKEN) expect.fail("one wakeUp, two woken");
    checkEmpty();
  });
  const [woken, late] = [SLEEP_WOKEN, SLEEP_TIMED_OUT];
  expect(seen).toEqual(new Set([`${woken}${late}`, `${late}${woken}`, `${late}${late}`]));
});

test("a fatal signal ends a killable sleep and no other", () => {
  const killer: Program = function* (cpu) {
    yield* sendSigkill(cpu, 0);
    yield* sendSigkill(cpu, 1);
  };
  exploreSeeds(lab, [sleeper(NO_TIMEOUT, true), sleeper(50, false), killer], (results) => {
    checkEqual("killable", results[0], SLEEP_KILLED);
    checkEqual("unkillable", results[1], SLEEP_TIMED_OUT);
    checkEmpty();
  });
});
