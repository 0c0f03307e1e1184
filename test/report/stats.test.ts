import fc from "fast-check";
import { expect, test } from "vitest";
import { median } from "../../src/base/median.ts";
import { Random } from "../../src/base/random.ts";
import {
  bootstrapMedian,
  compare,
  compareCounts,
  containsOne,
  MIN_INTERVAL_PAIRS,
  MIN_TEST_PAIRS,
  outliers,
  percentile,
  quartiles,
} from "../../src/report/stats.ts";

const positive = fc.double({ min: 1e-3, max: 1e6, noNaN: true });

test("median and quartiles as NumPy gives them", () => {
  const values = [3, 1, 4, 1, 5, 9, 2, 6];
  expect(median(values)).toBe(3.5);
  expect(quartiles(values)).toEqual({ low: 1.75, high: 5.25 });
  expect(values).toEqual([3, 1, 4, 1, 5, 9, 2, 6]);
  expect(() => median([])).toThrow("median: the sample is empty");
});

test("no percentile from fewer than 100 samples", () => {
  const values = Array.from({ length: 101 }, (_, i) => i);
  expect(percentile(values, 0.99)).toBe(99);
  expect(percentile(values.slice(1), 0.99)).toBeCloseTo(99.01, 10);
  expect(percentile(values.slice(2), 0.99)).toBeUndefined();
  expect(() => percentile(values, 99)).toThrow("percentile: 99 is outside 0..1");
});

test("half of the sample lies on each side of the median", () => {
  fc.assert(
    fc.property(fc.array(positive, { minLength: 1, maxLength: 40 }), (values) => {
      const middle = median(values);
      expect(values.filter((x) => x < middle).length).toBeLessThanOrEqual(values.length / 2);
      expect(values.filter((x) => x > middle).length).toBeLessThanOrEqual(values.length / 2);
    }),
  );
});

test("the bootstrap interval lies in the sample's range, is the same for a seed and grows with the unit", () => {
  fc.assert(
    fc.property(fc.array(positive, { minLength: 1, maxLength: 25 }), fc.integer(), (values, seed) => {
      const { low, high } = bootstrapMedian(values, seed, 200);
      expect(low).toBeGreaterThanOrEqual(Math.min(...values));
      expect(high).toBeLessThanOrEqual(Math.max(...values));
      expect(low).toBeLessThanOrEqual(high);
      expect(bootstrapMedian(values, seed, 200)).toEqual({ low, high });
      const doubled = bootstrapMedian(
        values.map((x) => x * 2),
        seed,
        200,
      );
      expect(doubled).toEqual({ low: low * 2, high: high * 2 });
    }),
    { numRuns: 40 },
  );
});

test("the 95 % interval covers the true median about 95 % of the time", () => {
  const random = new Random(7);
  const rounds = 300;
  let covered = 0;
  for (let round = 0; round < rounds; round++) {
    const values = Array.from({ length: 20 }, () => random.unit());
    const { low, high } = bootstrapMedian(values, round, 500);
    if (low <= 0.5 && 0.5 <= high) covered++;
  }
  // 300 rounds at 95 % stay within 0.90 .. 0.99 but for one seed in ten thousand; this one is fixed.
  expect(covered / rounds).toBeGreaterThan(0.9);
  expect(covered / rounds).toBeLessThan(0.99);
});

test("Tukey's fences label outliers: quartiles 11 and 13 put the fences at 8 and 16, the outer ones at 5 and 19", () => {
  const values = [10, 11, 12, 13, 14, 18, 6, 10, 12, 13, 14, 11, 12];
  expect(quartiles(values)).toEqual({ low: 11, high: 13 });
  expect(outliers(values)).toEqual([
    { index: 5, value: 18, side: "high", severity: "mild" },
    { index: 6, value: 6, side: "low", severity: "mild" },
  ]);
  expect(outliers([...values, 30]).at(-1)).toEqual({ index: 13, value: 30, side: "high", severity: "severe" });
  expect(outliers([])).toEqual([]);
});

test("compare gives median, interval, p and pairs of the ratios, and keeps outliers in them", () => {
  const b = Array.from({ length: 20 }, (_, i) => 100 + i);
  const a = b.map((x, i) => x * (i === 4 ? 50 : 2 + i / 100));
  const result = compare(a, b, 1);
  expect(result.pairs).toBe(20);
  expect(result.median).toBeCloseTo(2.105, 10);
  expect(result.low).toBeGreaterThan(2);
  expect(result.high).toBeLessThan(2.2);
  expect(result.p).toBeLessThan(1e-9);
  expect(result.outliers).toEqual([{ index: 4, value: 50, side: "high", severity: "severe" }]);
  expect(containsOne(result)).toBe(false);
});

test("the ratio of a sample to itself is 1 and its interval contains 1; swapped samples give the reciprocal", () => {
  const sample = fc.array(positive, { minLength: MIN_INTERVAL_PAIRS, maxLength: 21 });
  fc.assert(
    fc.property(sample, (values) => {
      const self = compare(values, values, 3);
      expect(self).toEqual({ median: 1, low: 1, high: 1, p: self.p, pairs: values.length, outliers: [] });
      expect(self.p).toBeCloseTo(1, 9);
      expect(containsOne(self)).toBe(true);
      if (values.length % 2 === 0) return;
      const other = values.map((x, i) => x * (1 + (i % 5)));
      expect(compare(other, values, 3).median * compare(values, other, 3).median).toBeCloseTo(1, 9);
    }),
    { numRuns: 25 },
  );
});

test("too few pairs give no interval and no p, and say so by null", () => {
  const few = compare([2, 4, 6], [1, 2, 3], 1);
  expect(few).toEqual({ median: 2, low: null, high: null, p: null, pairs: 3, outliers: [] });
  expect(containsOne(few)).toBeNull();
  const values = Array.from({ length: MIN_INTERVAL_PAIRS - 1 }, (_, i) => i + 1);
  expect(compare(values, values, 1).low).toBeNull();
  expect(compare(values.slice(0, MIN_TEST_PAIRS), values.slice(0, MIN_TEST_PAIRS), 1).p).toBe(1);
});

test("counts of 0 count as 1; other samples must be positive, finite and paired", () => {
  expect(compareCounts([0, 0], [0, 0], 1).median).toBe(1);
  expect(compareCounts([3900], [0], 1).median).toBe(3900);
  expect(() => compare([0], [1], 1)).toThrow("compare: a sample is not a positive number");
  expect(() => compare([1], [0], 1)).toThrow("compare: a sample is not a positive number");
  expect(() => compare([1, 2], [1], 1)).toThrow("compare: 2 against 1 samples");
  expect(() => compare([], [], 1)).toThrow("compare: 0 against 0 samples");
});
