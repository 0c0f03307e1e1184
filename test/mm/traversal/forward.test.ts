import { expect, it } from "vitest";
import { forward } from "../../../src/mm/traversal/forward.ts";
import { endMm } from "../mm-machine.ts";
import { mapSpans, type Span, storeMachines } from "../vma-lab.ts";
import { places, walkOrder } from "./walk.ts";

it.each(storeMachines)("takes whole VMAs from low to high and waits for every lock (%s)", (_store, m) => {
  const all: Span[] = [
    [0, 1],
    [1, 5000],
    [6000, 6001],
    [2 ** 34, 2 ** 34 + 3000],
  ];
  const { mm, vmas } = mapSpans(m, all);
  const ranges = walkOrder(m, mm, forward, () => true);
  expect(places(ranges)).toEqual(all);
  expect(ranges.map(({ vma, busy }) => [vma, busy])).toEqual(vmas.map((vma) => [vma, false]));
  endMm(m, mm);
});
