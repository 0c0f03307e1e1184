/** From memory pressure to recovery, stepped: one process dies for an allocator, whoever reaps it, and nothing is left. */

import { describe, expect, it } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { findViolations } from "../../src/check/index.ts";
import { interleave } from "../../src/explore/engine.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import type { AllocatorResult } from "../../src/machine/allocator-roles.ts";
import { bootMachine, cpuOf } from "../../src/machine/boot.ts";
import { endPressure, endProcess, stageAllocator, stageProcess } from "../../src/machine/pressure.ts";
import { roles } from "../../src/machine/roles.ts";
import { TOY_SHAPE } from "../../src/machine/shape.ts";
import { MM_ANONPAGES, Mm } from "../../src/mm/mm-struct.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { nrFreePages } from "../../src/mm/zone.ts";
import { OomGlobals } from "../../src/oom/globals.ts";
import { Signal } from "../../src/task/signal.ts";
import { Task } from "../../src/task/task.ts";
import { burstScheduler, type Program } from "../oom/lab.ts";

const SEEDS = 1000;
const LARGE = 0;
const SMALL = 1;
const REAPER = 2;
const ALLOCATOR = 3;
const PAGES = 24;

interface Ending {
  readonly results: readonly unknown[];
  readonly kills: number;
  readonly needless: number;
  /** As seen from outside: pages of the large one when the small one became a victim, -1 when it never did. */
  readonly leftOfLarge: number;
}

/** A large and a small process, a reaper and an allocator that wants half of the large one's memory. */
function pressureLab(protocol: string, reaper: "kthread" | "mrelease" | "none") {
  const { map, words } = bootMachine({
    ...TOY_SHAPE,
    protocol,
    cpus: 4,
    tasks: 3,
    frames: 65,
    oomKiller: true,
    oomReaper: reaper === "kthread",
  });
  const alone = (id: number): Cpu => cpuOf(words, map, id, soloPort());
  const processes = [PAGES, 2].map((pages, slot) => {
    const mappings = [{ startVpn: 0x10, pages, flags: VM_WRITE, present: "all" }] as const;
    const setup = { comm: "toy", mappings, frames: "sequential", seed: 1 } as const;
    return runToEnd(stageProcess(alone(slot), slot, protocol, setup));
  });
  runToEnd(stageAllocator(alone(ALLOCATOR), 2, 0));
  const pages = runToEnd(nrFreePages(alone(0))) + PAGES / 2;
  const snapshot = words.slice();
  const [large, small] = processes as [(typeof processes)[0], (typeof processes)[0]];
  const race = { protocol, order: "forward" };
  const reapers: Record<typeof reaper, Program> = {
    kthread: (cpu) => roles.oomReaperKthread(cpu, race),
    mrelease: (cpu) => roles.mreleaseCaller(cpu, { ...race, processes: 2 }),
    none: function* () {},
  };
  const programs: Program[] = [
    (cpu) => roles.userProcess(cpu, { startVpn: 0x10, pages: 2 }),
    (cpu) => roles.userProcess(cpu, { startVpn: 0, pages: 0 }),
    reapers[reaper],
    (cpu) => roles.pressureAllocator(cpu, { pages }),
  ];
  return (seed: number): Ending => {
    words.set(snapshot);
    let leftOfLarge = -1;
    const look = (): void => {
      const smallIsVictim = words[(words[small.task + Task.signal] as number) + Signal.oomMm] !== 0;
      if (leftOfLarge < 0 && smallIsVictim) leftOfLarge = words[large.mm + Mm.rss + MM_ANONPAGES] as number;
    };
    const outcome = interleave({
      words,
      programs,
      cpuOf: (id, port) => cpuOf(words, map, id, port),
      scheduler: burstScheduler(seed),
      afterStep: look,
    });
    const word = (field: number): number => words[map.root + field] as number;
    const counts = { kills: word(OomGlobals.oomKills), needless: word(OomGlobals.needlessKills), leftOfLarge };
    if (outcome.state !== "finished") {
      const text = describeOutcome(outcome);
      if (!text.includes("deadlocked on memory")) throw new Error(`seed ${seed}: ${text}`);
      return { results: [], ...counts };
    }
    for (const slot of [LARGE, SMALL]) runToEnd(endProcess(alone(slot), slot));
    const { chain } = outcome.results[ALLOCATOR] as AllocatorResult;
    runToEnd(endPressure(alone(0), [chain]));
    expect(
      findViolations(words, map).map(({ invariant }) => invariant),
      `seed ${seed}`,
    ).toEqual(counts.needless > 0 ? ["I5"] : []);
    return { results: outcome.results, ...counts };
  };
}

describe.each([
  ["v6.18", "kthread"],
  ["v6.1", "mrelease"],
  ["v6.1", "none"],
] as const)("%s, reaper %s", (protocol, reaper) => {
  it(`never kills while the large process has pages, and the allocator gets what it wants (${SEEDS} seeds)`, () => {
    const run = pressureLab(protocol, reaper);
    let alone = 0;
    let reaped = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { results, kills, needless, leftOfLarge } = run(seed);
      // The small one may die once the pages of the large one are unmapped and not free yet (B20).
      expect([needless, leftOfLarge], `seed ${seed}`).toEqual([0, kills === 1 ? -1 : 0]);
      if (kills === 1) {
        alone++;
        expect(results.slice(LARGE, REAPER), `seed ${seed}`).toEqual([{ killed: 1 }, { killed: 0 }]);
        expect((results[ALLOCATOR] as AllocatorResult).stallsUs.length, `seed ${seed}`).toBeGreaterThan(0);
      }
      const { reaped: first = 0, late = 0 } = (results[REAPER] ?? {}) as { reaped?: number; late?: number };
      if (reaper === "mrelease" && results.length > 0) expect(first + late, `seed ${seed}`).toBe(kills);
      reaped += first;
    }
    expect(alone).toBeGreaterThan(SEEDS / 5);
    if (reaper !== "none") expect(reaped).toBeGreaterThan(SEEDS / 20);
  });
});

it(`v4.13 kills the small one too, needlessly, in some seeds, and the count says in which (${SEEDS} seeds)`, () => {
  const run = pressureLab("v4.13", "kthread");
  let needlessSeeds = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { kills, needless, leftOfLarge } = run(seed);
    expect(kills, `seed ${seed}`).toBe(leftOfLarge < 0 ? 1 : 2);
    // Between the note and the mark the large one may have let go of its last pages.
    if (leftOfLarge > 0) expect(needless, `seed ${seed}`).toBe(1);
    if (leftOfLarge < 0) expect(needless, `seed ${seed}`).toBe(0);
    needlessSeeds += needless;
  }
  expect(needlessSeeds).toBeGreaterThan(SEEDS / 100);
});
