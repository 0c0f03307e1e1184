import { expect, it } from "vitest";
import { CpuMm } from "../../../src/mm/cpu-mm.ts";
import { cursorEnd, cursorStart, cursorVma, pointAt } from "../../../src/mm/traversal/cursor.ts";
import { mmMachine } from "../mm-machine.ts";

it("keeps a VMA and a range of 45-bit page numbers", () => {
  const { cpu } = mmMachine();
  const cursor = cpu.mm + CpuMm.cursor;
  expect(pointAt(cpu, cursor, 4711, 2 ** 44 - 5, 2 ** 44)).toBe(true);
  expect([cursorVma(cpu, cursor), cursorStart(cpu, cursor), cursorEnd(cpu, cursor)]).toEqual([
    4711,
    2 ** 44 - 5,
    2 ** 44,
  ]);
});

it("points nowhere without a VMA", () => {
  const { cpu } = mmMachine();
  const cursor = cpu.mm + CpuMm.cursor;
  pointAt(cpu, cursor, 4711, 1, 2);
  expect(pointAt(cpu, cursor, 0, 0, 0)).toBe(false);
  expect(cursorVma(cpu, cursor)).toBe(0);
});
