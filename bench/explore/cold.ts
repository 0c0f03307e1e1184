/** How long a user waits: each case from the start of the process until it is found, and until it is shrunk. */

import { CASES } from "../../src/scenario/cases/index.ts";
import { exploreCase } from "./explore-case.ts";
import { type Interval, intervalOf } from "./rates.ts";

export interface ColdFind {
  readonly id: string;
  /** Real seconds from the start of the process. */
  readonly found: Interval;
  /** Real seconds after that. */
  readonly shrunk: Interval;
  /** Each the most of all runs. */
  readonly preemptions: number;
  readonly executions: number;
  readonly runs: number;
}

/** Explores each case `runs` times with default options, but for the seed: `seed`, `seed` + 1, ... */
export async function measureColdFinds(seed: number, runs: number): Promise<ColdFind[]> {
  const finds: ColdFind[] = [];
  for (const { id } of CASES) {
    const all: Run[] = [];
    for (let run = 0; run < runs; run++) all.push(await exploreCold(id, seed + run));
    finds.push({
      id,
      found: intervalOf(
        all.map(({ found }) => found),
        seed,
      ),
      shrunk: intervalOf(
        all.map(({ shrunk }) => shrunk),
        seed,
      ),
      preemptions: Math.max(...all.map(({ preemptions }) => preemptions)),
      executions: Math.max(...all.map(({ executions }) => executions)),
      runs,
    });
  }
  return finds;
}

interface Run {
  readonly found: number;
  readonly shrunk: number;
  readonly preemptions: number;
  readonly executions: number;
}

async function exploreCold(id: string, seed: number): Promise<Run> {
  const began = performance.now();
  const { violation, executions } = await exploreCase([id, "--seed", String(seed)]);
  const seconds = (performance.now() - began) / 1000;
  if (!violation) throw new Error(`exploreCold: ${id}, seed ${seed}: nothing was found in ${executions} executions`);
  const { shrinkSeconds: shrunk, preemptions } = violation;
  return { found: seconds - shrunk, shrunk, preemptions, executions };
}
