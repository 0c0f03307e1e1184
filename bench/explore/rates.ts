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

/** Runs `program` under `random` as explorers do: reset, execution, check, hash of the final state. */
export async function measureRate(name: string, program: Program, seed: number, runMs: number): Promise<Rate> {
  const explorer = new Explorer(program, { scheduler: "random", seed });
  const search = (): number => explorer.search(FROM, FROM + EXECUTIONS, () => false).steps;
  const steps = search();
  const bench = new Bench({ now: cpuMs, time: runMs, warmupTime: runMs, retainSamples: true, throws: true });
  bench.add(name, search);
  const gc = new GcClock();
  await bench.run();
  const gcShare = await gc.stop();
  const result = bench.tasks[0]?.result;
  if (result?.state !== "completed" || !result.latency.samples)
    throw new Error(`measureRate: ${name} did not complete`);
  const seconds = result.latency.samples.map((ms) => ms / 1000);
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
    runs: seconds.length,
  };
}

/** Of all threads of this process, so that the collector's helpers count and other processes do not. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export function intervalOf(values: readonly number[], seed: number): Interval {
  return { median: median(values), ...bootstrapMedian(values, seed) };
}
