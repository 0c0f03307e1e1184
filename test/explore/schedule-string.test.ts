import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { Executor } from "../../src/explore/executor.ts";
import { subjectOf } from "../../src/explore/program.ts";
import {
  packedScheduler,
  readScheduleString,
  SchedulePacker,
  writeScheduleString,
} from "../../src/explore/schedule-string.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { careful, careless } from "./toys.ts";

test("any schedule comes back from its string, choice for choice", () => {
  const subject = subjectOf({ ...careful(3, 3), check: () => {} });
  const executor = new Executor(subject);
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      executor.execute(randomScheduler(seed));
      const schedule = executor.engine.takeSchedule();
      const packer = new SchedulePacker(schedule);
      executor.execute(packer.scheduler);
      const text = writeScheduleString(packer.packed(subject.codeHash));
      executor.execute(packedScheduler(readScheduleString(text)));
      expect(executor.engine.takeSchedule()).toEqual(schedule);
    }),
    { numRuns: 500 },
  );
});

test("numbers of any size survive, and what was watched", () => {
  const number = fc.integer({ min: 0, max: 0x7fff_ffff });
  const points = fc.uniqueArray(number, { minLength: 1 }).map((words) => words.sort((a, b) => a - b));
  const watches = fc.oneof(
    fc.constantFrom(undefined, { races: true }),
    points.map((some) => ({ points: some })),
  );
  fc.assert(
    fc.property(fc.integer(), number, fc.array(fc.tuple(number, number)), watches, (codeHash, steps, pairs, watch) => {
      const packed = { codeHash, ...(watch && { watch }), steps, switches: pairs.flat() };
      expect(readScheduleString(writeScheduleString(packed))).toEqual(packed);
    }),
  );
});

test("with one switch it is 14 characters long, however long the execution", () => {
  const subject = subjectOf({ ...careless(2, 60), check: () => {} });
  const schedule = Int8Array.from({ length: 240 }, (_, step) => (step === 0 || step > 120 ? 1 : 0));
  const packer = new SchedulePacker(schedule);
  new Executor(subject).execute(packer.scheduler);
  expect(writeScheduleString(packer.packed(1)).length).toBeLessThanOrEqual(16);
});

describe("past its end", () => {
  const packed = { codeHash: 0, steps: 3, switches: [0, 1] };

  test("an execution ends, or goes on undisturbed", () => {
    const executor = new Executor(subjectOf({ ...careless(2, 2), check: () => {} }));
    executor.execute(packedScheduler(packed));
    expect(executor.engine.takeSchedule().join("")).toBe("111");
    executor.execute(packedScheduler(packed, true));
    expect(executor.engine.takeSchedule().join("")).toBe("11110000");
  });
});

test.each([
  ["", "expected base64url"],
  ["!?", "expected base64url"],
  ["AQ", "expected base64url"],
  ["AwAAAAAB", "expected version 1 or 2, got 3"],
  ["AgAAAAAA", "it ends too early"],
  ["AgAAAAABBQE", "it ends too early"],
  ["AQAAAACA", "it ends too early"],
])("refuses %j", (text, message) => {
  const read = () => readScheduleString(text);
  expect(read).toThrow(UsageError);
  expect(read).toThrow(message);
});

test("the shortest there is has steps and no switches", () => {
  expect(readScheduleString("AQAAAAAD")).toEqual({ codeHash: 0, steps: 3, switches: [] });
});

test("says where a program has less to choose from than the schedule wants", () => {
  const executor = new Executor(subjectOf({ ...careless(2, 1), check: () => {} }));
  expect(() => executor.execute(packedScheduler({ codeHash: 0, steps: 9, switches: [1, 5] }))).toThrow(
    "replay: step 1: expected 6 choices, got 2",
  );
});
