/** Kills by the OOM killer on real threads, checked build: who dies, who reaps, what the trace and the figures say. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ProcessSetup } from "../../src/machine/pressure.ts";
import { REAPERS } from "../../src/machine/race.ts";
import { BenchContext } from "../../src/run/bench/context.ts";
import { PressureHost, type PressureOptions } from "../../src/run/pressure-host.ts";

const LARGE_PAGES = 4000;
/** So many that a kill too many leaves somebody to choose. */
const SLEEPERS = 20;
/** A third of a second: I/O that is under way for much longer than allocators wait for anything here. */
const LONG_US = 300_000;
/** Trials in which a race that has to be met must be met. */
const ROUNDS = 40;

let context: BenchContext;

beforeAll(async () => {
  context = await BenchContext.open("stress", { progress: () => {}, stopped: () => false, modules: [] });
});

afterAll(() => context.close());

function processOf(pages: number, more: Partial<ProcessSetup> = {}): ProcessSetup {
  const mappings = [{ startVpn: 0x1000, pages, flags: context.kernel.VM_WRITE, present: "all" as const }];
  return { comm: "toy", mappings, frames: "sequential", seed: 1, ...more };
}

function hostOf(options: Partial<PressureOptions> = {}): PressureHost {
  return new PressureHost(context.kernel, {
    processes: [processOf(LARGE_PAGES)],
    sleepers: Array.from({ length: SLEEPERS }, (_, i) => processOf(200 - i)),
    busy: { startVpn: 0x1000, pages: 8 },
    levels: 4,
    protocol: "v6.1",
    reaper: "kthread",
    reapers: 1,
    victimSpeed: 1,
    reaperSpeed: 1,
    lockGranularity: "table",
    allocators: 1,
    wanted: LARGE_PAGES / 2,
    traceEvents: 4096,
    lockOrder: true,
    ...options,
  });
}

describe("from pressure to recovery", () => {
  it.each(REAPERS)(
    "reaper %s: the large process dies first, for something, and every page of it comes back",
    async (reaper) => {
      const host = hostOf({ reaper, allocators: 2 });
      const order = reaper === "none" ? null : "forward";
      const sample = await host.tracedTrial(await context.crewFor(host), order);
      const { MM_PAGES_FREED, SIGNAL_GENERATE, traceFields } = context.kernel;
      const { trace, mms, lost } = sample;
      // Others may die once its pages are unmapped and not free yet (B20); needless is who dies before that.
      expect([sample.needless, sample.panicked, lost]).toEqual([0, false, 0]);
      const roles = sample.actors.map(({ role }) => role);
      expect(roles).toEqual(["victim", ...(order === null ? [] : ["reaper"]), "allocator", "allocator"]);
      const signals = trace.filter(({ event }) => event === SIGNAL_GENERATE);
      expect(signals).toHaveLength(sample.kills);
      expect([signals[0]?.timeNs, signals[0] && traceFields(signals[0]).pid]).toEqual([0, 1000]);
      const freed = trace.filter(({ event, a }) => event === MM_PAGES_FREED && a === mms[0]);
      expect(freed.reduce((sum, { b }) => sum + b, 0)).toBe(LARGE_PAGES);
      expect(freed.every(({ timeNs }) => timeNs > 0)).toBe(true);
      expect(sample.phaseNs).toBeGreaterThan(0);
      expect(sample.actors.flatMap(({ stalls }) => stalls?.eachUs ?? []).length).toBeGreaterThan(0);
    },
  );

  it("the kthread frees the memory of a victim that waits for I/O", async () => {
    const processes = [processOf(LARGE_PAGES, { aioUs: LONG_US })];
    const host = hostOf({ processes, protocol: "v4.14" });
    const { actors, needless } = await host.trial(await context.crewFor(host), "forward");
    const [victim, reaped] = actors.map(({ pages }) => pages);
    expect([needless, victim]).toEqual([0, 0]);
    expect(reaped).toBeGreaterThanOrEqual(LARGE_PAGES);
  });

  it("begins anew with each trial", async () => {
    const host = hostOf({ traceEvents: 0 });
    const crew = await context.crewFor(host);
    for (let trial = 0; trial < 5; trial++) {
      const { actors } = await host.trial(crew, "forward");
      expect(actors.map(({ role }) => role)).toEqual(["victim", "reaper", "allocator"]);
    }
  });
});

describe("a panic", () => {
  it("ends a trial of v4.13 in which needless kills leave nobody, and tells how many they were", async () => {
    const processes = [processOf(LARGE_PAGES, { aioUs: LONG_US }), processOf(100, { aioUs: LONG_US })];
    const host = hostOf({ processes, sleepers: [], protocol: "v4.13" });
    // While the victims wait for I/O nobody can reap: MMF_OOM_SKIP comes at once, and the next one dies. A reaper that is
    // early enough still finds the first one's users, and frees its memory.
    let sample = await host.tracedTrial(await context.crewFor(host), "forward");
    for (let round = 1; !sample.panicked && round < ROUNDS; round++) {
      expect(sample).toMatchObject({ kills: 1, needless: 0 });
      sample = await host.tracedTrial(await context.crewFor(host), "forward");
    }
    expect(sample).toMatchObject({ kills: 2, needless: 1, panicked: true, actors: [], phaseNs: 0 });
    await context.close();
    const next = hostOf();
    expect((await next.trial(await context.crewFor(next), "forward")).panicked).toBe(false);
  });
});

it("refuses a machine that cannot be", () => {
  const processes = Array.from({ length: 31 }, () => processOf(1));
  expect(() => hostOf({ processes })).toThrow(/machine: 33 CPUs, expected 1 to 31/);
});
