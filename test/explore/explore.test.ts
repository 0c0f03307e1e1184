import { describe, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, atomicStore } from "../../src/arena/mem.ts";
import { explore } from "../../src/explore/explore.ts";
import type { Program } from "../../src/explore/program.ts";
import { schedulers } from "../../src/explore/schedulers/index.ts";

const NAMES = Object.keys(schedulers);

/** Word 0: the counter. Both read, then write. */
function careless(threads: number, times: number): Program {
  function* add(cpu: Cpu): Steps<void> {
    for (let i = 0; i < times; i++) yield* atomicStore(cpu, 0, (yield* atomicLoad(cpu, 0)) + 1);
  }
  return {
    words: 1,
    threads: Array.from({ length: threads }, () => add),
    check: ([counter]) => {
      if (counter !== threads * times) throw new Error(`${counter} of ${threads * times} counted`);
    },
  };
}

describe.each(NAMES)("%s", (scheduler) => {
  test("finds a lost update, and shrinks it to one preemption", () => {
    const { violation, complete, executions } = explore(careless(3, 3), { scheduler });
    expect(violation).toMatchObject({ invariant: "check", preemptions: 1 });
    expect(executions).toBeLessThan(1000);
    expect(complete).toBe(false);
  });
});

test("dfs says when it has seen everything: two threads of two steps, six orders, three final states", () => {
  const program = { ...careless(2, 1), check: () => {} };
  const all = explore(program, { scheduler: "dfs", bound: 4 });
  expect(all).toMatchObject({ complete: true, finalStates: 2 });
  const some = explore(program, { scheduler: "dfs", bound: 0 });
  expect(some).toMatchObject({
    complete: false,
    executions: 2,
    claim: "every execution with at most 0 preemptions was run",
  });
});
