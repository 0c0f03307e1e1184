import { expect, test } from "vitest";
import type { MreleaseRow } from "../../src/report/bench-result.ts";
import { buildMrelease } from "../../src/report/mrelease-build.ts";
import { renderMrelease } from "../../src/report/mrelease-text.ts";
import type { RawMrelease } from "../../src/run/bench/record.ts";
import { block, rawMrelease } from "./sample-result.ts";

const BLOCK = block();
type Measured = Extract<MreleaseRow, { state: "measured" }>;

function build(
  raw: RawMrelease,
  reaper: "mrelease" | "kthread" = "mrelease",
  blocks = [BLOCK],
): readonly MreleaseRow[] {
  const built = buildMrelease(raw, reaper, blocks, 1);
  return built.state === "measured" ? built.rows : [];
}

/** As `renderMrelease` prints it, line by line, without what the wrapping of notes adds. */
function text(raw: RawMrelease): string[] {
  const rendered = renderMrelease(buildMrelease(raw, "mrelease", [BLOCK], 1), "v6.1", (title) => title, {});
  return rendered.replaceAll(/\n {8}/g, " ").split("\n");
}

test("figures are of the pairs that were reaped", () => {
  const [row] = build(rawMrelease()) as Measured[];
  expect(row).toMatchObject({ notReaped: 1, aloneNs: 30.4e6, reapedNs: 20e6 });
  expect(row?.speedup).toMatchObject({ pairs: 7, median: 1.52 });
  expect(row?.speedup?.low).toBeGreaterThanOrEqual(1.5);
});

test.each([
  ["5.15.0", "forward"],
  ["6.17.9-arch1-1", "forward"],
  ["6.18.0-rc1", "reverse"],
  ["7.0.1", "reverse"],
])("Linux %s stands beside %s", (release, order) => {
  const [row] = build(rawMrelease(release)) as Measured[];
  const expected = BLOCK.comparisons.find((one) => one.metric === "phase" && one.a === "solo" && one.b === order);
  expect(expected).toBeDefined();
  expect(row?.emulated).toEqual({ order, speedup: expected?.ratio });
});

test("no emulated figure of other frames, sizes, layouts, reapers or orders", () => {
  const others = [
    { ...BLOCK, setup: { ...BLOCK.setup, frames: "random" as const } },
    { ...BLOCK, layout: { ...BLOCK.layout, presentPages: 2 ** 20 } },
    { ...BLOCK, layout: { ...BLOCK.layout, name: "one-vma" } },
    { ...BLOCK, comparisons: BLOCK.comparisons.filter(({ b }) => b !== "reverse") },
  ];
  expect((build(rawMrelease(), "mrelease", others) as Measured[])[0]?.emulated).toBeNull();
  expect((build(rawMrelease(), "kthread") as Measured[])[0]?.emulated).toBeNull();
});

test("the table has both speed-ups, the notes say what differs", () => {
  const lines = text(rawMrelease());
  expect(lines[0]).toBe("process_mrelease on this kernel (Linux 6.18.44): kill to wait, beside the emulator (v6.1)");
  expect(lines[1]).toMatch(/ pairs +alone +reaped +alone \/ reaped +95 % interval +emulated solo \/ reverse +95 % /);
  expect(lines[2]).toMatch(
    /^ {2}vmas-2m +131,072 +7 +30\.4 ms +20\.0 ms +1\.520 +\[1\.5\d\d, 1\.5\d\d\] +1\.8\d\d +\[1\.8\d\d, 1\.8\d\d\]$/,
  );
  expect(lines.slice(3, 6)).toEqual([
    "  note: vmas-2m: 131,072 of its 2,097,152 pages",
    "  note: vmas-2m: 1 of 8 pairs left out, process_mrelease did not reap (ESRCH)",
    "  note: self: not measured: it cannot be mapped here",
  ]);
  expect(lines[6]).toMatch(/^ {2}note: the two measure different spans: /);
  expect(lines).toHaveLength(7);
});

test("without any pair that was reaped there are no figures", () => {
  const raw = rawMrelease();
  if (raw.state === "absent") throw new Error("expected rows");
  const rows = raw.rows.map((row) =>
    row.state === "absent" ? row : { ...row, pairs: row.pairs.filter(({ reaped }) => reaped.error !== null) },
  );
  expect((build({ ...raw, rows }) as Measured[])[0]).toMatchObject({ notReaped: 1, speedup: null, aloneNs: null });
  expect(text({ ...raw, rows })[2]).toMatch(/^ {2}vmas-2m +131,072 +0 +- +- +- +- /);
});

test("absent says why, in one line", () => {
  expect(text({ state: "absent", reason: "not Linux (darwin)" })).toEqual([
    "process_mrelease on this kernel: not measured: not Linux (darwin)",
  ]);
});
