/** What programs that import the package get. */

import { expect, test } from "vitest";
import { distUrl } from "../src/strip/dist.ts";
import { schemaErrors } from "./cli/schema.ts";

type Index = typeof import("../src/index.ts");

const load = async (): Promise<Index> => (await import(distUrl("index.js").href)) as Index;

test("the package's own name leads to it", async () => {
  // A variable keeps the type checker from looking for a built package.
  const name = "oomrace";
  expect(await import(name)).toBe(await load());
});

test("a bench that is stopped at once still makes a result by the schema, and a report", async () => {
  const { runBench, buildBenchResult, renderBench, toJson, packageVersion } = await load();
  const request = {
    protocol: "v6.1",
    orders: ["forward"],
    reaper: "mrelease",
    reapers: 1,
    victimSpeed: 1,
    reaperSpeed: 1,
    layouts: ["one-vma"],
    smaps: null,
    pages: [64],
    vmas: [],
    frames: ["sequential"],
    layoutsOnly: false,
    allocators: 0,
    lockGranularity: "table",
    victims: 2,
    kills: 1,
    needless: false,
    pairs: 1,
    hz: 1,
    quick: true,
    seed: 1,
  } as const;
  const raw = await runBench(request, { progress: () => {}, stopped: () => true, modules: [] });
  const result = buildBenchResult(raw);
  expect(schemaErrors("bench", JSON.parse(toJson(result)))).toBeNull();
  expect(renderBench(result)).toMatch(new RegExp(`^oomrace ${packageVersion()} bench, INTERRUPTED`));
});

test("layouts, and the engine with its schedulers", async () => {
  const { buildLayout, countLayout, LAYOUTS, interleave, randomScheduler, schedulers, UsageError } = await load();
  expect(LAYOUTS.map(({ name }) => name)).toContain("vmas-2m");
  expect(countLayout(buildLayout("vmas-2m", { pages: 1024, vmas: 2, seed: 1 })).pteTables).toBe(2);
  expect(() => buildLayout("none", { seed: 1 })).toThrow(UsageError);
  expect(Object.keys(schedulers)).toEqual(["random", "pct", "pos", "dfs", "dpor"]);
  expect(randomScheduler(1).name).toBe("random");
  expect(interleave).toBeTypeOf("function");
});
