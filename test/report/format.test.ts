import fc from "fast-check";
import { expect, test } from "vitest";
import {
  formatBytes,
  formatCount,
  formatCounted,
  formatNs,
  formatNumber,
  formatP,
  formatRate,
  formatRatio,
  formatShare,
} from "../../src/report/format.ts";

test.each([
  [formatCount, 2_097_152, "2,097,152"],
  [formatNumber, 0, "0"],
  [formatNumber, 0.012345, "0.0123"],
  [formatNumber, 1.2345, "1.23"],
  [formatNumber, 12.345, "12.3"],
  [formatNumber, 99.96, "100"],
  [formatNumber, 12_345.6, "12,346"],
  [formatNs, 0, "0 ns"],
  [formatNs, 31.25, "31.3 ns"],
  [formatNs, 812, "812 ns"],
  [formatNs, 999.6, "1.00 us"],
  [formatNs, 12_345, "12.3 us"],
  [formatNs, 131e6, "131 ms"],
  [formatNs, 999.9e6, "1.00 s"],
  [formatNs, 75.2e9, "75.2 s"],
  [formatRate, 16.34e6, "16.3 M/s"],
  [formatRate, 43e3, "0.043 M/s"],
  [formatShare, 0.4783, "47.8 %"],
  [formatRatio, 1.8712, "1.871"],
  [formatRatio, 1.0004, "1.000"],
  [formatRatio, 12.34, "12.3"],
  [formatRatio, 3900, "3,900"],
  [formatP, 1.45e-11, "< 0.0001"],
  [formatP, 0.0314, "0.031"],
  [formatP, 1, "1"],
  [formatBytes, 16 * 2 ** 30, "16.0 GiB"],
  [formatBytes, 3 * 2 ** 19, "1.5 MiB"],
] as const)("%o of %d is %s", (format, value, text) => {
  expect(format(value)).toBe(text);
});

test("a count carries its noun", () => {
  expect([formatCounted(1, "VMA"), formatCounted(4096, "VMA")]).toEqual(["1 VMA", "4,096 VMAs"]);
});

test("a time read back differs by less than half a percent", () => {
  const units: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };
  fc.assert(
    fc.property(fc.double({ min: 1, max: 9e11, noNaN: true }), (ns) => {
      const [number, unit] = formatNs(ns).split(" ");
      const back = Number(number?.replaceAll(",", "")) * (units[unit ?? ""] ?? Number.NaN);
      expect(Math.abs(back / ns - 1)).toBeLessThan(0.0051);
    }),
  );
});
