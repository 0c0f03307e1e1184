import { expect, test } from "vitest";
import { replayFailures } from "../../bench/explore/replays.ts";
import { toy, unlockedToy } from "../../bench/explore/toy.ts";
import { explore } from "../../src/explore/explore.ts";
import { schedulers } from "../../src/explore/schedulers/index.ts";
import { programOf } from "../../src/scenario/case.ts";
import { findCase } from "../../src/scenario/cases/index.ts";
import { sleeper } from "./toys.ts";

test.each(Object.keys(schedulers))("%s: failures repeat to the last word, packed and read back", (scheduler) => {
  const limits = { failures: 40, executions: 2000 };
  const programs = [unlockedToy, sleeper(false), ...["B1", "B25", "B30"].map((id) => programOf(findCase(id).broken))];
  const replays = programs.map((program) => replayFailures(program, scheduler, 1, limits));
  expect(replays.flatMap(({ strays }) => strays)).toEqual([]);
  // dpor meets every class that fails once only.
  expect(replays.reduce((sum, { failures }) => sum + failures, 0)).toBeGreaterThan(scheduler === "dpor" ? 15 : 80);
});

test("the toy of the benches: sound with its locks, broken without", () => {
  expect(explore(toy, { scheduler: "random", executions: 2000 }).violation).toBeUndefined();
  expect(explore(unlockedToy, { scheduler: "random" }).violation?.message).toMatch(/of 4 tables were zapped$/);
});
