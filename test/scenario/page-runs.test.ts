import fc from "fast-check";
import { expect, test } from "vitest";
import {
  alignedRuns,
  areWholeIn,
  countRuns,
  joinRuns,
  type PageRuns,
  parseRuns,
  pickRuns,
  runsWithout,
  sharedPage,
} from "../../src/scenario/page-runs.ts";
import { words } from "./smaps-lab.ts";

const PAGES = 60;
const somePages = fc.uniqueArray(fc.nat(PAGES - 1));

/** Runs of a set of pages. */
function runsOf(pages: Iterable<number>): number[] {
  const runs: number[] = [];
  for (const page of [...pages].sort((a, b) => a - b)) {
    if (runs.length > 0 && (runs.at(-2) as number) + (runs.at(-1) as number) === page)
      runs.push((runs.pop() as number) + 1);
    else runs.push(page, 1);
  }
  return runs;
}

/** The set of pages of runs. */
function pagesIn(runs: PageRuns): number[] {
  return Array.from(runs).flatMap((from, i) =>
    i % 2 === 0 ? Array.from({ length: runs[i + 1] as number }, (_, k) => from + k) : [],
  );
}

test("are read back, and refused where they are out of order, touch, are empty or reach too far", () => {
  fc.assert(
    fc.property(somePages, (pages) => {
      const runs = runsOf(pages);
      fc.pre(runs.length > 0);
      expect(parseRuns(words(runs), PAGES)).toEqual(runs);
      const end = (runs.at(-2) as number) + (runs.at(-1) as number);
      expect(parseRuns(words(runs), end - 1)).toBeUndefined();
    }),
  );
  for (const bad of ["", "3", "3+", "+3", "3+0", "3+2 5+1", "9+1 3+1", "-1+2", "1+2,4+1", "1.5+2", "1e1+2", "0+61"]) {
    expect(parseRuns(bad, PAGES), bad).toBeUndefined();
  }
});

test("are joined, taken away and compared like the sets of their pages", () => {
  fc.assert(
    fc.property(somePages, somePages, (one, two) => {
      const other = two.filter((page) => !one.includes(page));
      const all = joinRuns(runsOf(one), runsOf(other));
      expect(all).toEqual(runsOf([...one, ...other]));
      expect(countRuns(all)).toBe(one.length + other.length);
      expect(runsWithout(all, runsOf(other))).toEqual(runsOf(one));
      expect(sharedPage(runsOf(one), runsOf(other))).toBeUndefined();
      const both = one.filter((page) => two.includes(page));
      const shared = sharedPage(runsOf(one), runsOf(two));
      expect(shared === undefined).toBe(both.length === 0);
      if (shared !== undefined) expect(both).toContain(shared);
    }),
  );
  expect(() => runsWithout([5, 5], [4, 2])).toThrow("runsWithout: run at 4 is no part of the runs");
});

test("aligned runs are every whole unit at an address that is a multiple of it", () => {
  fc.assert(
    fc.property(somePages, fc.nat(20), fc.integer({ min: 1, max: 8 }), (pages, startVpn, unit) => {
      const has = new Set(pages);
      const expected = pages.filter((page) => {
        const first = page - ((startVpn + page) % unit);
        return Array.from({ length: unit }, (_, i) => first + i).every((one) => has.has(one));
      });
      expect(pagesIn(alignedRuns(runsOf(pages), startVpn, unit))).toEqual(expected.sort((a, b) => a - b));
    }),
  );
});

test("picked runs are as many pages of what is free as asked for, in whole units, the same for a seed", () => {
  const shape = fc.tuple(somePages, fc.integer({ min: 1, max: 4 }), fc.nat(), fc.nat(20));
  fc.assert(
    fc.property(shape, fc.nat(1000), ([pages, unit, part, startVpn], seed) => {
      const free = alignedRuns(runsOf(pages), startVpn, unit);
      const count = (part % (countRuns(free) / unit + 1)) * unit;
      const picked = pickRuns(free, count, seed, startVpn, unit);
      expect(countRuns(picked)).toBe(count);
      expect(joinRuns(picked, runsWithout(free, picked))).toEqual(free);
      expect(alignedRuns(picked, startVpn, unit)).toEqual(picked);
      expect(areWholeIn(picked, free, unit)).toBe(true);
      expect(pickRuns(free, count, seed, startVpn, unit)).toEqual(picked);
    }),
  );
});

test.each([
  ["nothing", [], true],
  ["a unit", [8, 4], true],
  ["units of two runs", [0, 4, 20, 8], true],
  ["half a unit", [0, 2], false],
  ["a unit off its boundary", [2, 4], false],
  ["across a hole", [8, 12], false],
  ["outside", [12, 4], false],
  ["behind the end", [28, 4], false],
])("whole units of 4 in 0+12 and 20+8: %s", (_, runs, expected) => {
  expect(areWholeIn(runs, [0, 12, 20, 8], 4)).toBe(expected);
});
