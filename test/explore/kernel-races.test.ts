/** The kernel's own protocols have no data race, on any order of the toy race; what breaks one has. */

import { expect, test } from "vitest";
import { Executor } from "../../src/explore/executor.ts";
import { subjectOf } from "../../src/explore/program.ts";
import { describeRace } from "../../src/explore/race-detector.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { programOf } from "../../src/scenario/case.ts";
import { CASES, findCase } from "../../src/scenario/cases/index.ts";

/** Executions of each. */
const EXECUTIONS = 200;

function racesOf(program: ReturnType<typeof programOf>): Set<string> {
  const subject = subjectOf(program);
  const executor = new Executor(subject, { collectRaces: true });
  const races = new Set<string>();
  for (let seed = 1; seed <= EXECUTIONS; seed++) {
    executor.execute(randomScheduler(seed));
    for (const race of executor.detector?.races ?? []) races.add(describeRace(race, subject.describe));
  }
  return races;
}

test.each(CASES)("$id, mended: none", ({ fixed }) => {
  expect([...racesOf(programOf(fixed))]).toEqual([]);
});

test("B30, without the PTE lock: on entries of page tables", () => {
  const races = [...racesOf(programOf(findCase("B30").broken))];
  expect(races.some((race) => race.startsWith("tables["))).toBe(true);
});
