import { describe, expect, test } from "vitest";
import { renderBlock } from "../../src/report/bench-block-text.ts";
import type { MeasuredBlock, VariantResult } from "../../src/report/bench-result.ts";
import { renderBench } from "../../src/report/bench-text.ts";
import { formatControl, formatInterval } from "../../src/report/comparison-table.ts";
import { renderList } from "../../src/report/list-result.ts";
import { renderLockTable } from "../../src/report/lock-table.ts";
import { renderStalls } from "../../src/report/stall-table.ts";
import { compare } from "../../src/report/stats.ts";
import { block, lock, sampleResult } from "./sample-result.ts";

const TEXT = renderBench(sampleResult());
const LINES = TEXT.split("\n");
const ESCAPE = String.fromCharCode(27);

test("the first screen tells machine, options and the race", () => {
  const screen = LINES.slice(0, 24).join("\n");
  expect(screen).toContain("Example CPU: 2 of 2 CPUs, 1 thread per core, 16.0 GiB; load 0.25 at the start");
  expect(screen).toContain("Linux 6.18.44 x64; Node v20.20.2; 2 actors, 1.0 per CPU");
  expect(screen).toContain("protocol v6.1, reaper mrelease, PTE lock per table, 21 pairs, seed 1");
  expect(screen).toContain("CPU time from schedstat, resolution 12.0 us");
  expect(screen).toContain("vmas-2m, sequential frames, 2,097,152 pages in 4,096 VMAs; medians of 21 pairs:");
  expect(screen).toMatch(/^solo: the victim alone is done in 13\d ms\.$/m);
  expect(screen).toMatch(
    /^forward: victim and reaper meet on 4,0\d\d held page-table locks \(48\.\d % of 8,192 taken\), done in (9\d\.\d|10\d) ms\.$/m,
  );
  expect(screen).toMatch(/^reverse: they meet on 4 held page-table locks, done in 7\d\.\d ms\.$/m);
  expect(screen).toMatch(
    /^contended PTE locks, forward \/ reverse: 1,0\d\d, 95 % interval \[\d+, 1,0\d\d\]\ntime, solo \/ reverse: 1\.8\d\d, /m,
  );
  expect(screen).toMatch(/; its A\/A control: 1\.\d{3} \[.*\] ok$/m);
  expect(screen).toMatch(/^ {2}solo +13\d ms +15\.\d M\/s +4,096 +0 +0\.0 % +0 ns +0 ns +-$/m);
});

test("the headline tells of vmas-2m, whatever else contends more", () => {
  const { blocks } = sampleResult();
  const reversed = renderBench(sampleResult({ blocks: blocks.toReversed() }));
  expect(reversed).toContain("\n\nvmas-2m, sequential frames, 2,097,152 pages in 4,096 VMAs; medians");
  const alone = renderBench(sampleResult({ blocks: blocks.slice(1) }));
  expect(alone).toContain("\n\none-vma, sequential frames, 2,097,152 pages in 1 VMA; medians");
});

test("the headline gives no ratio from too few pairs", () => {
  const text = renderBench(sampleResult({ blocks: [block(4)] })).split("\n\n")[1];
  expect(text).toContain("medians of 4 pairs:");
  expect(text).not.toContain("interval");
});

test("lines fit 120 columns", () => {
  expect(LINES.filter((line) => line.length > 120)).toEqual([]);
});

test("ratios stand next to interval, p, outliers and the A/A control; pairs and control are in the title", () => {
  const titles = LINES.find((one) => one.startsWith("  ratio over"));
  expect(titles).toMatch(/^ {2}ratio over 21 pairs .* A\/A control \(forward\)$/);
  const line = LINES.find((one) => one.startsWith("  solo / reverse, time"));
  expect(line).toMatch(/ 1\.8\d\d +\[1\.8\d\d, 1\.8\d\d\] +< 0\.0001 +\d +1\.\d{3} \[.+\] ok$/);
});

describe("one VMA", () => {
  const notesOf = (block: MeasuredBlock): string =>
    renderBlock(block, "").replaceAll(/\n +/g, " ").split(" note: ").slice(1).join("\n");
  const why = "with one VMA there is no order of VMAs to turn round, and inside a VMA both sides walk upwards";

  test("says that forward and reverse do not differ, and why", () => {
    expect(notesOf(block(21, 1))).toBe(`no difference shown between forward and reverse: ${why}`);
    expect(notesOf(block(2, 1))).toBe(`no difference to expect between forward and reverse: ${why}`);
  });

  test("explains nothing where there is a difference, or where an order turns tables round too", () => {
    const { comparisons, ...rest } = block(21, 1);
    const differing = comparisons.map((one) => ({ ...one, ratio: { ...one.ratio, low: 2, high: 3 } }));
    expect(notesOf({ ...rest, comparisons: differing })).not.toContain("VMA");
    const tables = comparisons.map((one) => ({ ...one, b: "reverse-tables" }));
    expect(notesOf({ ...rest, comparisons: tables })).toBe(
      "no difference shown between forward and reverse-tables: the interval contains 1",
    );
  });
});

test("a block says what its machine took: setup apart from teardown, arena, memory", () => {
  const lines = renderBlock(block(4), "made up").split("\n");
  expect(lines[1]).toBe("  setup 402 ms (boot 2.00 ms, build 400 ms); arena 40.0 MiB, process so far at most 1.5 GiB");
  const at = lines.findIndex((line) => line.includes("teardown"));
  expect(lines[at]).toMatch(/^ {2}walk +teardown +victim time /);
  expect(lines[at + 1]).toMatch(/^ {2}solo +1[34]\d ms +1[34]\d ms /);
});

test("sizes of a sweep stand together below the blocks", () => {
  expect(TEXT).toMatch(
    /\n\nGrowth with the size: setup \(boot and build\), teardown \(solo, medians\)\n {2}layout .*\n {2}vmas-2m +sequential +2,097,152 +10,000 +1\.00 s +- +60\.0 ms +-\n/,
  );
});

test("what is missing says why; broken blocks show no figures", () => {
  expect(TEXT).toContain("self, sequential frames\n  not measured: process self: not available here");
  expect(TEXT).toContain(
    "One PTE lock per mm, table, PTE (vmas-2m, sequential frames)\n  lock per mm:\n  BROKEN, no figures: I2: page 7 freed twice",
  );
  const absent = renderBench(sampleResult({ native: { state: "absent", reason: "no C compiler" } }));
  expect(absent).toContain("C twin: not measured: no C compiler");
});

test("granularities stand side by side in one table", () => {
  const { setup, ...rest } = block();
  const granularity = (["mm", "table"] as const).map((lockGranularity) => ({
    ...rest,
    setup: { ...setup, lockGranularity },
  }));
  const lines = renderBench(sampleResult({ granularity })).split("\n");
  const at = lines.findIndex((line) =>
    line.startsWith("One PTE lock per mm, table, PTE (vmas-2m, sequential frames: "),
  );
  expect(lines.slice(at + 1, at + 8).map((line) => line.slice(0, 20).trimEnd())).toEqual([
    "  lock per  walk",
    "  mm        solo",
    "            forward",
    "            reverse",
    "  table     solo",
    "            forward",
    "            reverse",
  ]);
  expect(lines[at + 8]).toMatch(
    /^ {2}lock per mm, forward \/ reverse: contended PTE locks 1,0\d\d \[.*\]; time 1\.\d+ \[/,
  );
});

test("a note that every block has is said once, in the header", () => {
  const note = "hypothetical: reverse with v6.1, whose reaper walks forward";
  const blocks = [block(), block(21, 1)].map((one) => ({ ...one, notes: [note] }));
  const text = renderBench(sampleResult({ blocks }));
  expect(text.split(note)).toHaveLength(2);
  expect(text.indexOf(note)).toBeLessThan(text.indexOf("solo: the victim alone"));
});

test("a note of the layout is not repeated from block to block", () => {
  const { layout, ...rest } = block();
  const twice = [0, 1].map(() => ({ ...rest, layout: { ...layout, notes: ["7 pages left out"] } }));
  expect(renderBench(sampleResult({ blocks: [block(21, 1), ...twice] })).split("7 pages left out")).toHaveLength(2);
});

test("oversubscribed, interrupted and quick runs say so", () => {
  expect(TEXT).toContain("note: OVERSUBSCRIBED: 3 actors share fewer CPUs");
  expect(LINES.slice(0, 10).join()).not.toMatch(/OVERSUBSCRIBED|INTERRUPTED|--quick/);
  const measured = block();
  const crowded = { ...measured, setup: { ...measured.setup, actors: 5, oversubscribed: true } };
  const options = { ...sampleResult().options, quick: true };
  const header = renderBench(sampleResult({ partial: true, blocks: [crowded], options })).split("\n\n")[0];
  expect(header).toContain("bench, INTERRUPTED: partial results");
  expect(renderBench(sampleResult({ partial: true, hang: "no CPU advanced" }))).toContain(
    "bench, ENDED BY A HANG: partial results",
  );
  expect(header).toContain("OVERSUBSCRIBED: 5 actors share fewer CPUs");
  expect(header).toContain("--quick: sizes that show that everything works");
});

test("stalls of allocators: count, total, mean and longest, in emulated time", () => {
  const at = LINES.findIndex((line) => line.includes("alloc stalls"));
  expect(LINES[at]).toMatch(/\(4 kills, emulated time; pN from 100 stalls on\)$/);
  expect(LINES.slice(at + 1, at + 3)).toEqual([
    "  solo                0     0 ns     0 ns    -    -    -     0 ns",
    "  forward             8  36.0 ms  4.50 ms    -    -    -  5.00 ms",
  ]);
  expect(TEXT.split("alloc stalls")).toHaveLength(2);
});

test("percentiles of stalls once there are a hundred", () => {
  const eachUs = Array.from({ length: 101 }, (_, i) => i * 1000);
  const stalls = { count: 101, totalUs: 5050e3, longestUs: 100e3, eachUs };
  const variant = { name: "reverse", trials: [{ actors: [{ stalls }] }] } as unknown as VariantResult;
  expect(renderStalls([variant], {})[0]?.split("\n")[1]).toMatch(
    /^reverse +101 +5\.05 s +50\.0 ms +50\.0 ms +90\.0 ms +99\.0 ms +100 ms$/,
  );
});

test("lock operations, C twin and costs are there", () => {
  expect(TEXT).toContain("nobody contending (tinybench, medians over 64 to 20,000 samples)");
  expect(TEXT).toContain("\n  spinlock  lock 31.3 ns\n  rwsem     lock + downgrade 48.0 ns\n");
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
  expect(text).not.toContain("the victim alone");
});

describe("the A/A control", () => {
  const values = [10, 11, 12, 13, 14, 15, 16];
  const shifted = values.map((value) => value * 1.2);

  test("whose interval contains 1 says so", () => {
    expect(formatControl(compare(values, values, 1))).toBe("1.000 [1.000, 1.000] ok");
  });

  test("whose interval misses 1 warns", () => {
    expect(formatControl(compare(shifted, values, 1))).toBe("1.200 [1.200, 1.200] MISSES 1");
    const { comparisons, ...rest } = block();
    const control = compare(shifted, values, 1);
    const text = renderBlock({ ...rest, comparisons: comparisons.map((one) => ({ ...one, control })) }, "");
    expect(text).toContain("note: an A/A control that MISSES 1 saw a difference where there is none");
  });

  test("without enough pairs, or without any, claims nothing", () => {
    expect(formatControl(compare([1, 2], [1, 2], 1))).toBe("1.000 needs 6 pairs");
    expect(formatControl(null)).toBe("not measured");
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
