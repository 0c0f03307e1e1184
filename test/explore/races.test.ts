import { describe, expect, test } from "vitest";
import { explore } from "../../src/explore/explore.ts";
import type { Program } from "../../src/explore/program.ts";
import { LOCKS } from "../../src/sync/index.ts";
import * as toys from "./race-toys.ts";

/** Executions in which a program without races must stay clean. */
const CLEAN = 3000;

describe("a race is found", () => {
  test.each<[string, Program, string]>([
    ["publication by a plain flag", toys.plainFlag, "flag"],
    ["publication by a hint", toys.hintedFlag, "data"],
    ["a time limit orders nothing", toys.timedOut, "data"],
    ["where the order of conflicting stores hides it", toys.hiddenByOrder, "data"],
  ])("%s", (_what, program, word) => {
    const { violation } = explore(program);
    expect(violation?.invariant).toBe("data race");
    expect(violation?.race?.name).toBe(word);
  });

  test("in the very first execution, whatever its order", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const { violation } = explore(toys.hiddenByOrder, { seed, executions: 1, shrinkBudget: 0 });
      if (violation?.invariant !== "data race") expect.fail(`seed ${seed}: ${violation?.message}`);
    }
  });

  test("a free is a write of all that is freed", () => {
    const { violation } = explore(toys.freedMeanwhile, { scheduler: "dfs", executions: 1, shrinkBudget: 0 });
    expect(violation).toMatchObject({ invariant: "data race", race: { name: "data" } });
    expect(explore(toys.freedMeanwhile, { scheduler: "dfs", bound: 0, races: false, executions: 1 }).violation).toBe(
      undefined,
    );
  });

  test("both sides are named, with what ordered them last", () => {
    const { violation } = explore(toys.hiddenByOrder, { scheduler: "dfs" });
    const lines = violation?.message.split("\n") ?? [];
    expect(lines[0]).toMatch(
      /^data race: data: CPU \d (reads|writes) it and CPU \d (read|wrote) it before, and nothing/,
    );
    expect(lines[1]).toMatch(/^CPU \d (reads|writes) it at step \d, in (writesLate|readsEarly)\(\)$/);
    expect(lines[3]).toMatch(
      /^CPU \d (never heard of CPU \d|last heard of CPU \d at step \d, through .+, and not of this)$/,
    );
  });

  test("not with races: false, and then nothing is complete", () => {
    const options = { scheduler: "dfs", bound: 20, races: false } as const;
    expect(explore(toys.messagePassing, { ...options, races: true })).toMatchObject({ complete: true, races: true });
    expect(explore(toys.messagePassing, options)).toMatchObject({ complete: false, races: false });
    expect(explore(toys.plainFlag, options).violation).toBeUndefined();
  });
});

describe("its damage is reported with it", () => {
  test("a lost count: the plain accesses become scheduling points", () => {
    const { violation } = explore(toys.unlocked(2, 1));
    expect(violation).toMatchObject({ invariant: "check", message: "check: 1 of 2 counted", preemptions: 1 });
    expect(violation?.watch).toEqual({ points: [toys.DATA] });
    expect(violation?.race?.message).toContain("data race: data: CPU");
    expect(explore(toys.unlocked(2, 1), { races: false }).violation).toBeUndefined();
  });

  test.each(LOCKS)("$name on one side only", (lock) => {
    const { violation } = explore(toys.locked(lock, true));
    expect(violation).toMatchObject({ invariant: "check", race: { name: "data" } });
  });
});

describe(`no race is seen where there is none, in ${CLEAN} executions`, () => {
  const clean: [string, Program][] = [
    ["message passing by an atomic flag", toys.messagePassing],
    ["release sequence through a read-modify-write", toys.throughRmw],
    ["a compareExchange that fails, and a spin", toys.failedCmpxchg],
    ["an exchange", toys.exchanged],
    ["a wake-up", toys.wokenUp],
    ["a wait that finds the word changed", toys.notEqual],
    ...LOCKS.map((lock): [string, Program] => [`${lock.name} around a counter`, toys.locked(lock)]),
    ...LOCKS.filter(({ read }) => read).map((lock): [string, Program] => [
      `${lock.name} with readers`,
      toys.readAndWritten(lock),
    ]),
  ];
  test.each(clean)("%s", (_what, program) => {
    for (const scheduler of ["random", "pos"]) {
      const { violation, executions } = explore(program, { scheduler, executions: CLEAN });
      expect(violation?.message).toBeUndefined();
      expect(executions).toBe(CLEAN);
    }
  });
});
