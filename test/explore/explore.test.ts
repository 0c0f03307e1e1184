import { describe, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd } from "../../src/arena/mem.ts";
import { UsageError, Violation } from "../../src/base/errors.ts";
import { UnknownPrimitive } from "../../src/explore/atomics-guard.ts";
import { Explorer, explore, Nondeterminism } from "../../src/explore/explore.ts";
import type { Program } from "../../src/explore/program.ts";
import { schedulers } from "../../src/explore/schedulers/index.ts";
import { careful, careless, sleeper } from "./toys.ts";

describe.each(Object.keys(schedulers))("%s", (scheduler) => {
  test("finds a lost update, and shrinks it to one preemption", () => {
    const { violation, complete, executions } = explore(careless(3, 3), { scheduler });
    expect(violation).toMatchObject({ invariant: "check", preemptions: 1 });
    expect(violation?.message).toMatch(/^check: \d of 9 counted$/);
    expect(violation?.execution).toBe(executions - 1);
    expect(complete).toBe(false);
  });

  test("finds none where there is none", () => {
    const { violation, executions } = explore(careful(2, 2), { scheduler, executions: 2000 });
    expect(violation).toBeUndefined();
    expect(executions).toBeGreaterThan(30);
  });

  test("repeats its executions under the same seed, slice by slice as well", () => {
    const whole = explore(careless(3, 2), { scheduler, seed: 7 });
    const sliced = new Explorer(careless(3, 2), { scheduler, seed: 7 });
    while (!sliced.advance(0));
    const { seconds, shrinkSeconds, ...rest } = sliced.result();
    expect(whole).toMatchObject(rest);
  });
});

describe("what counts as a failure", () => {
  test("nobody can go on: a wake-up that was lost between the look and the sleep", () => {
    const { violation } = explore(sleeper(false));
    expect(violation).toMatchObject({ invariant: "deadlock", preemptions: 1 });
    expect(violation?.message).toContain("CPU 0 sleeps on words[1] while it holds 0");
    expect(explore(sleeper(true), { scheduler: "dfs", bound: 9 })).toMatchObject({ complete: true });
  });

  test("more steps than the bound", () => {
    function* spins(cpu: Cpu): Steps<void> {
      while ((yield* atomicLoad(cpu, 0)) === 0);
    }
    const { violation, maxSteps } = explore({ words: 1, threads: [spins] }, { maxSteps: 50 });
    expect([violation?.invariant, violation?.steps, maxSteps]).toEqual(["livelock", 50, 50]);
  });

  test("an error that a thread throws, a Violation under its own name", () => {
    const throws = (error: Error): Program => ({
      words: 1,
      threads: [
        function* breaks(cpu: Cpu): Steps<void> {
          yield* atomicLoad(cpu, 0);
          throw error;
        },
      ],
    });
    expect(explore(throws(new TypeError("no such thing"))).violation).toMatchObject({
      invariant: "error",
      message: expect.stringMatching(/^CPU 0 threw TypeError: no such thing, at \S+explore\.test\.ts:\d+:\d+$/),
    });
    expect(explore(throws(new Violation("I9", "one victim too many"))).violation?.invariant).toBe("I9");
  });

  test("what the invariants throw after any step, though all is well in the end", () => {
    function* blinks(cpu: Cpu): Steps<void> {
      yield* atomicStore(cpu, 0, 1);
      yield* atomicStore(cpu, 0, 0);
    }
    const invariants = ([word]: Int32Array): void => {
      if (word !== 0) throw new Error(`word is ${word}`);
    };
    const { violation } = explore({ words: 1, threads: [blinks], invariants });
    expect(violation).toMatchObject({ invariant: "invariant", message: "invariant: word is 1", steps: 1 });
  });

  test("not what depends on anything outside the words: that is a fault of the program as such", () => {
    let calls = 0;
    function* moody(cpu: Cpu): Steps<void> {
      for (let i = calls++ % 3; i >= 0; i--) yield* fetchAdd(cpu, i, 1);
    }
    expect(() => explore({ words: 4, threads: [moody, moody] })).toThrow(Nondeterminism);
  });
});

describe("an unknown primitive is refused, and named", () => {
  test("Atomics itself, past the operations that a scheduler sees", () => {
    function* sly(cpu: Cpu): Steps<void> {
      yield* atomicLoad(cpu, 0);
      Atomics.add(cpu.words, 0, 1);
    }
    const run = (): unknown => explore({ words: 1, threads: [sly] });
    expect(run).toThrow(UnknownPrimitive);
    expect(run).toThrow(/^explore: Atomics\.add in sly \(.*explore\.test\.ts:\d+:\d+\), expected the operations of/);
    expect(explore(careful(2, 1)).violation).toBeUndefined();
  });

  test("a bare yield, which announces nothing", () => {
    function* bare(cpu: Cpu): Steps<void> {
      yield* atomicLoad(cpu, 0);
      yield;
    }
    expect(() => explore({ words: 1, threads: [bare] })).toThrow(
      "CPU 0 gave up its turn without a shared operation (a yield outside arena/mem)",
    );
  });

  test("Atomics on memory that nobody shares is nobody's business", () => {
    const own = new Int32Array(1);
    function* counts(cpu: Cpu): Steps<void> {
      yield* atomicLoad(cpu, 0);
      Atomics.store(own, 0, 1);
    }
    expect(explore({ words: 1, threads: [counts] }, { executions: 20 }).violation).toBeUndefined();
  });
});

test("dfs counts: two threads that read, then write have six orders and two final states", () => {
  const program = { ...careless(2, 1), check: () => {} };
  const all = explore(program, { scheduler: "dfs", bound: 4 });
  expect(all).toMatchObject({ complete: true, finalStates: 2 });
  const some = explore(program, { scheduler: "dfs", bound: 0 });
  expect(some).toMatchObject({ complete: false, executions: 2, finalStates: 1 });
  expect(some.claim).toBe("every execution with at most 0 preemptions was run");
});

test("setup, invariants and check get the words that were asked for, and not what lies behind", () => {
  const seen = new Set<number>();
  const see = (words: Int32Array): void => {
    seen.add(words.length);
  };
  const program: Program = { ...careful(2, 1), setup: see, invariants: see, check: see, words: 3 };
  explore(program, { executions: 2 });
  expect([...seen]).toEqual([3]);
});

test("limits: executions, and a violation ends it at once", () => {
  expect(explore(careful(2, 1), { executions: 17 }).executions).toBe(17);
  expect(explore(careful(2, 1), { seconds: 0.000001 }).executions).toBeLessThan(100);
});

test.each<[string, () => unknown, string | RegExp]>([
  [
    "scheduler",
    () => explore(careless(2, 1), { scheduler: "luck" }),
    'scheduler "luck": expected one of random, pct, pos, dfs',
  ],
  ["depth", () => explore(careless(2, 1), { depth: 0 }), "explore: depth: got 0, expected a whole number from 1 on"],
  [
    "words",
    () => explore({ words: 0, threads: [] }),
    "explore: threads: got 0, expected a list of 1 to 127 generator functions",
  ],
  [
    "no generator",
    () => explore({ words: 1, threads: [(() => {}) as unknown as Program["threads"][0]] }),
    "explore: threads[0]: returned nothing, expected a generator function (function*)",
  ],
  [
    "no function",
    () => explore({ ...careless(2, 1), check: 3 as unknown as () => void }),
    "explore: check: got number, expected a function",
  ],
  [
    "setup",
    () => explore({ ...careless(2, 1), setup: (words) => words.at("x" as unknown as number)!.toFixed(101) as never }),
    /^explore: setup: threw RangeError: .*, at \S+explore\.test\.ts:\d+:\d+$/,
  ],
  ["arena", () => explore({ ...careless(2, 1), words: new Int32Array(4) }), "explore: cpuOf: missing"],
])("says what is wrong with its options: %s", (_what, run, message) => {
  expect(run).toThrow(UsageError);
  expect(run).toThrow(message);
});
