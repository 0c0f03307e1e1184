/** A toy race, staged once and reset by copy, to be run step by step under many seeds. */

import { runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { findViolations } from "../../src/check/index.ts";
import { interleave } from "../../src/explore/engine.ts";
import { describeOutcome, type Outcome } from "../../src/explore/outcome.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import type { FrameOrder, Mapping } from "../../src/machine/address-space.ts";
import { bootMachine, cpuOf } from "../../src/machine/boot.ts";
import type { MachineMap } from "../../src/machine/memory-map.ts";
import { endRace, type Reaper, resetFigures, type StagedRace, stageRace } from "../../src/machine/race.ts";
import { roles } from "../../src/machine/roles.ts";
import { type MachineShape, TOY_SHAPE } from "../../src/machine/shape.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";

/** Four mappings, 10 pages, four page tables; the first two mappings share one. */
export const TOY_MAPPINGS: readonly Mapping[] = [
  { startVpn: 0x10, pages: 3, flags: VM_WRITE, present: "all" },
  { startVpn: 0x20, pages: 2, flags: VM_WRITE, present: "all" },
  { startVpn: 0x300, pages: 2, flags: VM_WRITE, present: "all" },
  { startVpn: 0x800, pages: 0x208, flags: VM_WRITE, present: [1, 2, 0x1ff, 2] },
];
export const TOY_PAGES = 11;

export interface ToyRace {
  readonly protocol: string;
  readonly order: string;
  readonly reaper: Reaper;
  readonly shape?: Partial<MachineShape>;
  readonly frames?: FrameOrder;
  readonly mappings?: readonly Mapping[];
}

export interface ToyStage {
  readonly map: MachineMap;
  readonly words: Int32Array;
  readonly snapshot: Int32Array;
  readonly staged: StagedRace;
}

/** Boots and stages; `snapshot` is the arena at the barrier. */
export function stageToy(race: ToyRace): ToyStage {
  const { map, words } = bootMachine({ ...TOY_SHAPE, protocol: race.protocol, ...race.shape });
  const setup = { mappings: TOY_MAPPINGS, frames: "sequential", seed: 1, ...race } as const;
  const staged = runToEnd(stageRace(cpuOf(words, map, 0, soloPort()), setup));
  resetFigures(words, map);
  return { map, words, snapshot: words.slice(), staged };
}

/** Runs the staged race once under a seed and ends it; the arena is reset first. */
export function runToy(race: ToyRace, stage: ToyStage, seed: number): Outcome {
  const { map, words, staged } = stage;
  words.set(stage.snapshot);
  const { protocol, order } = race;
  const victim = (cpu: Parameters<typeof roles.victim>[0]) => roles.victim(cpu, {});
  const reapers = {
    mrelease: [(cpu: Parameters<typeof victim>[0]) => roles.mrelease(cpu, { mm: staged.mm, protocol, order })],
    kthread: [(cpu: Parameters<typeof victim>[0]) => roles.kthread(cpu, { task: staged.task, protocol, order })],
    none: [],
  };
  const outcome = interleave({
    words,
    programs: [victim, ...reapers[race.reaper]],
    cpuOf: (id, port) => cpuOf(words, map, id, port),
    scheduler: randomScheduler(seed),
  });
  if (outcome.state === "finished") runToEnd(endRace(cpuOf(words, map, 0, soloPort()), 0));
  return outcome;
}

/** Runs seeds 1..count and throws, naming the seed, at the first that does not finish with all invariants intact. */
export function expectCleanRaces(race: ToyRace, count: number, look?: (stage: ToyStage, seed: number) => void): void {
  const stage = stageToy(race);
  for (let seed = 1; seed <= count; seed++) {
    const outcome = runToy(race, stage, seed);
    if (outcome.state !== "finished") throw new Error(`seed ${seed}: ${describeOutcome(outcome)}`);
    const faults = findViolations(stage.words, stage.map);
    if (faults.length > 0) throw new Error(`seed ${seed}: ${faults.map((fault) => fault.message).join("; ")}`);
    look?.(stage, seed);
  }
}
