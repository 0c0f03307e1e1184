/** Random address spaces without pages, for tests that walk VMAs. */

import fc from "fast-check";
import { runToEnd } from "../../src/arena/mem.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { emptyMm, type MmMachine, mmMachine } from "./mm-machine.ts";

/** [first page, page after the last] */
export type Span = readonly [number, number];

export const MOST_VMAS = 24;

/** One machine whose VMAs are in a tree and one with the list beside it. */
export const storeMachines: readonly (readonly [string, MmMachine])[] = [
  ["tree", mmMachine({ protocol: "v6.1", vmas: MOST_VMAS })],
  ["list", mmMachine({ protocol: "v4.14", vmas: MOST_VMAS })],
];

/** Ascending spans that do not overlap: adjacent, in one table, tables apart, or far apart; some longer than a table. */
export const spans: fc.Arbitrary<Span[]> = fc
  .tuple(
    fc.oneof(fc.constant(0), fc.nat(2 ** 20), fc.constant(2 ** 33)),
    fc.array(
      fc.tuple(
        fc.oneof(
          fc.constant(0),
          fc.nat(40),
          fc.integer({ min: 400, max: 1100 }),
          fc.nat(2 ** 20),
          fc.constant(2 ** 28),
        ),
        fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 400, max: 1600 })),
      ),
      { maxLength: MOST_VMAS },
    ),
  )
  .map(([start, parts]) => {
    let at = start;
    return parts.map(([gap, pages]): Span => {
      const first = at + gap;
      at = first + pages;
      return [first, at];
    });
  });

/** A new mm with a VMA of `flags` over each span; their addresses in the same order. */
export function mapSpans(m: MmMachine, all: readonly Span[], flags = 0): { mm: number; vmas: number[] } {
  const mm = emptyMm(m);
  const vmas = all.map(([first, end]) => runToEnd(mmapRegion(m.cpu, mm, first, end - first, flags)));
  if (vmas.includes(0)) throw new Error("mapSpans: a VMA does not fit");
  return { mm, vmas };
}
