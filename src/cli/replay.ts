/** `oomrace replay` */

import { writeFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { UsageError } from "../base/errors.ts";
import { Executor } from "../explore/executor.ts";
import type { Finding } from "../explore/finding.ts";
import { type Subject, subjectOf } from "../explore/program.ts";
import type { Schedule } from "../explore/schedule.ts";
import { packedScheduler } from "../explore/schedule-string.ts";
import { type StepTrace, traceSchedule } from "../explore/step-trace.ts";
import { drawText } from "../report/diagram.ts";
import { forceCase } from "../run/forced-case.ts";
import { type CaseVariant, columnTitles, programOf } from "../scenario/case.ts";
import { type CaseSchedule, readCaseSchedule } from "../scenario/case-schedule.ts";
import { EXIT_FINE, EXIT_HANG, EXIT_USAGE, EXIT_VIOLATION } from "./exit-code.ts";
import { setHelpPage } from "./help.ts";
import { writableTarget } from "./json-option.ts";
import { oneOf } from "./options.ts";

interface ReplayFlags {
  readonly engine: "interleaved" | "forced";
  readonly continue: boolean;
  readonly all: boolean;
  readonly trace?: string;
}

export function addReplay(program: Command): void {
  const command = program
    .command("replay")
    .argument("<schedule>", "as `oomrace explore` prints it")
    .description("runs an explored schedule again, bit for bit, and says what breaks")
    .option("--continue", "where the schedule ends, go on undisturbed", false)
    .option("--all", "draw every step, not only those through which CPUs meet", false)
    .option(
      "--trace <file>",
      "also write every step, a JSON record a line; - for standard output",
      writableTarget("--trace"),
    )
    .action(async (schedule: string, flags: ReplayFlags) => {
      process.exitCode = await replay(schedule, flags);
    });
  command.addOption(
    new Option("--engine <name>", "interleaved: step by step; forced: on real worker threads as well")
      .default("interleaved")
      .argParser(oneOf("--engine", ["interleaved", "forced"] as const)),
  );
  setHelpPage(command, {
    groups: {},
    examples: [
      ["oomrace replay --engine forced B3:AbC...", "The same order of turns, on threads and real Atomics.wait"],
    ],
    exitCodes: [EXIT_FINE, EXIT_VIOLATION, EXIT_USAGE, EXIT_HANG],
  });
}

async function replay(word: string, flags: ReplayFlags): Promise<number> {
  const schedule = readCaseSchedule(word);
  const variant = schedule.fixed ? schedule.found.fixed : schedule.found.broken;
  if (flags.engine === "forced" && schedule.packed.watch) {
    throw new UsageError("--engine forced: the schedule is of plain accesses, expected one of scheduling points alone");
  }
  const { choices, trace, titles } = traced(schedule, variant, flags.continue);
  const { steps, finding } = trace;
  const end = finding?.message ?? "nothing broke";
  if (flags.trace !== undefined) writeTrace(trace, flags.trace);
  process.stdout.write(
    `${drawText(steps, titles.length, { titles, end, all: flags.all, insideLocks: schedule.found.insideLocks === true })}\n`,
  );
  if (flags.engine === "forced") {
    const forced = await forceCase(variant, choices);
    process.stdout.write(`\n${comparison(finding, forced)}\n`);
    if (forced?.invariant !== finding?.invariant) return EXIT_VIOLATION;
  }
  return finding ? EXIT_VIOLATION : EXIT_FINE;
}

interface Traced {
  readonly choices: Schedule;
  readonly trace: StepTrace;
  readonly titles: readonly string[];
}

function traced({ packed }: CaseSchedule, variant: CaseVariant, goOn: boolean): Traced {
  const program = programOf(variant);
  const subject = subjectOf(program);
  checkCode(subject, packed.codeHash, goOn);
  const executor = new Executor(subject, packed.watch);
  executor.execute(packedScheduler(packed, goOn));
  const choices = executor.engine.takeSchedule();
  return { choices, trace: traceSchedule(subject, choices, packed.watch), titles: columnTitles(program) };
}

/** A schedule counts scheduling points, so other code makes it mean something else. */
function checkCode(subject: Subject, codeHash: number, goOn: boolean): void {
  if (codeHash === subject.codeHash || goOn) return;
  throw new UsageError(
    "schedule: recorded from other code, expected one from this build; --continue tries it all the same",
  );
}

function comparison(stepped: Finding | undefined, forced: Finding | undefined): string {
  if (!stepped && !forced) return "on real threads: nothing broke either";
  if (stepped?.invariant === forced?.invariant) return `on real threads: the same, ${forced?.message}`;
  return `on real threads: NOT the same: ${forced?.message ?? "nothing broke"}`;
}

function writeTrace({ steps }: StepTrace, target: string): void {
  const text = steps.map((step) => `${JSON.stringify(step)}\n`).join("");
  if (target === "-") process.stdout.write(text);
  else writeFileSync(target, text);
}
