import { expect, it } from "vitest";
import { middleOut } from "../../../src/mm/traversal/middle-out.ts";
import { endMm } from "../mm-machine.ts";
import { mapSpans, type Span, storeMachines } from "../vma-lab.ts";
import { places, walkOrder } from "./walk.ts";

const order = (all: readonly Span[]): Span[][] =>
  storeMachines.map(([, m]) => {
    const { mm } = mapSpans(m, all);
    const ranges = places(walkOrder(m, mm, middleOut, () => true));
    endMm(m, mm);
    return ranges;
  });

/** The same in both stores. */
const expectOrder = (all: readonly Span[], expected: readonly number[]): void => {
  const ranges = expected.map((i) => all[i] as Span);
  expect(order(all)).toEqual([ranges, ranges]);
};

it("takes the upper half upwards, then the lower half downwards", () => {
  const all: Span[] = Array.from({ length: 6 }, (_, i) => [i * 100, i * 100 + 50]);
  // Half of [0, 550) is 275: in the gap above the third VMA.
  expectOrder(all, [3, 4, 5, 2, 1, 0]);
});

it("begins with the VMA that lies across the middle", () => {
  expectOrder(
    [
      [0, 10],
      [20, 90],
      [95, 100],
    ],
    [1, 2, 0],
  );
});

it("halves the addresses, not the pages", () => {
  expectOrder(
    [
      [0, 5000],
      [5000, 9000],
      [2 ** 30, 2 ** 30 + 1],
    ],
    [2, 1, 0],
  );
});

it("has no lower half where the lowest VMA lies across the middle, page 0 included", () => {
  expectOrder([[0, 100]], [0]);
  expectOrder(
    [
      [0, 100],
      [100, 101],
    ],
    [0, 1],
  );
  expectOrder([[7, 9]], [0]);
});
