import { expect, test } from "vitest";
import { StallClock } from "../../src/run/stall-clock.ts";

const TICK = 100;

/** Feeds ticks given as [wall since the tick before, CPU burnt meanwhile, a thread wants CPU, advanced]. */
function stalled(ticks: readonly (readonly [number, number, boolean | undefined, boolean])[]): number {
  const clock = new StallClock(TICK);
  let wallMs = 1000;
  let cpuMs = 50;
  clock.tick({ wallMs, cpuMs, wantsCpu: () => false }, true);
  for (const [wall, cpu, wants, advanced] of ticks) {
    wallMs += wall;
    cpuMs += cpu;
    clock.tick({ wallMs, cpuMs, wantsCpu: () => wants }, advanced);
  }
  return clock.stalledMs;
}

test("sleeping threads stall in real time", () => {
  expect(
    stalled([
      [100, 0, false, false],
      [110, 1, false, false],
    ]),
  ).toBe(210);
  expect(stalled([[100, 0, undefined, false]])).toBe(100);
});

test("spinning threads stall by the CPU time they burn, not faster than real time", () => {
  expect(stalled([[100, 60, true, false]])).toBe(60);
  expect(stalled([[100, 195, true, false]])).toBe(100);
});

test("threads that want a CPU and get none do not stall", () => {
  expect(
    stalled([
      [100, 2, true, false],
      [100, 0, true, false],
    ]),
  ).toBe(0);
});

test("a stopped process does not stall: a late tick counts for two at most", () => {
  expect(stalled([[60_000, 0, false, false]])).toBe(200);
  expect(stalled([[60_000, 500, true, false]])).toBe(200);
});

test("progress starts the count anew", () => {
  expect(
    stalled([
      [100, 0, false, false],
      [100, 0, false, true],
      [100, 0, false, false],
    ]),
  ).toBe(100);
});
