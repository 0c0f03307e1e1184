#!/usr/bin/env node
/** The command line: arguments in, exit code out. Everything else is elsewhere. */

import { Command, CommanderError } from "commander";
import { packageVersion } from "../run/version.ts";
import { addBench } from "./bench.ts";
import { EXIT_FINE, EXIT_HANG, EXIT_INTERRUPTED, EXIT_USAGE, EXIT_VIOLATION, exitCodeOf } from "./exit-code.ts";
import { addExplore } from "./explore.ts";
import { formatHelp, setHelpPage } from "./help.ts";
import { addList } from "./list.ts";
import { addRecord } from "./record.ts";
import { addReplay } from "./replay.ts";
import { addRun } from "./run.ts";
import { addStress } from "./stress.ts";

const program = new Command("oomrace")
  .description("Runs the race between a killed process's exit_mmap and the OOM reaper, and measures it.")
  .version(packageVersion())
  .configureHelp({ formatHelp })
  // `report` says what went wrong, once and in one line.
  .configureOutput({ outputError: () => {} })
  .exitOverride();

addBench(program);
addExplore(program);
addList(program);
addRecord(program);
addReplay(program);
addRun(program);
addStress(program);

setHelpPage(program, {
  groups: {},
  examples: [
    ["oomrace bench", "Forward against reverse on real threads, one or two minutes"],
    ["oomrace bench --quick", "The same in seconds, to see that it works"],
    ["oomrace run", "One kill, and what happened in it"],
    ["oomrace explore B1", "The race that began it all: found, shrunk and drawn"],
    ["oomrace bench --help", "Everything that bench can vary"],
  ],
  exitCodes: [EXIT_FINE, EXIT_VIOLATION, EXIT_USAGE, EXIT_HANG, EXIT_INTERRUPTED],
});

/** Writing to a pipe that was closed (`| head`) is no error. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});

if (process.argv.length <= 2) program.outputHelp();
else {
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = report(error);
  }
}

/** One line for what a person did wrong; the whole story for a fault of oomrace. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return reportUsage(error);
  const thrown = error instanceof Error ? error : new Error(String(error));
  const expected = ["UsageError", "HangError", "Violation", "Nondeterminism", "JobDied"].includes(thrown.name);
  process.stderr.write(`oomrace: ${expected ? thrown.message : (thrown.stack ?? thrown.message)}\n`);
  return exitCodeOf(thrown);
}

/** What commander refused. Help and version come as errors with exit code 0. */
function reportUsage({ code, exitCode, message }: CommanderError): number {
  if (exitCode === 0) return EXIT_FINE;
  const what = message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ");
  process.stderr.write(`oomrace: ${what}${expectation(code)}\n`);
  return EXIT_USAGE;
}

/** What commander's own words leave out. */
function expectation(code: string): string {
  const commands = program.commands.map((command) => command.name());
  if (code === "commander.unknownCommand") return `: expected one of ${commands.join(", ")}`;
  if (code === "commander.optionMissingArgument") return ": expected a value";
  if (code !== "commander.unknownOption") return "";
  const command = commands.find((name) => name === process.argv[2]);
  return `: expected one that \`oomrace ${command === undefined ? "" : `${command} `}--help\` lists`;
}
