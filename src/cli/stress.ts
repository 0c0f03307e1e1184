/** `oomrace stress` */

import { type Command, Option } from "commander";
import { PROTOCOLS } from "../oom/protocols/index.ts";
import { runStress } from "../run/stress.ts";
import { describeStress, type StressResult } from "../run/stress-tally.ts";
import { EXIT_FINE, EXIT_HANG, EXIT_INTERRUPTED, EXIT_USAGE, EXIT_VIOLATION } from "./exit-code.ts";
import { setHelpPage } from "./help.ts";
import { catchInterrupt } from "./interrupt.ts";
import { wholeNumber } from "./options.ts";
import { progressLine } from "./progress.ts";
import { namesOf, parseChoices, type VariantChoice } from "./variants.ts";

const DEFAULT_SECONDS = 30;

interface StressFlags {
  readonly seconds: number;
  readonly kills?: number;
  readonly seed?: number;
  readonly protocol?: readonly VariantChoice[];
}

export function addStress(program: Command): void {
  const names = PROTOCOLS.map(({ name }) => name);
  const command = program
    .command("stress")
    .description(
      "kills on real threads, one after another: races and crowds, every protocol, order and lock granularity",
    )
    .option("--seconds <n>", "stop after this time", wholeNumber("--seconds", 1), DEFAULT_SECONDS)
    .option("--kills <n>", "stop after this many kills instead", wholeNumber("--kills", 1))
    .option("--seed <n>", "seed of the sequence of machines (default: the clock)", wholeNumber("--seed", 0))
    .addOption(
      new Option("--protocol <list>", `only these: ${names.join(", ")}, or files`).argParser(
        parseChoices("--protocol", names),
      ),
    )
    .action(async (flags: StressFlags) => {
      process.exitCode = await stress(flags);
    });
  setHelpPage(command, {
    groups: {},
    examples: [
      ["oomrace stress --kills 100000 --seed 7", "A hundred thousand kills on the machines that seed 7 draws"],
      ["oomrace stress --protocol v4.13,v4.14", "The two that are known for a bug which threads can meet"],
    ],
    exitCodes: [EXIT_FINE, EXIT_VIOLATION, EXIT_USAGE, EXIT_HANG, EXIT_INTERRUPTED],
  });
}

/** What to draw protocols from: their names, and the files that bring them. */
async function chosen(
  choices: readonly VariantChoice[] | undefined,
): Promise<{ protocols?: string[]; modules: string[] }> {
  if (choices === undefined) return { modules: [] };
  const protocols: string[] = [];
  for (const choice of choices) protocols.push(...(await namesOf("protocol", choice)));
  const files = choices.flatMap((choice) => (choice.kind === "file" ? [choice.path] : []));
  return { protocols, modules: [...new Set(files)] };
}

async function stress(flags: StressFlags): Promise<number> {
  const variants = await chosen(flags.protocol);
  const seed = flags.seed ?? Date.now() % 1_000_000;
  process.stdout.write(`seed ${seed}\n`);
  const progress = progressLine();
  const interrupt = catchInterrupt();
  let result: StressResult;
  try {
    const limit = flags.kills === undefined ? { seconds: flags.seconds } : { kills: flags.kills };
    const hooks = { progress: progress.show, stopped: interrupt.stopped };
    result = await runStress({ ...limit, ...variants, ...hooks, seed });
  } finally {
    progress.clear();
    interrupt.release();
  }
  process.stdout.write(`${describeStress(result)}\n`);
  if (result.hang !== null) return EXIT_HANG;
  if (result.broken.length > 0) return EXIT_VIOLATION;
  return result.interrupted ? EXIT_INTERRUPTED : EXIT_FINE;
}
