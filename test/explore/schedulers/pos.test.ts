import { expect, test } from "vitest";
import { Executor } from "../../../src/explore/executor.ts";
import type { Program } from "../../../src/explore/program.ts";
import { subjectOf } from "../../../src/explore/program.ts";
import { posScheduler } from "../../../src/explore/schedulers/pos.ts";
import { bystanders, careless } from "../toys.ts";

function orders(program: Program, executions: number): Map<string, number> {
  const executor = new Executor(subjectOf({ ...program, check: () => {} }));
  const scheduler = posScheduler({
    seed: 3,
    cpus: program.threads.length,
    steps: 1,
    timed: false,
    depth: 1,
    bound: 0,
    spins: 1,
    watched: [],
  });
  const counts = new Map<string, number>();
  for (let i = 0; i < executions; i++) {
    executor.execute(scheduler, i);
    const order = executor.engine.takeSchedule().join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  return counts;
}

test("every order comes up", () => {
  expect(orders(bystanders(3, 2), 5000).size).toBe(90);
  expect(orders(careless(2, 1), 500).size).toBe(6);
});

test("operations that race are ordered either way about as often: each of two single steps is first in half of all", () => {
  const counts = orders(careless(2, 1), 4000);
  const first = (cpu: string): number =>
    [...counts].filter(([order]) => order.startsWith(cpu)).reduce((sum, [, n]) => sum + n, 0);
  // Binomial: five sigma are 158.
  expect(Math.abs(first("0") - 2000)).toBeLessThan(158);
});
