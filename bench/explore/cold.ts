/** How long a user waits: each case from the start of the process until it is found, and until it is shrunk. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ExploreResult } from "../../src/report/explore-result.ts";
import { CASES } from "../../src/scenario/cases/index.ts";
import { distUrl } from "../../src/strip/dist.ts";
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
  const cli = fileURLToPath(distUrl("cli.js"));
  const began = performance.now();
  const text = await outputOf([cli, "explore", id, "--seed", String(seed), "--json", "-"]);
  const seconds = (performance.now() - began) / 1000;
  const { violation, executions } = JSON.parse(text) as ExploreResult;
  if (!violation) throw new Error(`exploreCold: ${id}, seed ${seed}: nothing was found in ${executions} executions`);
  const { shrinkSeconds: shrunk, preemptions } = violation;
  return { found: seconds - shrunk, shrunk, preemptions, executions };
}

/** Exit code 1 says that something was found. */
async function outputOf(args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(process.execPath, [...args])).stdout;
  } catch (error) {
    const { code, stdout } = error as { readonly code?: unknown; readonly stdout?: string };
    if (code === 1 && stdout) return stdout;
    throw error;
  }
}
