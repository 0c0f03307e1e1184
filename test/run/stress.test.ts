/**
 * What a seed of `oomrace stress` draws. The hosts here write their race down and kill nobody; test/race/stress.test.ts
 * has the real ones.
 */

import { beforeEach, describe, expect, it, vi } from "vitest";
import { Violation } from "../../src/base/errors.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import type { RaceOptions } from "../../src/run/race-host.ts";
import type { TrialSample } from "../../src/run/samples.ts";
import { describeStress, runStress, type StressResult } from "../../src/run/stress.ts";

type Draw = RaceOptions & { readonly order: string };

/** Races staged since the test began, and kills; a kill for which `breakKill` says so ends in a Violation. */
const record = vi.hoisted(() => ({
  draws: [] as unknown[],
  orders: [] as (string | null)[],
  kills: 0,
  breakKill: (_kill: number): boolean => false,
}));

vi.mock("../../src/run/race-host.ts", () => {
  class RecordingHost {
    readonly map = { shape: { cpus: 2 } };

    constructor(_kernel: unknown, race: unknown) {
      record.draws.push(race);
    }

    async attach(): Promise<void> {}

    async trial(_crew: unknown, order: string | null): Promise<TrialSample> {
      record.kills++;
      record.orders.push(order);
      if (record.breakKill(record.kills)) throw new Violation("I4", "a test broke it");
      return { seed: 1, phaseNs: 1, teardownNs: 1, pages: 1, actors: [] };
    }
  }
  return { RaceHost: RecordingHost };
});

beforeEach(() => {
  record.draws = [];
  record.orders = [];
  record.kills = 0;
  record.breakKill = () => false;
});

/** Kills of one race before the next is drawn. */
const PER_RACE = 40;

async function stress(seed: number, kills: number, stopped = (): boolean => false): Promise<StressResult> {
  return runStress({ seed, kills, progress: () => {}, stopped });
}

/** What was drawn since the last call. */
function takeDraws(): Draw[] {
  const draws = record.draws as Draw[];
  record.draws = [];
  return draws;
}

describe("a seed", () => {
  it("draws the same races again, whole address spaces included", async () => {
    await stress(7, 4 * PER_RACE);
    const first = takeDraws();
    const orders = record.orders;
    record.orders = [];
    await stress(7, 4 * PER_RACE);
    expect(first).toHaveLength(4);
    expect(takeDraws()).toEqual(first);
    expect(record.orders).toEqual(orders);
    expect(orders).toHaveLength(4 * PER_RACE);
  });

  it("draws the first races again however many kills follow", async () => {
    await stress(8, 3 * PER_RACE);
    const first = takeDraws();
    await stress(8, PER_RACE + 1);
    expect(takeDraws()).toEqual(first.slice(0, 2));
  });

  it("draws others than its neighbour", async () => {
    await stress(12, 1);
    await stress(13, 1);
    const [one, other] = takeDraws();
    expect(one).not.toEqual(other);
  });

  it("draws from all that there is, and no combination known to be unsafe", async () => {
    await stress(1, 200 * PER_RACE);
    const drawn = takeDraws();
    expect(new Set(drawn.map((draw) => JSON.stringify(draw))).size).toBe(200);
    const every = <K extends keyof Draw>(key: K): Set<Draw[K]> => new Set(drawn.map((draw) => draw[key]));
    expect(every("protocol")).toEqual(new Set(PROTOCOLS.map(({ name }) => name)));
    expect(every("reaper")).toEqual(new Set(["mrelease", "kthread"]));
    expect(every("lockGranularity")).toEqual(new Set(["mm", "table", "pte"]));
    expect(every("frames")).toEqual(new Set(["sequential", "random"]));
    expect(every("levels")).toEqual(new Set([4, 5]));
    expect(every("order").size).toBeGreaterThanOrEqual(5);
    const callers = drawn.filter(({ reaper }) => reaper === "mrelease").map(({ protocol }) => protocol);
    expect(new Set(callers)).toEqual(new Set(["v4.13", "hocko-v1", "v5.17", "v6.1", "v6.18"]));
    const folios = drawn.filter((draw) => draw.mappings.some(({ folioOrder }) => (folioOrder ?? 0) > 0));
    expect(folios.length).toBeGreaterThan(0);
    expect(folios.every((draw) => draw.lockGranularity !== "pte")).toBe(true);
  });
});

describe("what breaks", () => {
  it("is reported with the number of the kill and what was drawn, and the run goes on", async () => {
    record.breakKill = (kill) => kill === PER_RACE + 3;
    const result = await stress(9, 2 * PER_RACE);
    const { protocol, order, reaper, lockGranularity, frames } = takeDraws()[1] as Draw;
    const drawn = `${protocol}, ${order}, ${reaper}, ${lockGranularity} locks, ${frames} frames`;
    expect(result).toMatchObject({ kills: 2 * PER_RACE, interrupted: false });
    expect(result.broken).toEqual([`kill ${PER_RACE + 3} (${drawn}): I4: a test broke it`]);
    expect(describeStress(result).split("\n")[1]).toBe(result.broken[0]);
  });

  it("ends the run when it is the fifth", async () => {
    record.breakKill = () => true;
    const result = await stress(10, 1000);
    expect(result.broken).toHaveLength(5);
    expect(result.kills).toBe(5);
  });
});

it("stops between kills when asked to", async () => {
  const result = await stress(11, 1000, () => record.kills >= 3);
  expect(result).toMatchObject({ kills: 3, interrupted: true, broken: [] });
});
