import { expect, test } from "vitest";
import { subjectOf } from "../../src/explore/program.ts";
import { scheduleOf, timerChoice } from "../../src/explore/schedule.ts";
import { traceSchedule } from "../../src/explore/step-trace.ts";
import { sleepUs } from "../../src/sync/sleep.ts";
import { careless, sleeper } from "./toys.ts";

test("each step: who, what, on which word by its name, and in which functions", () => {
  const { steps, finding } = traceSchedule(subjectOf(careless(2, 1)), scheduleOf([0, 1, 0, 1]));
  expect(finding?.message).toBe("check: 1 of 2 counted");
  const common = { word: 0, name: "counter", functions: ["addOne"], lockCall: -1, timeNs: 0 };
  expect(steps).toEqual([
    { step: 0, cpu: 0, operation: "load", a: 0, b: 0, before: 0, after: 0, ...common },
    { step: 1, cpu: 1, operation: "load", a: 0, b: 0, before: 0, after: 0, ...common },
    { step: 2, cpu: 0, operation: "store", a: 1, b: 0, before: 0, after: 1, ...common },
    { step: 3, cpu: 1, operation: "store", a: 1, b: 0, before: 1, after: 1, ...common },
  ]);
});

test("sleeps, wake-ups and timers are steps, too", () => {
  const slept = traceSchedule(subjectOf(sleeper(true)), scheduleOf([0, 0, 0, 1, 1, 1, 0]));
  expect(slept.finding).toBeUndefined();
  expect(slept.steps.map(({ operation }) => operation)).toEqual([
    "load",
    "load",
    "wait",
    "store",
    "store",
    "wake",
    "wake up",
  ]);
  const timed = traceSchedule(
    subjectOf({ words: 1, threads: [(cpu) => sleepUs(cpu, 5)] }),
    scheduleOf([0, timerChoice(0), 0]),
  );
  expect(timed.steps.map(({ operation, timeNs }) => [operation, timeNs])).toEqual([
    ["wait", 0],
    ["timer", 5000],
    ["wake up", 5000],
  ]);
});
