import { expect, it } from "vitest";
import { tableCeiling, tableFloor } from "../../../src/mm/traversal/table-range.ts";

it("a table spans 512 pages from a multiple of 512 on, with 45-bit page numbers too", () => {
  const top = 2 ** 45;
  for (const [vpn, floor] of [
    [0, 0],
    [511, 0],
    [512, 512],
    [top - 1, top - 512],
    [2 ** 31 + 5, 2 ** 31],
  ] as const) {
    expect([tableFloor(vpn), tableCeiling(vpn)]).toEqual([floor, floor + 512]);
  }
});
