/** dpor against the obvious: every schedule run, and classes told apart by who came before whom. */

import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Cpu, Steps } from "../../../src/arena/cpu.ts";
import { atomicLoad, atomicStore, spinWhile } from "../../../src/arena/mem.ts";
import type { TimeModel } from "../../../src/explore/engine.ts";
import { explore } from "../../../src/explore/explore.ts";
import type { Program } from "../../../src/explore/program.ts";
import type { Scheduler } from "../../../src/explore/scheduler.ts";
import { dporScheduler } from "../../../src/explore/schedulers/dpor.ts";
import { careful, careless, sleeper } from "../toys.ts";
import { generated, type Instruction, programs } from "./dpor/generated.ts";
import { lockPrograms } from "./dpor/locks.ts";
import { everySchedule, exploreAll, type ProgramOf } from "./dpor/naive.ts";

/** Programs with more schedules are left out. */
const LIMIT = 20_000;
const SEED = 20261125;

function dpor(cpus: number): Scheduler {
  return dporScheduler({ seed: 1, cpus, steps: 1, timed: false, depth: 1, bound: 0, spins: 9, watched: [] });
}

/** What is wrong with how dpor explores the program; undefined when it has too many schedules to tell. */
function faults(programOf: ProgramOf, time: TimeModel, make = dpor): string[] | undefined {
  const naive = exploreAll(programOf, everySchedule, LIMIT, time);
  if (!naive) return undefined;
  const reduced = exploreAll(programOf, make, LIMIT, time);
  if (!reduced) return ["more executions than there are schedules"];
  const missing = [...naive.classes].filter((one) => !reduced.classes.has(one)).length;
  const unseen = [...naive.endings].filter((one) => !reduced.endings.has(one));
  const twice = reduced.executions - reduced.classes.size;
  return [
    ...(missing > 0 ? [`${missing} of ${naive.classes.size} classes missed`] : []),
    ...unseen.map((ending) => `never ended so: ${ending}`),
    ...(twice > 0 ? [`${twice} executions for nothing`] : []),
    ...(reduced.cut > 0 ? [`${reduced.cut} executions broken off`] : []),
  ];
}

describe.each(["ordered", "free"] as const)(
  "generated programs of atomics, sleeps, wakes and timers, time %s",
  (time) => {
    it("one execution for each class, and none broken off", () => {
      let compared = 0;
      const check = (threads: readonly (readonly Instruction[])[]): void => {
        const found = faults((onClockRead) => generated(threads, onClockRead), time);
        if (!found) return;
        compared++;
        expect(found).toEqual([]);
      };
      fc.assert(fc.property(programs, check), { seed: SEED, numRuns: 250 });
      expect(compared).toBeGreaterThan(200);
    });
  },
);

describe("programs with locks", () => {
  it.each(lockPrograms)("$name: one execution for each class", ({ program }) => {
    expect(faults(() => program, "ordered")).toEqual([]);
  });
});

describe("explore with dpor", () => {
  it("says how many classes there are, and that it is complete", () => {
    const { complete, executions, cutShort, claim } = explore(careful(2, 1), { scheduler: "dpor" });
    expect({ complete, executions, cutShort, claim }).toEqual({
      complete: true,
      executions: 4,
      cutShort: 0,
      claim: "all 4 classes of interleavings were explored",
    });
  });

  it("is not complete when it was stopped before", () => {
    const { complete, claim } = explore(careful(2, 2), { scheduler: "dpor", executions: 5 });
    expect([complete, claim]).toEqual([false, "5 classes of interleavings were explored"]);
  });

  it.each([
    ["a lost update", careless(2, 1), "check"],
    ["a lost wake-up", sleeper(false), "deadlock"],
  ])("finds %s", (_, program: Program, invariant) => {
    const { violation, complete } = explore(program, { scheduler: "dpor" });
    expect([violation?.invariant, complete]).toEqual([invariant, false]);
  });

  it("tries every order of the steps that write what invariants look at, if it is told what that is", () => {
    const sets = (word: number, value: number) =>
      function* set(cpu: Cpu): Steps<void> {
        yield* atomicStore(cpu, word, value);
      };
    const program: Program = {
      words: 2,
      threads: [sets(0, 1), sets(1, 1)],
      invariants: ([first, second]) => {
        if (first === 0 && second === 1) throw new Error("the second came first");
      },
    };
    const untold = explore(program, { scheduler: "dpor" });
    expect([untold.complete, untold.violation, untold.executions]).toEqual([false, undefined, 1]);
    expect(untold.reservation).toContain("which words its invariants look at");
    const told = explore({ ...program, invariantWords: [0, 1] }, { scheduler: "dpor" });
    expect(told.violation?.message).toBe("invariant: the second came first");
  });

  it("is not complete without the race detector", () => {
    const { complete, reservation } = explore(careful(2, 1), { scheduler: "dpor", races: false });
    expect([complete, reservation]).toEqual([false, "data races were not looked for"]);
  });

  it("guesses how many classes there are: all of them at the end", () => {
    const program = careful(3, 1);
    const { executions } = explore(program, { scheduler: "dpor" });
    expect(explore(program, { scheduler: "dpor" }).estimate).toBe(executions);
    const stopped = explore(program, { scheduler: "dpor", executions: executions - 2 });
    expect(stopped.estimate).toBeGreaterThan(executions - 2);
  });

  describe("a loop of spins without end", () => {
    /** Waits for the other one by looking again and again. */
    function* waits(cpu: Cpu): Steps<number> {
      let looks = 0;
      while ((yield* spinWhile(cpu, 0, 0, 10)) === 0) looks++;
      return looks;
    }
    function* comes(cpu: Cpu): Steps<void> {
      yield* atomicLoad(cpu, 1);
      yield* atomicStore(cpu, 0, 1);
    }
    const program: Program = { words: 2, threads: [waits, comes] };

    it.each([1, 2, 3])("is followed for %i spins in vain in a row", (spins) => {
      const looks = new Set<unknown>();
      const check = (_words: Int32Array, results: readonly unknown[]): void => {
        looks.add(results[0]);
      };
      const { complete, executions } = explore({ ...program, check }, { scheduler: "dpor", spins });
      expect([complete, executions]).toEqual([true, spins + 1]);
      expect([...looks].sort()).toEqual(Array.from({ length: spins + 1 }, (_, i) => i));
    });

    it("is a livelock when nobody comes", () => {
      const { violation } = explore({ words: 2, threads: [waits] }, { scheduler: "dpor", maxSteps: 100 });
      expect(violation?.invariant).toBe("livelock");
    });
  });

  it("refuses more threads than it can tell apart", () => {
    const many = careless(32, 1);
    expect(() => explore(many, { scheduler: "dpor" })).toThrow("dpor: got 32 threads, expected 31 at most");
  });
});

describe("a fault in the reduction does not stay hidden", () => {
  afterEach(() => {
    vi.doUnmock("../../../src/explore/dpor/wakeup-tree.ts");
    vi.doUnmock("../../../src/explore/dpor/effect.ts");
    vi.resetModules();
  });

  /** Generated programs that a scheduler made from mocked modules explores wrongly. */
  async function caught(): Promise<number> {
    vi.resetModules();
    const { dporScheduler: faulty } = await import("../../../src/explore/schedulers/dpor.ts");
    const make = (cpus: number): Scheduler =>
      faulty({ seed: 1, cpus, steps: 1, timed: false, depth: 1, bound: 0, spins: 9, watched: [] });
    const samples = fc.sample(programs, { seed: SEED, numRuns: 100 });
    return samples.filter((threads) => {
      const found = faults((onClockRead) => generated(threads, onClockRead), "ordered", make);
      return found !== undefined && found.length > 0;
    }).length;
  }

  it("the cross-check itself is content with what is not faulty", async () => {
    expect(await caught()).toBe(0);
  });

  it("every third request for another order is forgotten", async () => {
    vi.doMock("../../../src/explore/dpor/wakeup-tree.ts", async (original) => {
      const real = await original<typeof import("../../../src/explore/dpor/wakeup-tree.ts")>();
      let requests = 0;
      const forgetful: typeof real.insertSequence = (tree, sequence) => {
        if (++requests % 3 !== 0) real.insertSequence(tree, sequence);
      };
      return { ...real, insertSequence: forgetful };
    });
    expect(await caught()).toBeGreaterThan(10);
  });

  it("a read does not come before the write that follows it", async () => {
    vi.doMock("../../../src/explore/dpor/effect.ts", async (original) => {
      const real = await original<typeof import("../../../src/explore/dpor/effect.ts")>();
      const conflict: typeof real.conflict = (a, b) => !(a === real.WRITE && b === real.READ) && real.conflict(a, b);
      return { ...real, conflict };
    });
    expect(await caught()).toBeGreaterThan(10);
  });
});
