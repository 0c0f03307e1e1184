import fc from "fast-check";
import { expect, it } from "vitest";
import { reverseTables } from "../../../src/mm/traversal/reverse-tables.ts";
import { tableFloor } from "../../../src/mm/traversal/table-range.ts";
import { endMm, mmMachine } from "../mm-machine.ts";
import { mapSpans, spans, storeMachines } from "../vma-lab.ts";
import { places, walkOrder } from "./walk.ts";

it.each(storeMachines)("goes down table by table, through VMAs too (%s)", (_store, m) => {
  fc.assert(
    fc.property(spans, (all) => {
      const { mm } = mapSpans(m, all);
      const ranges = walkOrder(m, mm, reverseTables, () => true);
      ranges.forEach(({ start, end }, i) => {
        expect(tableFloor(start)).toBe(tableFloor(end - 1));
        if (i > 0) expect(end).toBeLessThanOrEqual(ranges[i - 1]?.start as number);
      });
      endMm(m, mm);
    }),
    { seed: 5, numRuns: 60 },
  );
});

it("cuts a VMA at the borders of tables, and nowhere else", () => {
  const m = mmMachine();
  const { mm } = mapSpans(m, [
    [100, 512],
    [700, 2048],
    [2050, 2561],
  ]);
  expect(places(walkOrder(m, mm, reverseTables))).toEqual([
    [2560, 2561],
    [2050, 2560],
    [1536, 2048],
    [1024, 1536],
    [700, 1024],
    [100, 512],
  ]);
});
