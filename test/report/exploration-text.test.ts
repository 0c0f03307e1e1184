import { expect, test } from "vitest";
import { explore } from "../../src/explore/explore.ts";
import { renderExploration } from "../../src/report/exploration-text.ts";
import { careful, careless } from "../explore/toys.ts";

test("what is wrong, how it was found, and the way there with the threads' names", () => {
  const program = careless(2, 1);
  const text = renderExploration(program, explore(program, { scheduler: "dfs" }));
  expect(text).toMatch(
    /^VIOLATION check: 1 of 2 counted\n {2}execution \d+ of dfs, seed 1; shrunk to 4 steps, 1 preemption\n\n/,
  );
  expect(text).toMatch(/CPU 0: addOne +CPU 1: addOne\n/);
  expect(text).toMatch(/=> check: 1 of 2 counted$/);
});

test("what was tried, when nothing was wrong", () => {
  const program = careful(2, 1);
  expect(renderExploration(program, explore(program, { scheduler: "dfs", bound: 9 }))).toMatch(/^COMPLETE/);
  expect(renderExploration(program, explore(program, { executions: 50 }))).toMatch(
    /^STOPPED.*\n {2}50 executions by pos/,
  );
});
