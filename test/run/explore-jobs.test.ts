import { beforeAll, expect, test } from "vitest";
import type { Exploration, ExploreOptions } from "../../src/explore/explore.ts";
import type { Program } from "../../src/explore/program.ts";
import type { JobsOptions } from "../../src/run/explore-jobs.ts";
import { distUrl } from "../../src/strip/dist.ts";

type Library = typeof import("../../src/index.ts");

/** Jobs load the built package, so what they are compared with is the built package, too. */
let library: Library;

beforeAll(async () => {
  library = (await import(distUrl("index.js").href)) as Library;
});

function moduleOf(name: string): URL {
  return new URL(`programs/${name}.mjs`, import.meta.url);
}

function inJobs(name: string, options: JobsOptions): Promise<Exploration> {
  return library.exploreInParallel(moduleOf(name), options);
}

async function inOne(name: string, options: ExploreOptions): Promise<Exploration> {
  const { default: program } = (await import(moduleOf(name).href)) as { default: Program };
  return library.explore(program, options);
}

function withoutTimes(exploration: Exploration): Omit<Exploration, "seconds" | "shrinkSeconds"> {
  const { seconds, shrinkSeconds, ...rest } = exploration;
  return rest;
}

test.each(["random", "pct", "pos"])("%s: the first failure by number, whoever finds one first", async (scheduler) => {
  const failed: number[] = [];
  for (const seed of [1, 4]) {
    const options = { scheduler, seed, depth: 4 };
    const one = await inOne("unlucky", options);
    failed.push(one.violation?.execution as number);
    for (const jobs of [1, 2]) {
      const several = await inJobs("unlucky", { ...options, jobs });
      expect(withoutTimes(several)).toEqual(withoutTimes(one));
    }
  }
  // Some lie behind the chunk that is dealt out first.
  expect(Math.max(...failed)).toBeGreaterThan(64);
});

test("no failure: as many executions, steps and final states", async () => {
  const options = { scheduler: "random", executions: 1000 };
  const one = await inOne("sound", options);
  expect(one).toMatchObject({ executions: 1000, complete: false });
  expect(one.finalStates).toBeGreaterThan(50);
  const several = await inJobs("sound", { ...options, jobs: 3 });
  expect(withoutTimes(several)).toEqual(withoutTimes(one));
});

test("ends when told to, with what there is", async () => {
  const endless = { executions: Number.MAX_SAFE_INTEGER, jobs: 2 };
  let heard = 0;
  const stopped = await inJobs("sound", {
    ...endless,
    progress: (executions) => {
      heard = executions;
    },
    stopped: () => heard > 0,
  });
  expect(stopped.executions).toBeGreaterThanOrEqual(heard);
  const late = await inJobs("sound", { ...endless, seconds: 0.3 });
  expect([late.complete, late.violation]).toEqual([false, undefined]);
});

test.each<[string, Partial<JobsOptions>, string, string]>([
  ["sound", { scheduler: "dfs" }, "UsageError", "explore: jobs: dfs goes on from where it was"],
  ["sound", { jobs: 0 }, "UsageError", "explore: jobs: got 0, expected a whole number from 1 to 256"],
  ["none", {}, "UsageError", "expected a program as default export, with words and threads"],
  ["moody", { scheduler: "random" }, "Nondeterminism", "did not repeat"],
  ["leaves", {}, "JobDied", "explore: a job died"],
])("%s, %j: one line says what is wrong", async (name, options, error, message) => {
  const thrown = await inJobs(name, { jobs: 2, ...options }).catch((reason: Error) => reason);
  expect(thrown).toMatchObject({ name: error });
  expect((thrown as Error).message).toContain(message);
  expect((thrown as Error).message).not.toContain("\n");
});
