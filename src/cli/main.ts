#!/usr/bin/env node
/** The command line: arguments in, exit code out. Everything else is elsewhere. */

import { Command, CommanderError } from "commander";
import { UsageError } from "../base/errors.ts";
import { packageVersion } from "../run/version.ts";
import { addBench } from "./bench.ts";
import { EXIT_FINE, EXIT_USAGE, exitCodeOf } from "./exit-code.ts";
import { addList } from "./list.ts";
import { addStress } from "./stress.ts";

const program = new Command("oomrace")
  .description("Runs the race between a killed process's exit_mmap and the OOM reaper, and measures it.")
  .version(packageVersion())
  .showHelpAfterError("(oomrace COMMAND --help tells what it takes)")
  .exitOverride();

addBench(program);
addList(program);
addStress(program);

/** Writing to a pipe that was closed (`| head`) is no error. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT_FINE);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** One line for what a person did wrong; the whole story for a fault of oomrace. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_FINE : EXIT_USAGE;
  const text = error instanceof Error ? error : new Error(String(error));
  const expected = text instanceof UsageError || text.name === "HangError" || text.name === "Violation";
  process.stderr.write(`oomrace: ${expected ? text.message : (text.stack ?? text.message)}\n`);
  return exitCodeOf(text);
}
