import { describe, expect, test } from "vitest";
import { atomicLoad, atomicStore, load, runToEnd, spinWhile, store } from "../../src/arena/mem.ts";
import { Mutex, mutexLock, mutexLockKillable, mutexOwner, mutexTrylock, mutexUnlock } from "../../src/sync/mutex.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { createLab, exploreSeeds, type Program } from "./lock-lab.ts";

const lab = createLab(Mutex);
const { lock, cls, scratch } = lab;

describe("misuse", () => {
  test("unlock names the owner", () => {
    lab.reset();
    expect(() => runToEnd(mutexUnlock(lab.solo(3), lock, cls))).toThrow(
      "I7: mutexUnlock: not held by CPU 3, but by nobody",
    );
    runToEnd(mutexLock(lab.solo(1), lock, cls));
    expect(() => runToEnd(mutexUnlock(lab.solo(3), lock, cls))).toThrow(
      "I7: mutexUnlock: not held by CPU 3, but by CPU 1",
    );
  });

  test("an owner that asks again is stopped", () => {
    lab.reset();
    runToEnd(mutexLock(lab.solo(1), lock, cls));
    expect(() => runToEnd(mutexLock(lab.solo(1), lock, cls))).toThrow("I8: mutexLock: CPU 1 already holds it");
  });
});

test("uncontended: owner, and nothing in the statistics but the acquisition", () => {
  lab.reset();
  const cpu = lab.solo(2);
  runToEnd(mutexLock(cpu, lock, cls));
  expect(mutexOwner(lab.words, lock)).toBe(2);
  expect(runToEnd(mutexTrylock(lab.solo(0), lock, cls))).toBe(false);
  runToEnd(mutexUnlock(cpu, lock, cls));
  expect(lab.totals()).toMatchObject({ acquired: 1, contended: 0, parked: 0, tryFailed: 1 });
});

test("a killable wait takes a free lock even when the signal is already pending", () => {
  lab.reset();
  const cpu = lab.solo(0);
  runToEnd(sendSigkill(cpu, 0));
  expect(runToEnd(mutexLockKillable(cpu, lock, cls))).toBe(true);
});

const worker: Program = function* (cpu) {
  for (let round = 0; round < 3; round++) {
    yield* mutexLock(cpu, lock, cls);
    yield* atomicLoad(cpu, scratch);
    yield* mutexUnlock(cpu, lock, cls);
  }
};

test("all words are 0 again when everybody has gone", () => {
  exploreSeeds(lab, [worker, worker, worker, worker], () => {
    for (let word = 0; word < Mutex.WORDS; word++) {
      if (lab.words[lock + word] !== 0) expect.fail(`word ${word} is ${lab.words[lock + word]}`);
    }
  });
});

test("all words are 0 again when a waiter was killed", () => {
  const killed: Program = function* (cpu) {
    if (yield* mutexLockKillable(cpu, lock, cls)) yield* mutexUnlock(cpu, lock, cls);
  };
  const killer: Program = function* (cpu) {
    yield* sendSigkill(cpu, 0);
    yield* sendSigkill(cpu, 1);
  };
  exploreSeeds(lab, [killed, killed, worker, killer], () => {
    for (let word = 0; word < Mutex.WORDS; word++) {
      if (lab.words[lock + word] !== 0) expect.fail(`word ${word} is ${lab.words[lock + word]}`);
    }
  });
});

/**
 * CPU 0 takes and frees the lock until CPU 1 has had it once. Nothing but the hand-off sets the pick-up flag: the lock
 * then passes from owner to owner and is not free in between.
 */
test("hand-off: a waiter that woke in vain is given the lock by the next release", () => {
  const MUTEX_FLAG_PICKUP = 4;
  let handed = 0;
  const hog: Program = function* (cpu) {
    while ((yield* atomicLoad(cpu, scratch)) === 0) {
      yield* mutexLock(cpu, lock, cls);
      yield* atomicLoad(cpu, scratch);
      yield* mutexUnlock(cpu, lock, cls);
      const word = load(cpu, lock);
      if ((word & MUTEX_FLAG_PICKUP) === 0) continue;
      handed++;
      if (mutexOwner(lab.words, lock) !== 1) expect.fail(`handed to the wrong CPU: ${word}`);
      if (yield* mutexTrylock(cpu, lock, cls)) expect.fail("overtaken after the hand-off");
    }
  };
  const waiter: Program = function* (cpu) {
    yield* mutexLock(cpu, lock, cls);
    yield* atomicStore(cpu, scratch, 1);
    yield* mutexUnlock(cpu, lock, cls);
  };
  exploreSeeds(lab, [hog, waiter]);
  expect(handed).toBeGreaterThan(0);
});

test("waiters that sleep are served first come, first served", () => {
  /** Says on which turn it got the lock. CPU n joins the queue only when n - 1 sleeps on it. */
  const waiter: Program = function* (cpu) {
    while ((yield* atomicLoad(cpu, scratch)) !== cpu.id) yield* spinWhile(cpu, scratch, cpu.id - 1, 1);
    yield* mutexLock(cpu, lock, cls);
    const turn = load(cpu, scratch + 1) + 1;
    store(cpu, scratch + 1, turn);
    yield* mutexUnlock(cpu, lock, cls);
    return turn;
  };
  const holder: Program = function* (cpu) {
    yield* mutexLock(cpu, lock, cls);
    for (let next = 1; next <= 3; next++) {
      yield* atomicStore(cpu, scratch, next);
      while (lab.totals().parked < next) yield* atomicLoad(cpu, scratch);
    }
    yield* mutexUnlock(cpu, lock, cls);
  };
  exploreSeeds(lab, [holder, waiter, waiter, waiter], (results) => {
    const turns = results.slice(1);
    if (turns.join() !== "1,2,3") expect.fail(`turns ${turns.join()}`);
  });
});
