import { expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import {
  atomicLoad,
  atomicStore,
  fetchAdd,
  futexWait,
  futexWake,
  NO_TIMEOUT,
  nowUs,
  OP_ADD,
  OP_SPIN,
  OP_WAIT,
  runToEnd,
  spinWhile,
  WAIT_NOT_EQUAL,
  WAIT_TIMED_OUT,
  WAIT_WOKEN,
  WAKE_ALL,
} from "../../src/arena/mem.ts";
import { InternalFault, Violation } from "../../src/base/errors.ts";
import { type InterleaveOptions, interleave } from "../../src/explore/engine.ts";
import { describeOutcome, type Outcome } from "../../src/explore/outcome.ts";
import { scheduleOf, timerChoice } from "../../src/explore/schedule.ts";
import { type Scheduler, type StepView, spinsInVain } from "../../src/explore/scheduler.ts";
import { fixedScheduler } from "../../src/explore/schedulers/fixed.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import {
  carelessIncrement,
  createToy,
  crossLocks,
  increment,
  mix,
  Toy,
  toyCpu,
  toySync,
  toyWord,
} from "../race/workers/toy.ts";

type Program = (cpu: Cpu) => Steps<unknown>;

function explore(
  programs: readonly Program[],
  scheduler: Scheduler,
  more: Partial<InterleaveOptions> = {},
): { outcome: Outcome; words: Int32Array } {
  const machine = { cpus: programs.length };
  const words = more.words ?? createToy(machine);
  const cpuOf: InterleaveOptions["cpuOf"] = (id, port) => toyCpu(words, machine, id, port);
  const outcome = interleave({ words, programs, cpuOf, scheduler, sync: toySync(words, machine), ...more });
  return { outcome, words };
}

function follow(...choices: number[]): Scheduler {
  return fixedScheduler(scheduleOf(choices));
}

test("a lock keeps every update over 1,000 seeds", () => {
  for (let seed = 0; seed < 1000; seed++) {
    const programs = [3, 3, 3].map((times) => (cpu: Cpu) => increment(cpu, { times }));
    const { outcome, words } = explore(programs, randomScheduler(seed));
    expect(outcome.state, `seed ${seed}: ${describeOutcome(outcome)}`).toBe("finished");
    expect(words[toyWord({ cpus: 3 }, Toy.counter)]).toBe(9);
  }
});

test("without the lock some seed loses an update", () => {
  const finals = new Set<number>();
  for (let seed = 0; seed < 100; seed++) {
    const programs = [2, 2].map((times) => (cpu: Cpu) => carelessIncrement(cpu, { times }));
    const { words } = explore(programs, randomScheduler(seed));
    finals.add(words[toyWord({ cpus: 2 }, Toy.counter)] as number);
  }
  expect([...finals].sort()).toEqual([2, 3, 4]);
});

test("a recorded schedule repeats the execution bit for bit", () => {
  for (let seed = 0; seed < 300; seed++) {
    const program: Program = (cpu) => mix(cpu, { seed, operations: 12, cpus: 3 });
    const first = explore([program, program, program], randomScheduler(seed));
    const second = explore([program, program, program], fixedScheduler(first.outcome.schedule));
    expect(second.outcome, `seed ${seed}`).toEqual(first.outcome);
    const differs = second.words.findIndex((word, at) => word !== first.words[at]);
    expect(differs, `seed ${seed}: first word that differs`).toBe(-1);
  }
});

test("two locks in opposite orders deadlock on some seed, and the report names the circle", () => {
  const programs = [0, 1].map(() => (cpu: Cpu) => crossLocks(cpu, { times: 2 }));
  const outcomes = Array.from({ length: 60 }, (_, seed) => explore(programs, randomScheduler(seed)).outcome);
  const states = new Set(outcomes.map((outcome) => outcome.state));
  expect(states).toEqual(new Set(["finished", "deadlock"]));
  const dead = outcomes.find((outcome) => outcome.state === "deadlock");
  const a = toyWord({ cpus: 2 }, Toy.lockA);
  const b = toyWord({ cpus: 2 }, Toy.lockB);
  expect(dead).toMatchObject({ report: expect.stringContaining(`awaits toyB at word ${b}, held by CPU 1`) });
  expect(dead).toMatchObject({ report: expect.stringContaining(`awaits toyA at word ${a}, held by CPU 0`) });
  expect(dead).toMatchObject({ report: expect.stringContaining("CPU 0 waits for CPU 1, which waits for CPU 0") });
});

test("operations announce kind, word and operands before they run", () => {
  const word = toyWord({ cpus: 1 }, Toy.tally);
  const seen: number[][] = [];
  const watching: Scheduler = {
    name: "watching",
    begin: () => {},
    pick: (view: StepView) => {
      seen.push([...view.run.pending.subarray(0, 4), view.words[word] as number]);
      return 0;
    },
  };
  explore(
    [
      function* program(cpu) {
        yield* fetchAdd(cpu, word, 5);
        yield* spinWhile(cpu, word, 5, 9);
        yield* atomicStore(cpu, word, 1);
      },
    ],
    watching,
  );
  expect(seen.slice(0, 2)).toEqual([
    [OP_ADD, word, 5, 0, 0],
    [OP_SPIN, word, 5, 9, 5],
  ]);
  expect(seen).toHaveLength(3);
});

test("a scheduler is told which spin would run out of budget", () => {
  const word = toyWord({ cpus: 2 }, Toy.tally);
  const vain: boolean[] = [];
  const order = follow(1, 0);
  const scheduler: Scheduler = {
    ...order,
    pick: (view) => {
      vain.push(spinsInVain(view, 0));
      return order.pick(view);
    },
  };
  const spinner: Program = function* spinner(cpu) {
    return yield* spinWhile(cpu, word, 0, 100);
  };
  const writer: Program = function* writer(cpu) {
    yield* atomicStore(cpu, word, 8);
  };
  const { outcome } = explore([spinner, writer], scheduler);
  expect(vain).toEqual([true, false]);
  expect(outcome).toMatchObject({ state: "finished", results: [8, undefined] });
  expect(explore([spinner, writer], follow(0, 1)).outcome).toMatchObject({ results: [0, undefined] });
});

test("wakes go to sleepers in the order in which they parked", () => {
  const word = toyWord({ cpus: 4 }, Toy.gate);
  const sleeper: Program = function* sleeper(cpu) {
    yield* futexWait(cpu, word, 0, NO_TIMEOUT);
    return yield* fetchAdd(cpu, word, 1);
  };
  const waker: Program = function* waker(cpu) {
    const one = yield* futexWake(cpu, word, 1);
    const rest = yield* futexWake(cpu, word, WAKE_ALL);
    return one * 10 + rest;
  };
  // CPUs 2, 0, 1 park; the waker wakes one: only CPU 2 can run then.
  const first = explore([sleeper, sleeper, sleeper, waker], follow(2, 0, 1, 3, 2, 2, 3, 0, 0, 1, 1));
  expect(first.outcome).toMatchObject({ state: "finished", results: [1, 2, 0, 12] });
  expect(() => explore([sleeper, sleeper, sleeper, waker], follow(2, 0, 1, 3, 0))).toThrow(
    `replay: step 4 of the schedule: CPU 0 sleeps on word ${word}`,
  );
});

test("a wait whose word has changed does not sleep", () => {
  const word = toyWord({ cpus: 1 }, Toy.gate);
  const program: Program = function* program(cpu) {
    return yield* futexWait(cpu, word, 1, NO_TIMEOUT);
  };
  expect(explore([program], follow(0)).outcome).toMatchObject({ state: "finished", results: [WAIT_NOT_EQUAL] });
});

const timed = (word: number, us: number): Program =>
  function* sleeper(cpu) {
    const result = yield* futexWait(cpu, word, 0, us);
    return [result, nowUs(cpu)];
  };

test("the clock moves to the earliest deadline when nobody can run", () => {
  const word = toyWord({ cpus: 2 }, Toy.gate);
  const { outcome } = explore([timed(word, 300), timed(word, 20)], follow(0, 1, timerChoice(1), 1, timerChoice(0), 0));
  expect(outcome).toMatchObject({
    timeNs: 300_000,
    results: [
      [WAIT_TIMED_OUT, 300],
      [WAIT_TIMED_OUT, 20],
    ],
  });
});

test("while somebody runs, a timer may fire before the wake or after it", () => {
  const word = toyWord({ cpus: 2 }, Toy.gate);
  const waker: Program = function* waker(cpu) {
    return yield* futexWake(cpu, word, 1);
  };
  const late = explore([timed(word, 50), waker], follow(0, timerChoice(0), 1, 0)).outcome;
  expect(late).toMatchObject({ state: "finished", timeNs: 50_000, results: [[WAIT_TIMED_OUT, 50], 0] });
  const early = explore([timed(word, 50), waker], follow(0, 1, 0)).outcome;
  expect(early).toMatchObject({ state: "finished", timeNs: 0, results: [[WAIT_WOKEN, 0], 1] });
  const results = new Set<string>();
  for (let seed = 0; seed < 300; seed++) {
    const { outcome } = explore([timed(word, 50), waker], randomScheduler(seed));
    if (outcome.state === "finished") results.add(JSON.stringify(outcome.results));
  }
  expect(results.size).toBe(2);
});

test("timers are offered in the order of deadlines, all of them when time is free", () => {
  const word = toyWord({ cpus: 3 }, Toy.gate);
  const offered = (time: "ordered" | "free"): number[][] => {
    const lists: number[][] = [];
    const random = randomScheduler(3);
    const scheduler: Scheduler = {
      ...random,
      pick: (view) => {
        lists.push([...view.timers.subarray(0, view.timerCount)]);
        return view.enabledCount > 0 ? (view.enabled[0] as number) : timerChoice(view.timers[0] as number);
      },
    };
    explore([timed(word, 70), timed(word, 20), timed(word, 20)], scheduler, { time });
    return lists;
  };
  expect(offered("ordered")[3]).toEqual([1, 2]);
  expect(offered("free")[3]).toEqual([0, 1, 2]);
});

test("more steps than the bound are a livelock, and the verdict prints the bound", () => {
  const program: Program = function* program(cpu) {
    for (;;) yield* atomicLoad(cpu, toyWord({ cpus: 1 }, Toy.tally));
  };
  const { outcome } = explore([program], randomScheduler(1), { maxSteps: 500 });
  expect(outcome).toMatchObject({ state: "livelock", bound: 500, steps: 500 });
  expect(describeOutcome(outcome)).toContain("500 steps");
});

test("findings, faults of oomrace and other faults are told apart", () => {
  const throwing = (error: Error): Program =>
    function* program(cpu) {
      yield* fetchAdd(cpu, toyWord({ cpus: 1 }, Toy.tally), 1);
      throw error;
    };
  const end = (error: Error): Outcome => explore([throwing(error)], randomScheduler(1)).outcome;
  expect(end(new Violation("I4", "broken"))).toMatchObject({ state: "violation", cpu: 0, steps: 1 });
  expect(end(new InternalFault("oops"))).toMatchObject({ state: "fault", internal: true });
  expect(end(new RangeError("odd"))).toMatchObject({ state: "fault", internal: false, error: { message: "odd" } });
});

test("a check after each step ends the execution at the step that broke it", () => {
  const word = toyWord({ cpus: 2 }, Toy.tally);
  const program: Program = function* program(cpu) {
    for (let i = 0; i < 4; i++) yield* fetchAdd(cpu, word, 1);
  };
  const words = createToy({ cpus: 2 });
  const afterStep = (): void => {
    if (words[word] === 3) throw new Violation("I2", "three");
  };
  const { outcome } = explore([program, program], follow(0, 1, 1, 0, 0), { words, afterStep });
  expect(outcome).toMatchObject({ state: "violation", cpu: 1, steps: 3, violation: { invariant: "I2" } });
});

test("an operation that skips its scheduling point is a fault that names the line", () => {
  const word = toyWord({ cpus: 1 }, Toy.tally);
  const hasty: Program = function* hasty(cpu) {
    yield* fetchAdd(cpu, word, 1);
    runToEnd(fetchAdd(cpu, word, 1));
  };
  const { outcome } = explore([hasty], follow(0));
  expect(outcome).toMatchObject({ state: "fault", internal: true });
  expect(describeOutcome(outcome)).toMatch(/no scheduling point before .*hasty.*engine\.test\.ts:\d+/);
});

test("an operation before the first scheduling point is caught as well", () => {
  const hasty: Program = function* hasty(cpu) {
    runToEnd(fetchAdd(cpu, toyWord({ cpus: 1 }, Toy.tally), 1));
    yield* fetchAdd(cpu, toyWord({ cpus: 1 }, Toy.tally), 1);
  };
  expect(describeOutcome(explore([hasty], follow(0)).outcome)).toMatch(/granted 0; .*hasty/);
});

test("a yield outside the seam is a fault", () => {
  const bare: Program = function* bare(cpu) {
    yield* fetchAdd(cpu, toyWord({ cpus: 1 }, Toy.tally), 1);
    yield;
  };
  const { outcome } = explore([bare], follow(0, 0));
  expect(describeOutcome(outcome)).toContain("a yield outside arena/mem");
});

test("abandoned programs are dropped: their finally blocks do not run", () => {
  let cleaned = 0;
  const program: Program = function* program(cpu) {
    try {
      yield* futexWait(cpu, toyWord({ cpus: 1 }, Toy.gate), 0, NO_TIMEOUT);
    } finally {
      cleaned++;
    }
  };
  expect(explore([program], follow(0)).outcome.state).toBe("deadlock");
  expect(cleaned).toBe(0);
});

test("a schedule that is too short ends the execution, a turn of a finished CPU is an error", () => {
  const program: Program = (cpu) => carelessIncrement(cpu, { times: 1 });
  expect(explore([program, program], follow(0, 1)).outcome).toMatchObject({ state: "ended", steps: 2 });
  expect(() => explore([program, program], follow(0, 0, 0))).toThrow("step 2 of the schedule: CPU 0 has finished");
  expect(() => explore([program, program], follow(5))).toThrow("step 0 of the schedule: there is no CPU 5, only 2");
});

test("a scheduler that names a CPU which cannot run is a fault of oomrace", () => {
  const program: Program = (cpu) => carelessIncrement(cpu, { times: 1 });
  const wrong: Scheduler = { name: "wrong", begin: () => {}, pick: () => timerChoice(0) };
  expect(() => explore([program], wrong)).toThrow("pick: wrong chose badly at step 0: CPU 0 has no armed timer");
});

test("a CPU that returns without a shared operation needs no step", () => {
  const { outcome } = explore([function* idle() {}], randomScheduler(1));
  expect(outcome).toMatchObject({ state: "finished", steps: 0 });
});

test("the pending operation of a woken sleeper is none: it only learns why it woke", () => {
  const word = toyWord({ cpus: 2 }, Toy.gate);
  const kinds: number[] = [];
  const order = follow(0, 1, 0);
  const scheduler: Scheduler = {
    ...order,
    pick: (view) => {
      kinds.push(view.run.pending[0] as number);
      return order.pick(view);
    },
  };
  const waker: Program = function* waker(cpu) {
    yield* futexWake(cpu, word, 1);
  };
  explore([timed(word, 50), waker], scheduler);
  expect(kinds).toEqual([OP_WAIT, 0, 0]);
});
