import { expect, test } from "vitest";
import { Executor } from "../../../src/explore/executor.ts";
import type { Program } from "../../../src/explore/program.ts";
import { subjectOf } from "../../../src/explore/program.ts";
import { dfsScheduler } from "../../../src/explore/schedulers/dfs.ts";
import { bystanders, careful } from "../toys.ts";

interface Enumerated {
  /** As "0011", each as often as it was run. */
  readonly orders: readonly string[];
  /** Preemptions of each. */
  readonly preemptions: readonly number[];
  readonly complete: boolean | undefined;
}

function enumerate(program: Program, bound: number): Enumerated {
  const executor = new Executor(subjectOf(program));
  const cpus = program.threads.length;
  const scheduler = dfsScheduler({ seed: 1, cpus, steps: 1, timed: false, depth: 1, bound, spins: 1, watched: [] });
  const orders: string[] = [];
  do {
    executor.execute(scheduler);
    orders.push(executor.engine.takeSchedule().join(""));
  } while (scheduler.next?.());
  return { orders, preemptions: orders.map(preemptionsOf), complete: scheduler.complete };
}

/** A switch away from a thread that still has steps to take. */
function preemptionsOf(order: string): number {
  return [...order].filter(
    (cpu, at) => at > 0 && order[at - 1] !== cpu && order.slice(at).includes(order[at - 1] as string),
  ).length;
}

test.each([
  [2, 2, 6],
  [3, 2, 90],
  [2, 4, 70],
])("%i threads of %i steps: all %i orders", (threads, steps, orders) => {
  const all = enumerate(bystanders(threads, steps), 20);
  expect(new Set(all.orders).size).toBe(orders);
  expect(all.complete).toBe(true);
});

test("fewest preemptions first, and none beyond the bound", () => {
  const { orders, preemptions, complete } = enumerate(bystanders(2, 4), 2);
  const first = new Map(orders.map((order, at) => [order, at] as const).reverse());
  const byFirst = [...first].sort(([, a], [, b]) => a - b).map(([order]) => preemptionsOf(order));
  expect(byFirst).toEqual(byFirst.toSorted((a, b) => a - b));
  expect(Math.max(...preemptions)).toBe(2);
  expect(complete).toBe(false);
});

test("bound 0: one execution for each order in which the threads can run to their ends", () => {
  expect(enumerate(bystanders(3, 5), 0)).toMatchObject({ orders: { length: 6 }, complete: false });
});

test("threads whose length depends on the order", () => {
  const { orders, complete } = enumerate(careful(2, 1), 9);
  // Whoever is overtaken between its load and its compareExchange takes two steps more.
  expect(new Set(orders)).toEqual(new Set(["0011", "1100", "010111", "011000", "100111", "101000"]));
  expect(complete).toBe(true);
});
