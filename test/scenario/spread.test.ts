import fc from "fast-check";
import { expect, test } from "vitest";
import { MEAN_RUN_PAGES, spreadPages } from "../../src/scenario/spread.ts";

interface Run {
  readonly offset: number;
  readonly count: number;
}

function runsOf(flat: Float64Array): Run[] {
  return Array.from({ length: flat.length / 2 }, (_, i) => ({
    offset: flat[2 * i] as number,
    count: flat[2 * i + 1] as number,
  }));
}

test("runs hold exactly the present pages, inside the mapping, apart, and never packed to its start", () => {
  const shape = fc.integer({ min: 1, max: 5000 }).chain((pages) => fc.tuple(fc.constant(pages), fc.nat(pages)));
  fc.assert(
    fc.property(shape, fc.integer(), fc.nat(2 ** 35), ([pages, present], seed, startVpn) => {
      const flat = spreadPages(pages, present, seed, startVpn);
      if (flat === "all") {
        expect(present).toBe(pages);
        return;
      }
      const runs = runsOf(flat);
      let end = -1;
      for (const run of runs) {
        expect(run.offset).toBeGreaterThan(end);
        expect(run.count).toBeGreaterThan(0);
        end = run.offset + run.count;
      }
      expect(end).toBeLessThanOrEqual(pages);
      expect(runs.reduce((sum, run) => sum + run.count, 0)).toBe(present);
      if (runs.length === 1) expect(runs[0]?.offset).toBeGreaterThan(0);
      expect(spreadPages(pages, present, seed, startVpn)).toEqual(flat);
    }),
  );
});

test("half of a large mapping: runs of the stated mean, both halves equally full", () => {
  const flat = spreadPages(200_000, 100_000, 1, 0) as Float64Array;
  const runs = runsOf(flat);
  const mean = 100_000 / runs.length;
  expect(mean).toBeGreaterThan(MEAN_RUN_PAGES * 0.95);
  expect(mean).toBeLessThan(MEAN_RUN_PAGES * 1.05);
  const low = runs.reduce((sum, run) => sum + (run.offset < 100_000 ? run.count : 0), 0);
  expect(low).toBeGreaterThan(47_000);
  expect(low).toBeLessThan(53_000);
});

test("another seed or another place gives another spread", () => {
  const flat = spreadPages(5000, 1000, 1, 4096);
  expect(spreadPages(5000, 1000, 2, 4096)).not.toEqual(flat);
  expect(spreadPages(5000, 1000, 1, 8192)).not.toEqual(flat);
});

test("a mapping of terabytes with few pages costs as little as its pages", () => {
  const runs = runsOf(spreadPages(2 ** 34, 100, 1, 0) as Float64Array);
  expect(runs.length).toBeLessThan(100);
  expect(runs.at(-1)?.offset).toBeGreaterThan(2 ** 32);
});

test("more pages than the mapping has are refused", () => {
  expect(() => spreadPages(4, 5, 1, 0)).toThrow("spreadPages: 5 of 4 pages");
});
