/** `oomrace stress` */

import type { Command } from "commander";
import { describeStress, runStress, type StressResult } from "../run/stress.ts";
import { EXIT_FINE, EXIT_INTERRUPTED, EXIT_VIOLATION } from "./exit-code.ts";
import { catchInterrupt } from "./interrupt.ts";
import { wholeNumber } from "./options.ts";
import { progressLine } from "./progress.ts";

const DEFAULT_SECONDS = 30;

export function addStress(program: Command): void {
  program
    .command("stress")
    .description("kills on real threads, one after another, over all protocols, orders and lock granularities")
    .option("--seconds N", "stop after this time", wholeNumber("--seconds", 1), DEFAULT_SECONDS)
    .option("--kills N", "stop after this many kills, whatever --seconds says", wholeNumber("--kills", 1))
    .option("--seed N", "seed of what is killed how (default: the clock)", wholeNumber("--seed", 0))
    .action(async (flags: { seconds: number; kills?: number; seed?: number }) => {
      process.exitCode = await stress(flags);
    });
}

async function stress(flags: { seconds: number; kills?: number; seed?: number }): Promise<number> {
  const seed = flags.seed ?? Date.now() % 1_000_000;
  process.stdout.write(`seed ${seed}\n`);
  const progress = progressLine();
  const interrupt = catchInterrupt();
  let result: StressResult;
  try {
    const limit = flags.kills === undefined ? { seconds: flags.seconds } : { kills: flags.kills };
    result = await runStress({ ...limit, seed, progress: progress.show, stopped: interrupt.stopped });
  } finally {
    progress.clear();
    interrupt.release();
  }
  process.stdout.write(`${describeStress(result)}\n`);
  if (result.broken.length > 0) return EXIT_VIOLATION;
  return result.interrupted ? EXIT_INTERRUPTED : EXIT_FINE;
}
