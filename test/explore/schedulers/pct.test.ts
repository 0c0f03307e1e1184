import { expect, test } from "vitest";
import { Executor } from "../../../src/explore/executor.ts";
import { subjectOf } from "../../../src/explore/program.ts";
import { pctScheduler } from "../../../src/explore/schedulers/pct.ts";
import { bystanders } from "../toys.ts";

const STEPS = 12;

/** How many of `executions` have each number of preemptions. */
function preemptions(depth: number, executions: number): Map<number, number> {
  const executor = new Executor({
    ...subjectOf(bystanders(3, STEPS / 3)),
    check: () => {
      throw Object.assign(new Error(), { name: "Violation", invariant: "any" });
    },
  });
  const scheduler = pctScheduler({
    seed: 5,
    cpus: 3,
    steps: STEPS,
    timed: false,
    depth,
    bound: 0,
    spins: 1,
    watched: [],
  });
  const counts = new Map<number, number>();
  for (let i = 0; i < executions; i++) {
    const met = executor.measure(scheduler, i)?.preemptions as number;
    counts.set(met, (counts.get(met) ?? 0) + 1);
  }
  return counts;
}

test("depth 1 never preempts; depth d preempts d - 1 times at most", () => {
  expect([...preemptions(1, 500).keys()]).toEqual([0]);
  expect(Math.max(...preemptions(3, 2000).keys())).toBe(2);
});

test("at depth 2 an order that needs one certain switch comes up at least as often as the bound says", () => {
  const EXECUTIONS = 20_000;
  const executor = new Executor(subjectOf(bystanders(2, 6)));
  const scheduler = pctScheduler({
    seed: 1,
    cpus: 2,
    steps: STEPS,
    timed: false,
    depth: 2,
    bound: 0,
    spins: 1,
    watched: [],
  });
  let met = 0;
  for (let i = 0; i < EXECUTIONS; i++) {
    executor.execute(scheduler, i);
    if (executor.engine.takeSchedule().join("") === "000111111000") met++;
  }
  expect(scheduler.claim).toContain("probability 1 in 24 at least (2 parties, 12 steps)");
  // Binomial, 1 in 24: mean 833, five sigma 141.
  expect(met).toBeGreaterThan(EXECUTIONS / 24 - 141);
});

test("an execution depends on seed and number alone", () => {
  const executor = new Executor(subjectOf(bystanders(3, 4)));
  const make = () =>
    pctScheduler({ seed: 9, cpus: 3, steps: STEPS, timed: false, depth: 3, bound: 0, spins: 1, watched: [] });
  const orders = (scheduler: ReturnType<typeof make>, numbers: readonly number[]): string[] =>
    numbers.map((number) => {
      executor.execute(scheduler, number);
      return executor.engine.takeSchedule().join("");
    });
  expect(orders(make(), [4, 2, 0])).toEqual(orders(make(), [0, 2, 4]).toReversed());
});
