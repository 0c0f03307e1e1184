import fc from "fast-check";
import { expect, test } from "vitest";
import { EXACT_UP_TO, mannWhitney, smallestP, upperTail } from "../../src/report/mann-whitney.ts";

/** p-values by scipy.stats.mannwhitneyu 1.17.1, two-sided. */
const NORMAL_A = [
  10.691, 11.643, 10.661, 7.394, 11.811, 10.893, 8.926, 11.162, 10.729, 10.588, 10.057, 11.093, 8.527, 9.674, 9.036,
  11.198, 10.079, 9.415, 8.436, 9.486,
];
const NORMAL_B = [
  11.016, 10.449, 13.588, 13.013, 5.578, 7.222, 10.65, 10.156, 11.427, 11.435, 15.236, 8.776, 10.245, 15.086, 12.293,
  12.326, 9.972, 7.704, 11.335, 11.218,
];
const TIED_A = [
  15, 17, 4, 11, 16, 5, 6, 16, 11, 10, 13, 10, 19, 15, 1, 2, 10, 16, 1, 13, 15, 15, 17, 3, 11, 16, 7, 3, 9, 1, 4, 17,
  13, 17, 16, 17, 6, 9, 12, 5,
];
const TIED_B = [
  21, 3, 19, 15, 8, 17, 11, 19, 22, 8, 12, 7, 16, 15, 19, 19, 22, 22, 20, 6, 3, 12, 9, 20, 18, 11, 14, 14, 20, 3, 12,
  16, 12, 21, 22,
];

test.each([
  { a: [1, 2, 3], b: [4, 5, 6], p: 0.1 },
  { a: [1.1, 2.2, 3.3, 4.4], b: [2.5, 5.5, 6.6, 7.7, 8.8], p: 0.06349206349206349 },
  { a: [19, 22, 16, 29, 24], b: [20, 11, 17, 12], p: 0.1111111111111111 },
  { a: NORMAL_A, b: NORMAL_B, p: 0.1080770739135105 },
])("exact p of samples without ties, vector $#", ({ a, b, p }) => {
  expect(mannWhitney(a, b)).toBeCloseTo(p, 13);
});

test("more than EXACT_UP_TO observations with ties: normal approximation with both corrections", () => {
  expect(TIED_A.length + TIED_B.length).toBeGreaterThan(EXACT_UP_TO);
  expect(mannWhitney(TIED_A, TIED_B)).toBeCloseTo(0.005059064842668441, 12);
});

/** p by listing every way to choose the ranks of the first sample. */
function byListing(a: readonly number[], b: readonly number[]): number {
  const pool = [...a, ...b];
  const rank = (x: number): number => pool.filter((y) => y < x).length + (pool.filter((y) => y === x).length + 1) / 2;
  const ranks = pool.map(rank);
  const seen = ranks.slice(0, a.length).reduce((s, r) => s + r, 0);
  let [below, above, all] = [0, 0, 0];
  const choose = (from: number, left: number, sum: number): void => {
    if (left === 0) {
      all++;
      if (sum <= seen) below++;
      if (sum >= seen) above++;
      return;
    }
    for (let i = from; i <= ranks.length - left; i++) choose(i + 1, left - 1, sum + (ranks[i] as number));
  };
  choose(0, a.length, 0);
  return Math.min(1, (2 * Math.min(below, above)) / all);
}

const fewTied = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 6 });

test("exact p equals listing all choices, ties included", () => {
  expect(mannWhitney([1, 2, 2, 3], [2, 3, 4, 4, 5])).toBeCloseTo(0.1111111111111111, 13);
  fc.assert(fc.property(fewTied, fewTied, (a, b) => Math.abs(mannWhitney(a, b) - byListing(a, b)) < 1e-12));
});

test("p is symmetric, invariant under monotone maps, and at least the smallest possible one", () => {
  const sample = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 25 });
  fc.assert(
    fc.property(sample, sample, (a, b) => {
      const p = mannWhitney(a, b);
      const stretched = mannWhitney(
        a.map((x) => x ** 3 + 1),
        b.map((x) => x ** 3 + 1),
      );
      expect(mannWhitney(b, a)).toBeCloseTo(p, 10);
      expect(stretched).toBe(p);
      expect(p).toBeGreaterThanOrEqual(smallestP(a.length, b.length) * (1 - 1e-9));
      expect(p).toBeLessThanOrEqual(1);
    }),
    { numRuns: 60 },
  );
});

test("exact and approximate p meet at the border between them", () => {
  const a = Array.from({ length: 30 }, (_, i) => i * 3);
  const b = Array.from({ length: 30 }, (_, i) => i * 3 + 14);
  const exact = mannWhitney(a, b);
  const approximate = mannWhitney(a, [...b, 57.5]);
  expect(exact).toBeGreaterThan(0.01);
  expect(approximate / exact).toBeGreaterThan(0.9);
  expect(approximate / exact).toBeLessThan(1.1);
});

test("20 pairs that do not overlap give 2 / C(40, 20)", () => {
  const low = Array.from({ length: 20 }, (_, i) => i);
  const high = low.map((x) => x + 100);
  expect(mannWhitney(low, high) / 1.4508889103849681e-11).toBeCloseTo(1, 9);
  expect(smallestP(20, 20) / 1.4508889103849681e-11).toBeCloseTo(1, 9);
});

test("equal values tell nothing; empty and infinite samples are refused", () => {
  const same = new Array<number>(40).fill(3);
  expect(mannWhitney(same, same)).toBe(1);
  expect(mannWhitney([3, 3], [3])).toBe(1);
  expect(() => mannWhitney([], [1])).toThrow("mannWhitney: a sample is empty");
  expect(() => mannWhitney([1], [Number.NaN])).toThrow("mannWhitney: a value is not finite");
});

/** scipy.stats.norm.sf 1.17.1. */
test.each([
  [0, 0.5],
  [0.5, 0.3085375387259869],
  [1.96, 0.024997895148220435],
  [2.499, 0.0062272155519885125],
  [2.5, 0.006209665325776132],
  [5, 2.866515718791933e-7],
  [8, 6.22096057427174e-16],
  [20, 2.7536241186061556e-89],
])("upper tail of the normal distribution at %d", (z, p) => {
  expect(upperTail(z) / p).toBeCloseTo(1, 9);
});
