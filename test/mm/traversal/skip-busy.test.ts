import { expect, it } from "vitest";
import { skipBusy } from "../../../src/mm/traversal/skip-busy.ts";
import { mmMachine } from "../mm-machine.ts";
import { mapSpans } from "../vma-lab.ts";
import { places, walkOrder } from "./walk.ts";

const T = 512;

it("goes forward table by table while nothing is busy, once", () => {
  const m = mmMachine();
  const { mm } = mapSpans(m, [
    [100, 1500],
    [5000, 5001],
  ]);
  expect(places(walkOrder(m, mm, skipBusy))).toEqual([
    [100, 512],
    [512, 1024],
    [1024, 1500],
    [5000, 5001],
  ]);
});

it("leaps 16 tables ahead of a held lock, then 32, 64, ..., at most 4096", () => {
  const m = mmMachine();
  const { mm } = mapSpans(m, [[0, 17_000 * T]]);
  const tried: number[] = [];
  walkOrder(m, mm, skipBusy, (start) => tried.push(start / T) > 0);
  const leaps = tried.slice(1).map((at, i) => at - (tried[i] as number));
  expect(leaps).toEqual([16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
});

it("waits the second time, from the first page it leapt over to the end of the last leap", () => {
  const m = mmMachine();
  const { mm } = mapSpans(m, [
    [10, 2 * T],
    [3 * T, 60 * T],
  ]);
  const ranges = walkOrder(m, mm, skipBusy, (start) => start === T);
  const second = ranges.slice(ranges.findIndex(({ start, busy }) => start === T && !busy));
  expect(ranges[1]).toMatchObject({ start: T, busy: true });
  expect(ranges[2]).toMatchObject({ start: 17 * T });
  expect(places(second)).toEqual([[T, 2 * T], ...Array.from({ length: 14 }, (_, i) => [(3 + i) * T, (4 + i) * T])]);
});

it("comes back when the last range of all was busy", () => {
  const m = mmMachine();
  const { mm } = mapSpans(m, [
    [10, 20],
    [900, 910],
  ]);
  const ranges = walkOrder(m, mm, skipBusy, (start) => start === 900);
  expect(ranges.map(({ start, busy }) => [start, busy])).toEqual([
    [10, false],
    [900, true],
    [900, false],
  ]);
});

it("takes a VMA that begins inside a leap from where the leap ends, and its head the second time", () => {
  const m = mmMachine();
  const { mm } = mapSpans(m, [
    [0, 5],
    [10 * T, 20 * T],
  ]);
  const ranges = walkOrder(m, mm, skipBusy, (start) => start === 0);
  expect(ranges.map(({ start }) => start / T)).toEqual([0, 16, 17, 18, 19, 0, 10, 11, 12, 13, 14, 15]);
});
