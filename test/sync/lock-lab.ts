/** A few words with a lock in them, and CPUs that fight over it on the interleaved engine, seed after seed. */

import { expect } from "vitest";
import { ARENA_START, createArena } from "../../src/arena/arena.ts";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { planMemory, regionOf } from "../../src/arena/region.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { CACHE_PAIR, type StructType, struct } from "../../src/arena/struct.ts";
import { interleave } from "../../src/explore/engine.ts";
import { describeOutcome, type Outcome } from "../../src/explore/outcome.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { CpuSync } from "../../src/sync/cpu-sync.ts";
import { lockClass, lockClassNames } from "../../src/sync/lock-class.ts";
import { type LockTotals, lockTotals } from "../../src/sync/lock-totals.ts";
import { syncCpu } from "../../src/sync/sync-cpu.ts";

/** Executions per test. */
export const SEEDS = 1000;

/** Words of a test's own. */
const Scratch = struct("scratch", { words: 16 }, CACHE_PAIR);

export type Program = (cpu: Cpu) => Steps<unknown>;

export interface Lab {
  readonly words: Int32Array;
  /** Word address of the lock (or completion, wait queue) and its class. */
  readonly lock: number;
  readonly cls: number;
  /** A second one of the same kind and class. */
  readonly other: number;
  /** Word address of 16 words that a test uses as it likes. */
  readonly scratch: number;
  /** A CPU that runs alone, with `runToEnd`. */
  solo(id: number): Cpu;
  reset(): void;
  /** One execution from an arena of zeroes and free locks. */
  run(seed: number, programs: readonly Program[]): Outcome;
  totals(): LockTotals;
}

const MAX_CPUS = 6;

/** `init` makes zeroed words a free lock, where that takes more than zeroes. */
export function createLab(type: StructType, init: (words: Int32Array, lock: number) => void = () => {}): Lab {
  const map = planMemory(
    [
      { name: "sync", struct: CpuSync, count: MAX_CPUS },
      { name: "lock", struct: type, count: 1 },
      { name: "other", struct: type, count: 1 },
      { name: "scratch", struct: Scratch, count: 1 },
    ],
    ARENA_START,
  );
  const words = createArena(map);
  const base = regionOf(map, "sync").base;
  const cls = lockClass(`lab ${type.NAME}`);
  const lock = regionOf(map, "lock").base;
  const other = regionOf(map, "other").base;
  const place = { words, base, stride: CpuSync.WORDS, cpus: MAX_CPUS, classNames: lockClassNames() };
  const reset = (): void => {
    words.fill(0, ARENA_START);
    init(words, lock);
    init(words, other);
  };
  return {
    words,
    lock,
    cls,
    other,
    scratch: regionOf(map, "scratch").base,
    solo: (id) => syncCpu(words, base, id, soloPort()),
    reset,
    run: (seed, programs) => {
      reset();
      return interleave({
        words,
        programs,
        cpuOf: (id, port) => syncCpu(words, base, id, port),
        scheduler: randomScheduler(seed),
        maxSteps: 100_000,
        sync: place,
      });
    },
    totals: () => lockTotals(words, base, CpuSync.WORDS, MAX_CPUS, cls),
  };
}

/** As `expect(got).toBe(wanted)`, at a price that can be paid after each of a thousand executions. */
export function checkEqual<T>(what: string, got: T, wanted: T): void {
  if (got !== wanted) expect.fail(`${what}: got ${String(got)}, expected ${String(wanted)}`);
}

/** See `checkEqual`. */
export function checkAtMost(what: string, got: number, most: number): void {
  if (!(got <= most)) expect.fail(`${what}: got ${got}, expected at most ${most}`);
}

/** Runs the programs under SEEDS seeds; all must finish, or the test fails with the seed and what went wrong. */
export function exploreSeeds(
  lab: Lab,
  programs: readonly Program[],
  check?: (results: readonly unknown[]) => void,
): void {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = lab.run(seed, programs);
    if (outcome.state !== "finished") expect.fail(`seed ${seed}: ${describeOutcome(outcome)}`);
    try {
      check?.(outcome.results);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`);
    }
  }
}
