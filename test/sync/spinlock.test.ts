import { describe, expect, test } from "vitest";
import { atomicLoad, atomicStore, runToEnd } from "../../src/arena/mem.ts";
import { Spinlock, spinLock, spinOwner, spinTrylock, spinUnlock } from "../../src/sync/spinlock.ts";
import { createLab, exploreSeeds, type Program } from "./lock-lab.ts";

const lab = createLab(Spinlock);
const { lock, other, cls, scratch } = lab;

describe("misuse", () => {
  test("unlock names the holder", () => {
    lab.reset();
    expect(() => runToEnd(spinUnlock(lab.solo(3), lock, cls))).toThrow(
      "I7: spinUnlock: not held by CPU 3, but by nobody",
    );
    runToEnd(spinLock(lab.solo(1), lock, cls));
    expect(() => runToEnd(spinUnlock(lab.solo(3), lock, cls))).toThrow(
      "I7: spinUnlock: not held by CPU 3, but by CPU 1",
    );
  });

  test("a holder that asks again is stopped", () => {
    lab.reset();
    runToEnd(spinLock(lab.solo(1), lock, cls));
    expect(() => runToEnd(spinLock(lab.solo(1), lock, cls))).toThrow("I8: spinLock: CPU 1 already holds it");
  });
});

test("uncontended: one word, no waiting in the statistics", () => {
  lab.reset();
  const cpu = lab.solo(2);
  runToEnd(spinLock(cpu, lock, cls));
  expect(spinOwner(lab.words, lock)).toBe(2);
  expect(runToEnd(spinTrylock(cpu, lock, cls))).toBe(false);
  runToEnd(spinUnlock(cpu, lock, cls));
  expect(lab.words[lock]).toBe(0);
  expect(lab.totals()).toMatchObject({ acquired: 1, contended: 0, waitNs: 0, parked: 0, holds: 0, tryFailed: 1 });
});

test("the word of a free lock is 0, also after sleepers have been woken", () => {
  const twice: Program = function* (cpu) {
    for (let round = 0; round < 2; round++) {
      yield* spinLock(cpu, lock, cls);
      yield* atomicLoad(cpu, scratch);
      yield* spinUnlock(cpu, lock, cls);
    }
  };
  let parked = 0;
  exploreSeeds(lab, [twice, twice, twice], () => {
    parked += lab.totals().parked;
    if (lab.words[lock] !== 0) expect.fail(`the word is ${lab.words[lock]}`);
  });
  expect(parked).toBeGreaterThan(0);
});

test("several sleepers are all woken, one after the other, though each release wakes one", () => {
  const holder: Program = function* (cpu) {
    yield* spinLock(cpu, lock, cls);
    yield* atomicStore(cpu, scratch, 1);
    for (let i = 0; i < 40; i++) yield* atomicLoad(cpu, scratch);
    yield* spinUnlock(cpu, lock, cls);
  };
  const sleeper: Program = function* (cpu) {
    while ((yield* atomicLoad(cpu, scratch)) === 0) yield* atomicLoad(cpu, scratch);
    yield* spinLock(cpu, lock, cls);
    yield* spinUnlock(cpu, lock, cls);
  };
  let most = 0;
  exploreSeeds(lab, [holder, sleeper, sleeper, sleeper], () => {
    most = Math.max(most, lab.totals().parked);
  });
  expect(most).toBeGreaterThanOrEqual(3);
});

test("taken in opposite orders, two locks deadlock, and the engine says who waits for whom", () => {
  const program = (first: number, second: number): Program =>
    function* (cpu) {
      yield* spinLock(cpu, first, cls);
      yield* spinLock(cpu, second, cls);
      yield* spinUnlock(cpu, second, cls);
      yield* spinUnlock(cpu, first, cls);
    };
  const ends = new Set<string>();
  for (let seed = 1; seed <= 50; seed++) {
    const outcome = lab.run(seed, [program(lock, other), program(other, lock)]);
    ends.add(outcome.state);
    if (outcome.state === "deadlock") expect(outcome.report).toContain("waits for CPU");
  }
  expect([...ends].sort()).toEqual(["deadlock", "finished"]);
});
