import { describe, expect, test } from "vitest";
import { renderBench } from "../../src/report/bench-text.ts";
import { formatControl, formatInterval } from "../../src/report/comparison-table.ts";
import { renderList } from "../../src/report/list-result.ts";
import { renderLockTable } from "../../src/report/lock-table.ts";
import { compare } from "../../src/report/stats.ts";
import { block, lock, sampleResult } from "./sample-result.ts";

const TEXT = renderBench(sampleResult());
const LINES = TEXT.split("\n");
const ESCAPE = String.fromCharCode(27);

test("the first screen tells machine, options and the race", () => {
  const screen = LINES.slice(0, 24).join("\n");
  expect(screen).toContain("Example CPU: 2 of 2 CPUs, 1 thread per core, 16.0 GiB; Linux 6.18.44 x64; Node v20.20.2");
  expect(screen).toContain("2 actors, 1.0 per CPU");
  expect(screen).toContain("protocol v6.1, reaper mrelease, PTE lock per table, 21 pairs, seed 1");
  expect(screen).toContain("CPU time from schedstat, resolution 12.0 us");
  expect(screen).toMatch(
    /forward: victim and reaper meet on 4,0\d\d held page-table locks \(48\.\d % of 8,192 taken\)/,
  );
  expect(screen).toMatch(/reverse: on 4, in 7\d\.\d ms\. Ratio 1,0\d\d, 95 % interval \[\d+, 1,0\d\d\]\./);
  expect(screen).toMatch(/^ {2}solo +13\d ms +15\.\d M\/s +4,096 +0 +0\.0 % +0 ns +0 ns +-$/m);
});

test("ratios stand next to interval, p, pairs, outliers and the A/A control", () => {
  const line = LINES.find((one) => one.startsWith("  solo / reverse, time"));
  expect(line).toMatch(/ 1\.8\d\d +\[1\.8\d\d, 1\.8\d\d\] +< 0\.0001 +21 +\d +forward 1\.\d{3} \[.+\] contains 1$/);
});

test("one VMA: says that there is no difference, and why", () => {
  const notes = LINES.filter((one) => one.includes("no difference shown"));
  expect(notes).toEqual([
    "  note: no difference shown between forward and reverse: an order of VMAs has nothing to turn round in one VMA, inside it both sides walk upwards",
  ]);
});

test("what is missing says why; broken blocks show no figures", () => {
  expect(TEXT).toContain("self, sequential frames\n  not measured: process self: not available here");
  expect(TEXT).toContain("lock per mm (vmas-2m, sequential frames)\n  BROKEN, no figures: I2: page 7 freed twice");
  const absent = renderBench(sampleResult({ native: { state: "absent", reason: "no C compiler" } }));
  expect(absent).toContain("C twin: not measured: no C compiler");
});

test("oversubscribed and interrupted runs say so", () => {
  expect(TEXT).toContain("note: oversubscribed: 3 actors share fewer CPUs");
  expect(TEXT).not.toContain("OVERSUBSCRIBED");
  expect(TEXT).not.toContain("INTERRUPTED");
  const measured = block();
  const crowded = { ...measured, setup: { ...measured.setup, actors: 5, oversubscribed: true } };
  const text = renderBench(sampleResult({ partial: true, blocks: [crowded] }));
  expect(text).toContain("bench, INTERRUPTED: partial results");
  expect(text).toContain("OVERSUBSCRIBED: more actors than CPUs");
});

test("lock operations, C twin and costs are there; p99 only where there is one", () => {
  expect(TEXT).toMatch(/^ {2}spinlock +lock \+ unlock +31\.3 ns +44\.0 ns +20,000$/m);
  expect(TEXT).toMatch(/^ {2}rwsem +downRead \+ upRead +48\.0 ns +- +64$/m);
  expect(TEXT).toMatch(/^ {2}vmas-2m +sequential +2,097,152 +0\.802 +needs 6 pairs +identical$/m);
  expect(TEXT).toContain("reading the clock: 41.0 ns\nwith every check on: 9.10 M/s\nnote: made up");
});

test("pipes get no colours and no trailing blanks; terminals get bold headings and the same text", () => {
  expect(TEXT).not.toContain(ESCAPE);
  expect(LINES.filter((line) => line !== line.trimEnd())).toEqual([]);
  const colored = renderBench(sampleResult(), { color: true });
  expect(colored).toContain(`${ESCAPE}[1mvmas-2m`);
  expect(colored.replaceAll(new RegExp(`${ESCAPE}\\[\\d+m`, "g"), "")).toBe(TEXT);
});

test("a bench with nothing measured still names machine and reason", () => {
  const { setup } = block();
  const text = renderBench(sampleResult({ blocks: [{ state: "skipped", setup, reason: "stopped" }], allocators: [] }));
  expect(text).toContain("not measured: stopped");
  expect(text).not.toContain("victim and reaper meet");
});

describe("the A/A control", () => {
  const values = [10, 11, 12, 13, 14, 15, 16];
  const shifted = values.map((value) => value * 1.2);

  test("whose interval contains 1 says so", () => {
    expect(formatControl(compare(values, values, 1), "forward")).toBe("forward 1.000 [1.000, 1.000] contains 1");
  });

  test("whose interval misses 1 warns", () => {
    expect(formatControl(compare(shifted, values, 1), "solo")).toBe(
      "solo 1.200 [1.200, 1.200] MISSES 1: distrust this line",
    );
  });

  test("without enough pairs, or without any, claims nothing", () => {
    expect(formatControl(compare([1, 2], [1, 2], 1), "solo")).toBe("solo 1.000 needs 6 pairs");
    expect(formatControl(null, null)).toBe("not measured");
    expect(formatInterval(compare([1], [1], 1))).toBe("needs 6 pairs");
  });
});

test("the lock table has perf's columns, longest total wait first, untouched classes left out", () => {
  const table = renderLockTable([
    lock("mmap_lock", { acquired: 4, contended: 1, waitNs: 900, maxNs: 900 }),
    lock("pte_lock", { acquired: 8192, contended: 3900, waitNs: 7.8e6, maxNs: 90_000 }),
    lock("zone_lock", { acquired: 12 }),
    lock("oom_lock"),
  ]);
  expect(table.split("\n")).toEqual([
    "contended  total wait  max wait  avg wait  type      lock       acquired",
    "    3,900     7.80 ms   90.0 us   2.00 us  spinlock  pte_lock      8,192",
    "        1      900 ns    900 ns    900 ns  rwsem     mmap_lock         4",
    "        0        0 ns      0 ns      0 ns  spinlock  zone_lock        12",
  ]);
});

test("list: a table per kind, empty kinds left out", () => {
  const forward = { name: "forward", idea: "low to high", origin: null };
  const v61 = { name: "v6.1", idea: "unmap under the read lock", origin: "bf3980c85212" };
  const text = renderList({
    schema: "oomrace.list/1",
    version: "0.1.0",
    protocols: [v61],
    orders: [forward],
    layouts: [],
    scenarios: [],
    invariants: [],
  });
  expect(text).toBe(
    "protocols\n  name  idea\n  v6.1  unmap under the read lock (bf3980c85212)\n\norders\n  name     idea\n  forward  low to high",
  );
});
