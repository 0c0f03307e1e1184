/**
 * What a seed of `oomrace stress` draws. The hosts here write their machine down and kill nobody; test/race/stress.test.ts
 * has the real ones.
 */

import { beforeEach, describe, expect, it, vi } from "vitest";
import { UsageError, Violation } from "../../src/base/errors.ts";
import { crowdCpus } from "../../src/machine/crowd-setup.ts";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP } from "../../src/mm/vma.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { type DrawnCrowd, MAX_CROWD_CPUS } from "../../src/run/crowd-draw.ts";
import type { CrowdOutcome } from "../../src/run/crowd-host.ts";
import type { TrialSample } from "../../src/run/samples.ts";
import { runStress } from "../../src/run/stress.ts";
import type { DrawnRace } from "../../src/run/stress-draw.ts";
import { describeStress, type StressResult } from "../../src/run/stress-tally.ts";
import { HangError } from "../../src/run/watchdog.ts";

/** Machines built since the test began, and runs of them; a run for which `breakRun` names an invariant breaks it. */
const record = vi.hoisted(() => ({
  races: [] as unknown[],
  crowds: [] as unknown[],
  orders: [] as (string | null)[],
  runs: 0,
  breakRun: (_run: number): string | undefined => undefined,
}));

const KILLS_PER_CROWD_RUN = 3;

vi.mock("../../src/run/race-host.ts", () => {
  class RecordingHost {
    readonly map = { shape: { cpus: 2 } };

    constructor(_kernel: unknown, race: unknown) {
      record.races.push(race);
    }

    async attach(): Promise<void> {}

    async trial(_crew: unknown, order: string | null): Promise<TrialSample> {
      record.runs++;
      record.orders.push(order);
      const broken = record.breakRun(record.runs);
      if (broken === "hang") throw new HangError("no CPU advanced for 10 s");
      if (broken !== undefined) throw new Violation(broken, "a test broke it");
      return { seed: 1, phaseNs: 1, teardownNs: 1, pages: 1, actors: [] };
    }
  }
  return { RaceHost: RecordingHost };
});

vi.mock("../../src/run/crowd-host.ts", () => {
  class RecordingHost {
    readonly map = { shape: { cpus: 2 } };

    constructor(_kernel: unknown, setup: unknown, machine: unknown) {
      record.crowds.push({ setup, machine });
    }

    async attach(): Promise<void> {}

    async run(): Promise<CrowdOutcome> {
      record.runs++;
      const broken = record.breakRun(record.runs);
      if (broken === "hang") throw new HangError("no CPU advanced for 10 s");
      const violations = broken === undefined ? [] : [new Violation(broken, "a test broke it")];
      return { oomKills: 2, otherKills: 1, accesses: 5, panicked: false, violations, crewLost: false };
    }
  }
  return { CrowdHost: RecordingHost };
});

beforeEach(() => {
  takeDrawn();
  record.runs = 0;
  record.orders = [];
  record.breakRun = () => undefined;
});

type Options = Partial<Parameters<typeof runStress>[0]>;

async function stress(seed: number, kills: number, more: Options = {}): Promise<StressResult> {
  return runStress({ seed, kills, progress: () => {}, stopped: () => false, ...more });
}

interface Drawn {
  readonly races: readonly DrawnRace[];
  readonly crowds: readonly DrawnCrowd[];
}

/** What was drawn since the last call. */
function takeDrawn(): Drawn {
  const { races, crowds } = record;
  record.races = [];
  record.crowds = [];
  return { races, crowds } as unknown as Drawn;
}

describe("a seed", () => {
  it("draws the same machines again, whole address spaces included", async () => {
    await stress(7, 400);
    const first = takeDrawn();
    const orders = record.orders;
    record.orders = [];
    await stress(7, 400);
    expect(first.races.length).toBeGreaterThan(2);
    expect(first.crowds.length).toBeGreaterThan(2);
    expect(takeDrawn()).toEqual(first);
    expect(record.orders).toEqual(orders);
  });

  it("draws the first machines again however many kills follow", async () => {
    await stress(8, 800);
    const { races, crowds } = takeDrawn();
    await stress(8, 200);
    const some = takeDrawn();
    expect(some).toEqual({ races: races.slice(0, some.races.length), crowds: crowds.slice(0, some.crowds.length) });
  });

  it("draws others than its neighbour", async () => {
    await stress(12, 1);
    await stress(13, 1);
    const { races, crowds } = takeDrawn();
    expect(races.length + crowds.length).toBe(2);
    expect(new Set([...races, ...crowds].map((drawn) => JSON.stringify(drawn))).size).toBe(2);
  });

  it("draws races of all that there is, and no combination known to be unsafe", async () => {
    await stress(1, 14_000);
    const drawn = takeDrawn().races;
    expect(new Set(drawn.map((draw) => JSON.stringify(draw))).size).toBe(drawn.length);
    const every = <K extends keyof DrawnRace>(key: K): Set<DrawnRace[K]> => new Set(drawn.map((draw) => draw[key]));
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

  it("draws crowds of all kinds of memory and people", async () => {
    await stress(1, 14_000);
    const { crowds } = takeDrawn();
    const setups = crowds.map(({ setup }) => setup);
    const victims = setups.flatMap((setup) => setup.victims);
    expect(new Set(setups.map(({ protocol }) => protocol))).toEqual(new Set(PROTOCOLS.map(({ name }) => name)));
    expect(new Set(setups.map(({ victims: all }) => all.length))).toEqual(new Set([1, 2, 3]));
    expect(new Set(setups.map(({ allocators }) => allocators.length))).toEqual(new Set([1, 2, 3]));
    expect(new Set(victims.flatMap(({ visitors }) => visitors))).toEqual(new Set(["crowdReader", "crowdKthread"]));
    for (const has of [
      victims.some(({ threads }) => threads === 2),
      victims.some(({ sharers }) => sharers === 1),
      victims.some(({ forked }) => forked),
      victims.some(({ dumpUs }) => dumpUs > 0),
      victims.some(({ aioUs }) => aioUs > 0),
      setups.some(({ bystander }) => bystander.sharesFile),
      setups.some(({ bystander }) => bystander.children > 0),
      setups.some(({ mreleaseCalls }) => mreleaseCalls > 0),
    ]) {
      expect(has).toBe(true);
    }
    const mappings = victims.flatMap((victim) => victim.mappings);
    for (const flag of [VM_LOCKED, VM_PFNMAP, VM_HUGETLB])
      expect(mappings.some(({ flags }) => flags & flag)).toBe(true);
    for (const kind of ["filePages", "swapped", "huge"] as const) expect(mappings.some((one) => one[kind])).toBe(true);
    expect(Math.max(...setups.map(crowdCpus))).toBeLessThanOrEqual(MAX_CROWD_CPUS);
    const unsafe = PROTOCOLS.filter(({ mreleaseSafe }) => !mreleaseSafe).map(({ name }) => name);
    expect(setups.every(({ mreleaseCalls, protocol }) => mreleaseCalls === 0 || !unsafe.includes(protocol))).toBe(true);
  });

  it("draws from the protocols named, and from no other", async () => {
    await stress(3, 400, { protocols: ["v4.17", "v6.1"] });
    const { races, crowds } = takeDrawn();
    const names = [...races.map(({ protocol }) => protocol), ...crowds.map(({ setup }) => setup.protocol)];
    expect(new Set(names)).toEqual(new Set(["v4.17", "v6.1"]));
    await expect(stress(3, 1, { protocols: ["v9"] })).rejects.toMatchObject({
      name: UsageError.name,
      message: expect.stringMatching(/^protocol "v9": expected one of v4\.13, /),
    });
  });
});

describe("what breaks", () => {
  it("is reported with its machine, and the run goes on", async () => {
    record.breakRun = (run) => (run === 3 ? "I4" : undefined);
    const result = await stress(9, 100);
    expect(result.kills).toBeGreaterThanOrEqual(100);
    expect(result.broken).toEqual([expect.stringMatching(/^machine 1 of seed 9 \(.+\): I4: a test broke it$/)]);
    expect(describeStress(result)).toContain(`broken otherwise: 1\n${result.broken[0]}`);
  });

  it("counts for the protocol that is known for it, and does not end the run", async () => {
    record.breakRun = () => "I5";
    const result = await stress(9, 4, { protocols: ["v4.13"] });
    expect(result.broken).toEqual([]);
    expect(result.protocols).toEqual([expect.objectContaining({ protocol: "v4.13", bugs: { B1: record.runs } })]);
  });

  it("ends the run when it is the fifth", async () => {
    record.breakRun = () => "I4";
    const result = await stress(10, 1000);
    expect(result.broken).toHaveLength(5);
    expect(record.runs).toBe(5);
  });

  it("ends the run when it hangs, with the watchdog's report and what there was", async () => {
    record.breakRun = (run) => (run === 4 ? "hang" : undefined);
    const result = await stress(11, 1000);
    expect(result.hang).toMatch(/^machine 1 of seed 11 \(.+\): no CPU advanced for 10 s$/);
    expect(record.runs).toBe(4);
    expect(result.kills).toBeGreaterThan(0);
  });
});

it("counts the kills of a crowd by what its run says", async () => {
  const result = await stress(14, 500);
  expect(result.kills).toBe(result.races + KILLS_PER_CROWD_RUN * result.crowds);
  expect(result.accesses).toBe(5 * result.crowds);
  expect(result.protocols.reduce((sum, { kills }) => sum + kills, 0)).toBe(result.kills);
});

it("stops between runs when asked to", async () => {
  const result = await stress(11, 1000, { stopped: () => record.runs >= 3 });
  expect(record.runs).toBe(3);
  expect(result).toMatchObject({ interrupted: true, broken: [], hang: null });
});
