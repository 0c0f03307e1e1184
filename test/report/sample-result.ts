/** A bench result made up for the tests of tables, text and schema. */

import { Random } from "../../src/base/random.ts";
import { blockComparisons, summarise } from "../../src/report/bench-metrics.ts";
import type {
  ActorSample,
  BenchResult,
  LockSample,
  MeasuredBlock,
  MreleasePair,
  TrialSample,
  VariantResult,
} from "../../src/report/bench-result.ts";
import { buildMrelease } from "../../src/report/mrelease-build.ts";
import { compare } from "../../src/report/stats.ts";
import type { RawMrelease } from "../../src/run/bench/record.ts";

export function lock(name: string, figures: Partial<LockSample> = {}): LockSample {
  return {
    class: name,
    type: name === "mmap_lock" ? "rwsem" : "spinlock",
    acquired: 0,
    contended: 0,
    waitNs: 0,
    spinNs: 0,
    maxNs: 0,
    parked: 0,
    tryFailed: 0,
    ...figures,
  };
}

export function actor(role: ActorSample["role"], figures: Partial<ActorSample> = {}): ActorSample {
  return { role, wallNs: 1e8, cpuNs: 9e7, pages: 1000, locks: [], stalls: null, ...figures };
}

export function trial(figures: Partial<TrialSample> = {}): TrialSample {
  return {
    seed: 1,
    phaseNs: 1e8,
    teardownNs: 1.1e8,
    pages: 2000,
    actors: [actor("victim"), actor("reaper")],
    ...figures,
  };
}

export function variant(
  name: string,
  trials: readonly TrialSample[],
  more: Partial<VariantResult> = {},
): VariantResult {
  const solo = name === "solo";
  return {
    name,
    order: solo ? null : name,
    reaper: solo ? "none" : "mrelease",
    trials,
    again: null,
    summary: summarise(trials),
    ...more,
  };
}

/** Trials in which each side meets the other on about `contended / 2` locks. */
export function trials(count: number, phaseMs: number, contended: number, solo: boolean, seed = 1): TrialSample[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, i): TrialSample => {
    const phaseNs = Math.round(phaseMs * 1e6 * (1 + random.unit() / 20));
    const met = Math.round((contended / 2) * (1 + random.unit() / 20));
    const side = (role: "victim" | "reaper"): ActorSample => {
      const waitNs = met * (2000 + random.below(500));
      const pte = {
        acquired: 4096,
        contended: met,
        waitNs,
        spinNs: waitNs,
        maxNs: met === 0 ? 0 : 90_000 + random.below(9),
      };
      return actor(role, {
        wallNs: phaseNs,
        cpuNs: Math.round(phaseMs * 1e6) + waitNs,
        pages: solo ? 2 ** 21 : 2 ** 20,
        locks: [
          lock("pte_lock", pte),
          lock("mmap_lock", { acquired: 2, contended: role === "victim" ? 1 : 0, waitNs: 800 }),
        ],
      });
    };
    const actors = solo ? [side("victim")] : [side("victim"), side("reaper")];
    return { seed: i, phaseNs, teardownNs: phaseNs + 5e6, pages: 2 ** 21, actors };
  });
}

export function block(pairs = 21, vmas = 4096): MeasuredBlock {
  const forward = vmas === 1 ? 3900 : 3912;
  const variants = [
    variant("solo", trials(pairs, 131, 0, true)),
    variant("forward", trials(pairs, 98, forward, false, 2), { again: trials(pairs, 98, forward, false, 3) }),
    variant("reverse", trials(pairs, 70, vmas === 1 ? 3900 : 4, false, 4)),
  ];
  return {
    state: "measured",
    setup: {
      layout: vmas === 1 ? "one-vma" : "vmas-2m",
      frames: "sequential",
      protocol: "v6.1",
      lockGranularity: "table",
      actors: 2,
      oversubscribed: false,
    },
    layout: {
      name: vmas === 1 ? "one-vma" : "vmas-2m",
      idea: "made up",
      notes: [],
      vmas,
      mappedPages: 2 ** 21,
      presentPages: 2 ** 21,
      ownPages: 2 ** 21,
      pteTables: 4096,
      levels: 4,
    },
    staging: { arenaBytes: 40 * 2 ** 20, bootNs: 2e6, buildNs: 400e6 },
    peakRssBytes: 3 * 2 ** 29,
    pairs,
    variants,
    comparisons: blockComparisons(variants, 1),
    notes: [],
  };
}

/** An allocator that stalled twice in each trial of the orders, and never in the solo ones. */
function withAllocator(one: VariantResult): VariantResult {
  const stalls =
    one.order === null
      ? { count: 0, totalUs: 0, longestUs: 0, eachUs: [] }
      : { count: 2, totalUs: 9e3, longestUs: 5e3, eachUs: [4e3, 5e3] };
  return { ...one, trials: one.trials.map((t) => ({ ...t, actors: [...t.actors, actor("allocator", { stalls })] })) };
}

/** 120 stalls of 1 to 120 emulated milliseconds. */
const STALLS_US = Array.from({ length: 120 }, (_, i) => (i + 1) * 1000);

/** Blocks are made once: their intervals take thousands of resamples. */
const MANY_VMAS = block();
const ONE_VMA = block(21, 1);
const FEW_PAIRS = block(4);

function mreleasePair(i: number, error: MreleasePair["reaped"]["error"] = null): MreleasePair {
  const alone = { killToWaitNs: 30e6 + i * 1e5, victimCpuNs: 29e6 };
  return { alone, reaped: { killToWaitNs: 20e6, victimCpuNs: 17e6, mreleaseNs: 18e6, error } };
}

/** Eight pairs of which one was not reaped, and a layout that could not be made. */
export function rawMrelease(release = "6.18.44"): RawMrelease {
  const pairs = Array.from({ length: 8 }, (_, i) => mreleasePair(i, i === 3 ? "ESRCH" : null));
  const measured = { state: "measured", layout: "vmas-2m", pages: 2 ** 21, kernelPages: 2 ** 17 } as const;
  const absent = { state: "absent", layout: "self", pages: 16_371, reason: "it cannot be mapped here" } as const;
  const rows = [{ ...measured, kernelVmas: 256, notes: ["131,072 of its 2,097,152 pages"], pairs }, absent];
  return { state: "measured", compiler: "gcc -O2", release, rows };
}

function sampleMrelease(): BenchResult["mrelease"] {
  return buildMrelease(rawMrelease(), "mrelease", [MANY_VMAS], 1);
}

export function sampleResult(more: Partial<BenchResult> = {}): BenchResult {
  const { setup } = MANY_VMAS;
  const pressed = {
    protocol: "v4.13",
    order: "forward",
    victims: 4,
    pages: 8192,
    aioUs: 0,
    allocators: 2,
    seed: 1,
    actors: 4,
    oversubscribed: true,
  };
  const crowded = { ...setup, actors: 3, oversubscribed: true };
  return {
    schema: "oomrace.bench/1",
    partial: false,
    hang: null,
    version: "0.1.0",
    machine: {
      cpu: "Example CPU",
      cores: 2,
      available: 2,
      threadsPerCore: 1,
      memoryBytes: 16 * 2 ** 30,
      os: "Linux 6.18.44 x64",
      node: "v20.20.2",
      load1: 0.25,
    },
    options: {
      protocol: "v6.1",
      orders: ["forward", "reverse"],
      reaper: "mrelease",
      reapers: 1,
      victimSpeed: 1,
      reaperSpeed: 1,
      layouts: ["vmas-2m", "one-vma", "self"],
      smaps: null,
      pages: [],
      vmas: [4096],
      frames: ["sequential", "random"],
      layoutsOnly: false,
      allocators: 1,
      lockGranularity: "table",
      victims: 4,
      kills: 200,
      needless: false,
      pairs: 21,
      hz: null,
      quick: false,
    },
    seed: 1,
    timers: { kernelSecondMs: 190, kernelPagesPerSecond: 3.1e6, soloPagesPerSecond: 16e6 },
    cpuTime: { source: "schedstat", resolutionNs: 12_000 },
    blocks: [
      MANY_VMAS,
      ONE_VMA,
      { state: "skipped", setup: { ...setup, layout: "self" }, reason: "process self: not available here" },
    ],
    growth: [
      {
        layout: "vmas-2m",
        frames: "sequential",
        pages: 2 ** 21,
        vmas: 1e4,
        setupNs: 1e9,
        teardownNs: 60e6,
        setupTimes: null,
        teardownTimes: null,
      },
    ],
    granularity: [{ state: "broken", setup: { ...setup, lockGranularity: "mm" }, reason: "I2: page 7 freed twice" }],
    allocators: [{ ...FEW_PAIRS, variants: FEW_PAIRS.variants.map(withAllocator), setup: crowded }],
    pressure: [
      { state: "measured", setup: pressed, rounds: 60, kills: 200, needless: 41, panics: 1, stallsUs: STALLS_US },
      {
        state: "measured",
        setup: { ...pressed, protocol: "v4.14", aioUs: 20_000 },
        rounds: 3,
        kills: 6,
        needless: 0,
        panics: 0,
        stallsUs: [7000],
      },
      { state: "broken", setup: pressed, reason: "I2: page 7 freed twice" },
    ],
    lockOperations: [
      { lock: "spinlock", operation: "lock + unlock", ns: 31.25, p99Ns: 44, samples: 20_000 },
      { lock: "rwsem", operation: "lock + downgrade + read unlock", ns: 48, p99Ns: null, samples: 64 },
    ],
    native: {
      state: "measured",
      compiler: "gcc -O2",
      rows: [
        {
          layout: "vmas-2m",
          frames: "sequential",
          pages: 2 ** 21,
          oomraceNs: [50e6, 51e6],
          nativeNs: [40e6, 41e6],
          ratio: compare([40e6, 41e6], [50e6, 51e6], 1),
          identicalArenas: true,
        },
      ],
    },
    mrelease: sampleMrelease(),
    costs: [
      { name: "reading the clock", value: 41, unit: "ns" },
      { name: "with every check on", value: 9.1e6, unit: "pages/s" },
    ],
    notes: ["made up"],
    ...more,
  };
}
