/** How fast the engine steps: executions and steps per second of CPU time, on one core, and how much of it is GC. */

import { Bench } from "tinybench";
import { median } from "../../src/base/median.ts";
import { Explorer } from "../../src/explore/explore.ts";
import type { Program } from "../../src/explore/program.ts";
import { bootstrapMedian } from "../../src/report/stats.ts";
import { GcClock } from "../../src/run/gc-clock.ts";

export interface Rate {
  readonly name: string;
  /** Per second: medians over the runs and their 95 % bootstrap intervals. */
  readonly executions: Interval;
  readonly steps: Interval;
  readonly stepsPerExecution: number;
  /** Of the run time, 0 to 1. */
  readonly gcShare: number;
  /** How many times as long the same executions take with the race detector on. */
  readonly detectorCost: Interval;
  readonly runs: number;
}

export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** The same executions in every run, behind those of which explorers run a sample twice. */
const FROM = 1100;
const EXECUTIONS = 200;

/**
 * Runs what `makeProgram` makes under `random` as explorers do: reset, execution, check, hash of the final state. Rates are
 * those without the race detector.
 */
export async function measureRate(
  name: string,
  makeProgram: () => Program,
  seed: number,
  runMs: number,
): Promise<Rate> {
  const off = searchOf(makeProgram(), seed, false);
  const steps = off();
  const gc = new GcClock();
  const seconds = await timed(name, off, runMs);
  const gcShare = await gc.stop();
  const watched = await timed(name, searchOf(makeProgram(), seed, true), runMs);
  const pairs = Math.min(seconds.length, watched.length);
  const costs = Array.from({ length: pairs }, (_, i) => (watched[i] as number) / (seconds[i] as number));
  return {
    name,
    executions: intervalOf(
      seconds.map((each) => EXECUTIONS / each),
      seed,
    ),
    steps: intervalOf(
      seconds.map((each) => steps / each),
      seed,
    ),
    stepsPerExecution: steps / EXECUTIONS,
    gcShare,
    detectorCost: intervalOf(costs, seed),
    runs: seconds.length,
  };
}

function searchOf(program: Program, seed: number, races: boolean): () => number {
  const explorer = new Explorer(program, { scheduler: "random", seed, races });
  return () => explorer.search(FROM, FROM + EXECUTIONS, () => false).steps;
}

/** CPU seconds of each run. */
async function timed(name: string, search: () => number, runMs: number): Promise<number[]> {
  const bench = new Bench({ now: cpuMs, time: runMs, warmupTime: runMs, retainSamples: true, throws: true });
  bench.add(name, search);
  await bench.run();
  const result = bench.tasks[0]?.result;
  if (result?.state !== "completed" || !result.latency.samples)
    throw new Error(`measureRate: ${name} did not complete`);
  return result.latency.samples.map((ms) => ms / 1000);
}

/** Of all threads of this process, so that the collector's helpers count and other processes do not. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export function intervalOf(values: readonly number[], seed: number): Interval {
  return { median: median(values), ...bootstrapMedian(values, seed) };
}
