import { expect, test } from "vitest";
import {
  blockComparisons,
  compareVariants,
  lockSum,
  lockTotals,
  METRICS,
  summarise,
} from "../../src/report/bench-metrics.ts";
import type { TrialSample } from "../../src/report/bench-result.ts";
import { actor, lock, trial, trials, variant } from "./sample-result.ts";

const PTE = { acquired: 10, contended: 4, waitNs: 4000, spinNs: 3000, maxNs: 1500, parked: 1, tryFailed: 2 };

function race(): TrialSample {
  const mmap = lock("mmap_lock", { acquired: 3, contended: 1, waitNs: 700, spinNs: 200 });
  return trial({
    phaseNs: 2e6,
    teardownNs: 3e6,
    pages: 5000,
    actors: [
      actor("victim", { wallNs: 2e6, cpuNs: 1.5e6, pages: 2000, locks: [lock("pte_lock", PTE)] }),
      actor("reaper", { wallNs: 1e6, cpuNs: 1e6, pages: 3000, locks: [lock("pte_lock", PTE), mmap] }),
      actor("allocator", { cpuNs: null, pages: 9, locks: [lock("pte_lock", { ...PTE, maxNs: 99_999 })] }),
    ],
  });
}

test("lock figures are sums over victim and reaper; allocators are not part of the race", () => {
  expect(lockSum(race(), "pte_lock", "contended")).toBe(8);
  expect(lockSum(race(), "no_lock", "contended")).toBe(0);
  expect(METRICS.contended.of(race())).toBe(8);
  expect(METRICS.phase.of(race())).toBe(2e6);
});

test("work is CPU time less spinning, of both sides and all locks; unknown CPU time makes it unknown", () => {
  expect(METRICS.work.of(race())).toBe(1.5e6 + 1e6 - 3000 - 3000 - 200);
  expect(METRICS.work.of(trial({ actors: [actor("victim", { cpuNs: null })] }))).toBeNull();
});

test("a summary holds medians; the longest wait is the maximum", () => {
  const slow = { ...race(), phaseNs: 4e6 };
  const long = trial({ ...race(), actors: [actor("victim", { locks: [lock("pte_lock", { maxNs: 7777 })] })] });
  expect(summarise([race(), slow, race()])).toEqual({
    phaseNs: 2e6,
    teardownNs: 3e6,
    pagesPerSecond: 2.5e6,
    victimWallNs: 2e6,
    reaperWallNs: 1e6,
    victimCpuNs: 1.5e6,
    reaperCpuNs: 1e6,
    victimPages: 2000,
    reaperPages: 3000,
    pteAcquired: 20,
    pteContended: 8,
    pteWaitNs: 8000,
    pteMaxNs: 1500,
    reaperWaitShare: 0.004,
    mmapContended: 1,
    mmapWaitNs: 700,
  });
  expect(summarise([race(), long, race()]).pteMaxNs).toBe(7777);
});

test("without a reaper its figures are null, not 0", () => {
  const solo = summarise([trial({ actors: [actor("victim")] })]);
  expect(solo).toMatchObject({ reaperWallNs: null, reaperCpuNs: null, reaperWaitShare: null, reaperPages: 0 });
  expect(() => summarise([])).toThrow("summarise: no trial");
});

const SOLO = variant("solo", trials(20, 131, 0, true));
const FORWARD = variant("forward", trials(20, 98, 3900, false, 2), { again: trials(20, 98, 3900, false, 3) });
const REVERSE = variant("reverse", trials(20, 70, 2, false, 4));

test("a block compares the first order with the others, and solo with each, next to an A/A control", () => {
  const comparisons = blockComparisons([SOLO, FORWARD, REVERSE], 1);
  expect(comparisons.map(({ metric, a, b, controlOf }) => `${metric} ${a}/${b} by ${controlOf}`)).toEqual([
    "contended forward/reverse by forward",
    "phase forward/reverse by forward",
    "work forward/reverse by forward",
    "phase solo/forward by forward",
    "phase solo/reverse by forward",
  ]);
  const contended = comparisons[0];
  expect(contended?.ratio.median).toBeGreaterThan(1000);
  expect(contended?.control?.median).toBeGreaterThan(0.95);
  expect(contended?.control?.median).toBeLessThan(1.05);
});

test("one order alone is compared with solo only; no order, nothing", () => {
  expect(blockComparisons([SOLO, REVERSE], 1).map(({ a, b, control }) => [a, b, control])).toEqual([
    ["solo", "reverse", null],
  ]);
  expect(blockComparisons([SOLO], 1)).toEqual([]);
});

test("an interrupted pair is left out; an unavailable metric gives no comparison", () => {
  const cut = variant("reverse", REVERSE.trials.slice(0, 7));
  expect(compareVariants("phase", FORWARD, cut, FORWARD, 1)?.ratio.pairs).toBe(7);
  const blind = variant("blind", [trial({ actors: [actor("victim", { cpuNs: null })] })]);
  expect(compareVariants("work", FORWARD, blind, undefined, 1)).toBeUndefined();
});

test("totals add up each class over trials and CPUs and keep the longest wait", () => {
  const [pte, mmap] = lockTotals([race(), race()]);
  expect(pte).toEqual({
    ...lock("pte_lock"),
    acquired: 60,
    contended: 24,
    waitNs: 24_000,
    spinNs: 18_000,
    maxNs: 99_999,
    parked: 6,
    tryFailed: 12,
  });
  expect(mmap).toMatchObject({ class: "mmap_lock", type: "rwsem", acquired: 6, waitNs: 1400 });
});
