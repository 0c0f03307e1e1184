/** `oomrace stress` */

import type { Command } from "commander";
import { runStress } from "../run/stress.ts";
import { describeStress, type StressResult } from "../run/stress-tally.ts";
import { EXIT_FINE, EXIT_HANG, EXIT_INTERRUPTED, EXIT_USAGE, EXIT_VIOLATION } from "./exit-code.ts";
import { setHelpPage } from "./help.ts";
import { catchInterrupt } from "./interrupt.ts";
import { wholeNumber } from "./options.ts";
import { progressLine } from "./progress.ts";

const DEFAULT_SECONDS = 30;

export function addStress(program: Command): void {
  const command = program
    .command("stress")
    .description("kills on real threads, one after another, over all protocols, orders and lock granularities")
    .option("--seconds <n>", "stop after this time", wholeNumber("--seconds", 1), DEFAULT_SECONDS)
    .option("--kills <n>", "stop after this many kills instead", wholeNumber("--kills", 1))
    .option("--seed <n>", "seed of what is killed how (default: the clock)", wholeNumber("--seed", 0))
    .action(async (flags: { seconds: number; kills?: number; seed?: number }) => {
      process.exitCode = await stress(flags);
    });
  setHelpPage(command, {
    groups: {},
    examples: [
      ["oomrace stress --kills 100000 --seed 7", "A hundred thousand kills; seed 7 draws the same ones again"],
    ],
    exitCodes: [EXIT_FINE, EXIT_VIOLATION, EXIT_USAGE, EXIT_HANG, EXIT_INTERRUPTED],
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
  if (result.hang !== null) return EXIT_HANG;
  if (result.broken.length > 0) return EXIT_VIOLATION;
  return result.interrupted ? EXIT_INTERRUPTED : EXIT_FINE;
}
