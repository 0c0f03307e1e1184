import { expect, test } from "vitest";
import { Executor } from "../../src/explore/executor.ts";
import type { Failure } from "../../src/explore/finding.ts";
import { subjectOf } from "../../src/explore/program.ts";
import { fixedScheduler } from "../../src/explore/schedulers/fixed.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { shrink } from "../../src/explore/shrink.ts";
import { careless } from "./toys.ts";

function firstFailure(executor: Executor, seed: number): Failure {
  for (let execution = 0; ; execution++) {
    const failure = executor.measure(randomScheduler(seed), execution);
    if (failure) return failure;
  }
}

test("whatever was found: one preemption is left, and what is left fails in the same way", () => {
  const executor = new Executor(subjectOf(careless(4, 3)));
  for (let seed = 0; seed < 50; seed++) {
    const found = firstFailure(executor, seed);
    const least = shrink(executor, found, { budget: 10_000 });
    expect(least, `seed ${seed}`).toMatchObject({ invariant: "check", preemptions: 1 });
    expect(executor.measure(fixedScheduler(least.schedule)), `seed ${seed}`).toEqual(least);
  }
});

test("spends no more than its budget, and stops when told to", () => {
  const executor = new Executor(subjectOf(careless(3, 3)));
  const found = firstFailure(executor, 1);
  expect(shrink(executor, found, { budget: 0 })).toBe(found);
  expect(shrink(executor, found, { budget: 1000, stopped: () => true })).toBe(found);
});
