/** `oomrace bench` from end to end, in smoke size. */

import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BenchResult, MeasuredBlock } from "../../src/report/bench-result.ts";
import { Oomrace, oomrace } from "./oomrace.ts";
import { schemaErrors } from "./schema.ts";
import { changedProtocol, tellingOrder, UserFiles } from "./user-files.ts";

const ENDLESS = "--layout one-vma --pages 2^12 --pairs 1000000 --quick --hz 1".split(" ");
const TINY = "--layout one-vma --pages 2^10 --pairs 1 --quick --order forward".split(" ");

let files: UserFiles;
beforeAll(() => {
  files = new UserFiles();
});
afterAll(() => files.remove());

function readResult(name: string): BenchResult {
  return JSON.parse(readFileSync(files.path(name), "utf8")) as BenchResult;
}

function measuredBlocks(result: BenchResult): MeasuredBlock[] {
  return result.blocks.filter((block) => block.state === "measured");
}

describe.concurrent("bench", () => {
  test("--quick: every layout, a report for pipes, a result by its schema", async () => {
    const { code, stdout, stderr } = await oomrace("bench", "--quick", "--json", files.path("quick.json"));
    expect([code, stderr]).toEqual([0, ""]);
    for (const control of ["\u001b", "\r"]) expect(stdout).not.toContain(control);
    expect(stdout.split("\n").filter((line) => line.length > 120)).toEqual([]);
    expect(stdout).toContain("\n\nvmas-2m, sequential frames, 16,384 pages in 32 VMAs; medians of 2 pairs:\n");
    expect(stdout).toContain("note: hypothetical: reverse with v6.1, whose reaper walks forward");
    expect(stdout).toContain("no difference to expect between forward and reverse: with one VMA");
    const result = readResult("quick.json");
    expect(schemaErrors("bench", result)).toBeNull();
    const expected = ["vmas-2m", "one-vma", "small-vmas", ...(existsSync("/proc/self/smaps") ? ["self"] : [])];
    expect([...new Set(measuredBlocks(result).map(({ setup }) => setup.layout))]).toEqual(expected);
    const { mrelease } = result;
    if (mrelease.state === "measured") expect(mrelease.rows.map(({ layout }) => layout)).toEqual(expected);
    else expect(mrelease.reason).toMatch(/^(not Linux|Linux \S+ has no process_mrelease|no C compiler)/);
    expect(stdout).toMatch(/^process_mrelease on this kernel(: not measured: | \(Linux )/m);
    const stalls = result.allocators.flatMap((block) => (block.state === "measured" ? block.variants : []));
    const samples = stalls.flatMap(({ trials }) => trials.flatMap(({ actors }) => actors));
    expect(samples.filter(({ role }) => role === "allocator").map((one) => one.stalls)).not.toContain(null);
    expect(samples.filter(({ role }) => role !== "allocator").every((one) => one.stalls === null)).toBe(true);
  });

  test("a user's protocol and order, in a sweep of sizes; --json - prints nothing but the result", async () => {
    const { code, stdout, stderr } = await oomrace(
      ..."bench --quick --layout vmas-2m --pages 2^11,2^12,2^13 --pairs 2 --json -".split(" "),
      ..."--protocol examples/protocol/coarse-exit.ts --order forward,examples/protocol/even-odd.ts".split(" "),
    );
    expect([code, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout) as BenchResult;
    expect(schemaErrors("bench", result)).toBeNull();
    expect(result.options).toMatchObject({ protocol: "coarse-exit", orders: ["forward", "even-odd"] });
    expect(result.notes).toContain("protocol coarse-exit from examples/protocol/coarse-exit.ts");
    expect(result.notes).toContain("order even-odd from examples/protocol/even-odd.ts");
    const blocks = measuredBlocks(result);
    expect(blocks.map(({ layout }) => layout.presentPages)).toEqual([2048, 2048, 4096, 4096, 8192, 8192]);
    // One side at a time: whoever comes first unmaps everything.
    for (const { trials } of blocks.flatMap(({ variants }) => variants)) {
      for (const { actors, pages } of trials) {
        expect(actors.map((actor) => actor.pages)).toContain(pages);
        expect(actors.flatMap(({ locks }) => locks).find((lock) => lock.class === "pte_lock")?.contended).toBe(0);
      }
    }
    const growth = result.notes.filter((note) => note.includes("each doubling takes"));
    expect(growth).toHaveLength(4);
    expect(growth[0]).toMatch(/^vmas-2m, sequential frames, 2,048 to 4,096 pages: each doubling takes [\d.]+ times/);
  });

  test("a sweep of VMAs, one kind of frames, nothing beside the layouts", async () => {
    const { code, stdout, stderr } = await oomrace(
      ..."bench --quick --layout small-vmas --pages 2^12 --vmas 10,100,1000 --frames random --layouts-only".split(" "),
      ..."--pairs 1 --order reverse --json".split(" "),
      files.path("vmas.json"),
    );
    expect([code, stderr]).toEqual([0, ""]);
    const result = readResult("vmas.json");
    expect(schemaErrors("bench", result)).toBeNull();
    expect(result.options).toMatchObject({ vmas: [10, 100, 1000], frames: ["random"], layoutsOnly: true });
    const blocks = measuredBlocks(result);
    expect(blocks.map(({ setup, layout }) => [setup.frames, layout.vmas])).toEqual([
      ["random", 10],
      ["random", 100],
      ["random", 1000],
    ]);
    for (const { staging, variants, peakRssBytes } of blocks) {
      expect(staging.arenaBytes).toBeGreaterThan(2 ** 12 * 16);
      expect(staging.arenaBytes).toBeLessThan(peakRssBytes);
      expect(Math.min(staging.bootNs, staging.buildNs)).toBeGreaterThan(0);
      // A pair of one has no interval, so no control is measured.
      expect(variants.map(({ name, trials, again }) => [name, trials.length, again])).toEqual([
        ["solo", 1, null],
        ["reverse", 1, null],
      ]);
    }
    expect(result.growth.map(({ vmas, setupTimes }) => [vmas, setupTimes === null])).toEqual([
      [10, true],
      [100, false],
      [1000, false],
    ]);
    expect([result.granularity, result.allocators, result.lockOperations, result.costs]).toEqual([[], [], [], []]);
    expect(stdout).toContain("\n\nGrowth with the size: setup (boot and build), teardown (solo, medians)\n");
    expect(stdout).toContain("\n\nC twin: not measured: --layouts-only");
  });

  test("an invariant that breaks: no figures, exit code 1", async () => {
    const leaky = files.write("leaky.ts", changedProtocol("leaky", "exitMmap", "yield* setMmFlag(cpu, mm, 0);"));
    const { code, stdout } = await oomrace("bench", ...TINY, "--protocol", leaky);
    expect(stdout).toMatch(/^one-vma, sequential frames\n {2}BROKEN, no figures: I\d+: /m);
    expect(stdout).not.toContain("the victim alone");
    expect(code).toBe(1);
  });

  test("a hang: what every CPU is at, exit code 3", async () => {
    const body = "yield* mmapWriteLock(cpu, mm);\n  yield* mmapReadLock(cpu, mm);\n  return 0;";
    const stuck = files.write("stuck.ts", changedProtocol("stuck", "mreleaseMm", body));
    const result = files.path("hang.json");
    const { code, stdout, stderr } = await oomrace("bench", ...TINY, "--protocol", stuck, "--json", result);
    expect(stderr).toMatch(/^oomrace: no CPU advanced for 10 s\nCPU 0 \(victim\).*\nCPU 1 \(mrelease\).*mmap_lock/);
    expect(stdout).toContain("bench, ENDED BY A HANG: partial results");
    expect(code).toBe(3);
    const { partial, hang, blocks, ...rest } = readResult("hang.json");
    expect(schemaErrors("bench", { partial, hang, blocks, ...rest })).toBeNull();
    expect([partial, `oomrace: ${hang}\n`, blocks]).toEqual([true, stderr, []]);
  });
});

describe.concurrent("interrupted", () => {
  test("writes the complete pairs, marked partial, exit code 130", async () => {
    const order = files.write("telling.ts", tellingOrder(20));
    const run = new Oomrace(["bench", ...ENDLESS, "--order", order, "--json", files.path("partial.json")]);
    await run.says("walking");
    run.child.kill("SIGINT");
    const { code, stdout, stderr } = await run.ended;
    expect(stderr).toBe("walking\noomrace: stopping after this trial; again to stop at once\n");
    expect(stdout).toContain("INTERRUPTED: partial results");
    expect(code).toBe(130);
    const result = readResult("partial.json");
    expect(schemaErrors("bench", result)).toBeNull();
    expect(result.partial).toBe(true);
    const [block, ...more] = measuredBlocks(result);
    expect(more).toEqual([]);
    const { pairs = 0, notes = [], variants = [] } = block ?? {};
    expect(pairs).toBeGreaterThan(4);
    expect(notes).toContain(`interrupted: ${pairs} of 1000000 pairs`);
    expect(variants.flatMap(({ trials, again }) => [trials.length, again?.length ?? pairs])).toEqual(
      variants.flatMap(() => [pairs, pairs]),
    );
  });

  test("a second signal ends it at once, whatever is under way", async () => {
    const body = 'writeSync(2, "asleep\\n");\n  yield* sleepUs(cpu, 8_000_000);\n  return 0;';
    const sleepy = files.write("sleepy.ts", changedProtocol("sleepy", "mreleaseMm", body));
    const run = new Oomrace(["bench", ...ENDLESS, "--order", "forward", "--protocol", sleepy]);
    await run.says("asleep");
    run.child.kill("SIGTERM");
    await run.says("stopping after this trial");
    run.child.kill("SIGINT");
    const { code, stdout } = await run.ended;
    expect([code, stdout]).toEqual([130, ""]);
  });
});

test("--needless and what it leaves out", async () => {
  for (const [option, value] of [["layouts-only"], ["protocol", "v6.1"]]) {
    const { code, stderr } = await oomrace(
      "bench",
      "--needless",
      `--${option}`,
      ...(value === undefined ? [] : [value]),
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining(`--${option} with --needless: expected only one`)]);
  }
});

test("--needless: a table of kills by protocol and nothing else", async () => {
  const { code, stdout, stderr } = await oomrace(
    ..."bench --needless --quick --kills 4 --hz 10 --json".split(" "),
    "-",
  );
  expect([code, stderr]).toEqual([0, ""]);
  const result = JSON.parse(stdout) as BenchResult;
  expect(schemaErrors("bench", result)).toBeNull();
  expect([result.blocks, result.allocators, result.costs]).toEqual([[], [], []]);
  const protocols = [...new Set(result.pressure.map(({ setup }) => setup.protocol))];
  expect(protocols).toEqual(expect.arrayContaining(["v4.13", "v4.14", "v6.1", "v6.18"]));
  const later = result.pressure.filter(({ setup }) => setup.protocol !== "v4.13");
  expect(later.map((row) => (row.state === "measured" ? row.needless : row.reason))).toEqual(later.map(() => 0));
});
