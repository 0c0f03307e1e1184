/** Plain accesses as scheduling points. */

import { describe, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, atomicStore, load, store } from "../../src/arena/mem.ts";
import { Executor } from "../../src/explore/executor.ts";
import { type Program, subjectOf } from "../../src/explore/program.ts";
import { scheduleOf } from "../../src/explore/schedule.ts";
import { fixedScheduler } from "../../src/explore/schedulers/fixed.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { traceSchedule } from "../../src/explore/step-trace.ts";
import { DATA, toy, unlocked } from "./race-toys.ts";

const watch = { points: [DATA] };

/** Runs one order of turns; what is wrong with it, and the words after. */
function run(program: Program, ...choices: number[]) {
  const subject = subjectOf(program);
  const finding = new Executor(subject, watch).execute(fixedScheduler(scheduleOf(choices)));
  return { finding, words: subject.words };
}

describe("two threads that each load and store a word", () => {
  test("one after the other lose nothing", () => {
    // Each: to the first point, the atomic load, the plain load, the plain store.
    expect(run(unlocked(2, 1), 0, 0, 0, 0, 1, 1, 1, 1).finding).toBeUndefined();
  });

  test("the other between load and store loses one", () => {
    expect(run(unlocked(2, 1), 0, 0, 0, 1, 1, 1, 1, 0).finding?.message).toBe("check: 1 of 2 counted");
  });

  test("who came in first cannot go on before the one who came in later", () => {
    expect(() => run(unlocked(2, 1), 0, 0, 1, 1, 0)).toThrow(
      "replay: step 4 of the schedule: CPU 0 waits in the middle of a step for another CPU's",
    );
  });
});

test("an execution that ends while a CPU is halfway ends there, and the next one is whole", () => {
  let caught = 0;
  function* halfway(cpu: Cpu): Steps<void> {
    yield* atomicLoad(cpu, 5);
    try {
      store(cpu, DATA, 1);
    } catch (error) {
      caught++;
      throw error;
    }
  }
  function* throws(cpu: Cpu): Steps<void> {
    yield* atomicStore(cpu, 6, 1);
    throw new RangeError("odd");
  }
  const executor = new Executor(subjectOf(toy([halfway, throws])), watch);
  const finding = executor.execute(fixedScheduler(scheduleOf([0, 0, 1, 1])));
  expect(finding?.message).toMatch(/^CPU 1 threw RangeError: odd, at \S+points\.test\.ts:\d+:\d+$/);
  expect(caught).toBe(1);
  expect(executor.execute(fixedScheduler(scheduleOf([0, 0, 0, 1])))).toBeUndefined();
  expect(executor.engine.steps).toBe(4);
});

test("the same schedule is the same execution again, and its trace names the plain accesses", () => {
  const subject = subjectOf(unlocked(3, 2));
  const executor = new Executor(subject, watch);
  for (let seed = 0; seed < 300; seed++) {
    const first = executor.execute(randomScheduler(seed));
    const schedule = executor.engine.takeSchedule();
    const after = subject.words[DATA];
    expect(executor.execute(fixedScheduler(schedule))).toEqual(first);
    expect(subject.words[DATA]).toBe(after);
  }
  const { steps } = traceSchedule(subjectOf(unlocked(1, 1)), scheduleOf([0, 0, 0, 0]), watch);
  const plain = steps.slice(2).map(({ operation, name, before, after, functions }) => ({
    operation,
    name,
    before,
    after,
    functions,
  }));
  expect(plain).toEqual([
    { operation: "load", name: "data", before: 0, after: 0, functions: ["addOne"] },
    { operation: "store", name: "data", before: 0, after: 1, functions: ["addOne"] },
  ]);
});

test("without points a plain access is none", () => {
  const subject = subjectOf(
    toy([
      function* plain(cpu) {
        store(cpu, DATA, load(cpu, DATA) + 1);
        yield* atomicLoad(cpu, 5);
      },
    ]),
  );
  const executor = new Executor(subject);
  executor.execute(randomScheduler(1));
  expect(executor.engine.steps).toBe(1);
});
