import { expect, test } from "vitest";
import { atomicLoad, atomicStore, NO_TIMEOUT, runToEnd } from "../../src/arena/mem.ts";
import { deadlineAfter, fatalSignalPending, leftUntil, park, sendSigkill, unpark } from "../../src/sync/park.ts";
import { Spinlock } from "../../src/sync/spinlock.ts";
import { createLab, exploreSeeds, type Program } from "./lock-lab.ts";

const lab = createLab(Spinlock);
const { scratch } = lab;

test("a wake before the sleep is not lost, and is consumed by it", () => {
  lab.reset();
  runToEnd(unpark(lab.solo(1), 0));
  runToEnd(unpark(lab.solo(1), 0));
  expect(runToEnd(park(lab.solo(0), NO_TIMEOUT))).toBe(true);
  expect(() => runToEnd(park(lab.solo(0), NO_TIMEOUT))).toThrow("would sleep for ever");
});

test("sleeper and waker meet whatever the order of their steps", () => {
  const sleeper: Program = function* (cpu) {
    while ((yield* atomicLoad(cpu, scratch)) === 0) yield* park(cpu, NO_TIMEOUT);
  };
  const waker: Program = function* (cpu) {
    yield* atomicStore(cpu, scratch, 1);
    yield* unpark(cpu, 0);
  };
  exploreSeeds(lab, [sleeper, waker]);
});

test("a sleep ends by its timeout, and says so", () => {
  const sleeper: Program = function* (cpu) {
    return yield* park(cpu, 70);
  };
  expect(lab.run(1, [sleeper])).toMatchObject({ state: "finished", results: [false], timeNs: 70_000 });
});

test("a wake that comes with the timeout counts as a wake", () => {
  const sleeper: Program = function* (cpu) {
    return yield* park(cpu, 5);
  };
  const waker: Program = function* (cpu) {
    yield* unpark(cpu, 0);
    return lab.words[cpu.syncBase];
  };
  const seen = new Set<unknown>();
  exploreSeeds(lab, [sleeper, waker], ([woken]) => {
    seen.add(woken);
    // Not woken means that the token is still there for the next sleep: nothing is lost.
    if (woken === false) expect(runToEnd(park(lab.solo(0), NO_TIMEOUT))).toBe(true);
  });
  expect(seen).toEqual(new Set([true, false]));
});

test("SIGKILL is pending from the moment it is sent", () => {
  lab.reset();
  expect(runToEnd(fatalSignalPending(lab.solo(2)))).toBe(false);
  runToEnd(sendSigkill(lab.solo(0), 2));
  expect(runToEnd(fatalSignalPending(lab.solo(2)))).toBe(true);
  expect(runToEnd(fatalSignalPending(lab.solo(1)))).toBe(false);
});

test("deadlines", () => {
  const cpu = lab.solo(0);
  expect(deadlineAfter(cpu, NO_TIMEOUT)).toBe(NO_TIMEOUT);
  expect(leftUntil(cpu, NO_TIMEOUT)).toBe(NO_TIMEOUT);
  expect(leftUntil(cpu, deadlineAfter(cpu, 0))).toBe(0);
  expect(leftUntil(cpu, deadlineAfter(cpu, 1e9))).toBeGreaterThan(0);
});
