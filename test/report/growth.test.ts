import { expect, test } from "vitest";
import type { MeasuredBlock } from "../../src/report/bench-result.ts";
import { growthOf, renderGrowth } from "../../src/report/growth.ts";
import { block } from "./sample-result.ts";

const MEASURED = block(2);

/** A block of this size; `setupMs` and `teardownMs` are what it took. */
function sized(pages: number, vmas: number, setupMs: number, teardownMs: number, more = {}): MeasuredBlock {
  const { setup, layout, staging, variants, ...rest } = MEASURED;
  return {
    ...rest,
    setup: { ...setup, ...more },
    layout: { ...layout, presentPages: pages, vmas },
    staging: { ...staging, bootNs: 1e6, buildNs: (setupMs - 1) * 1e6 },
    variants: variants.map((one) => ({
      ...one,
      summary: { ...one.summary, teardownNs: one.order === null ? teardownMs * 1e6 : 7 },
    })),
  };
}

const SWEEP = [sized(1000, 10, 100, 5), sized(1000, 100, 150, 20), sized(1000, 1000, 1200, 40)];

test("a sweep says how often each size takes what the one before took, setup and teardown apart", () => {
  expect(growthOf(SWEEP)).toEqual([
    { ...POINT, vmas: 10, setupNs: 100e6, teardownNs: 5e6, setupTimes: null, teardownTimes: null },
    { ...POINT, vmas: 100, setupNs: 150e6, teardownNs: 20e6, setupTimes: 1.5, teardownTimes: 4 },
    { ...POINT, vmas: 1000, setupNs: 1200e6, teardownNs: 40e6, setupTimes: 8, teardownTimes: 2 },
  ]);
});

const POINT = { layout: "vmas-2m", frames: "sequential", pages: 1000 };

test("layouts and frames are sweeps of their own; a single size is none", () => {
  const random = [sized(1000, 10, 100, 5, { frames: "random" }), sized(2000, 10, 300, 5, { frames: "random" })];
  const mixed = [SWEEP[0], random[0], SWEEP[1], random[1]] as MeasuredBlock[];
  expect(growthOf(mixed).map(({ frames, setupTimes }) => [frames, setupTimes])).toEqual([
    ["sequential", null],
    ["sequential", 1.5],
    ["random", null],
    ["random", 3],
  ]);
  expect(growthOf([sized(1000, 10, 1, 1), sized(1000, 10, 1, 1, { layout: "one-vma" })])).toEqual([]);
  expect(growthOf([])).toEqual([]);
});

test("what shrinks in one respect is no growth; blocks without figures are left out", () => {
  const [first, second] = SWEEP as [MeasuredBlock, MeasuredBlock];
  const broken = { state: "broken", setup: first.setup, reason: "I2: made up" } as const;
  const points = growthOf([second, broken, sized(2000, 10, 9, 9), sized(4000, 10, 18, 9)]);
  expect(points.map(({ setupTimes }) => setupTimes)).toEqual([null, null, 2]);
});

test("as a table: a line per size; nothing without a sweep", () => {
  const lines = renderGrowth(growthOf(SWEEP), "Growth", {}).split("\n");
  expect(lines[0]).toBe("Growth");
  expect(lines.slice(2).map((line) => line.trim().split(/ {2,}/))).toEqual([
    ["vmas-2m", "sequential", "1,000", "10", "100 ms", "-", "5.00 ms", "-"],
    ["vmas-2m", "sequential", "1,000", "100", "150 ms", "1.500", "20.0 ms", "4.000"],
    ["vmas-2m", "sequential", "1,000", "1,000", "1.20 s", "8.000", "40.0 ms", "2.000"],
  ]);
  expect(renderGrowth([], "Growth", {})).toBe("");
});
