/** `oomrace replay` */

import { writeFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { UsageError } from "../base/errors.ts";
import { DEFAULT_MAX_STEPS, type TimeModel } from "../explore/engine.ts";
import { Executor } from "../explore/executor.ts";
import type { Finding } from "../explore/finding.ts";
import { type Subject, subjectOf } from "../explore/program.ts";
import type { Schedule } from "../explore/schedule.ts";
import { packedScheduler } from "../explore/schedule-string.ts";
import { type StepTrace, traceSchedule } from "../explore/step-trace.ts";
import { drawText } from "../report/diagram.ts";
import { forceCase } from "../run/forced-case.ts";
import type { CaseVariant } from "../scenario/case.ts";
import { type CaseSchedule, readCaseSchedule } from "../scenario/case-schedule.ts";
import { EXIT_FINE, EXIT_HANG, EXIT_USAGE, EXIT_VIOLATION } from "./exit-code.ts";
import { blamingUser, type ExploreTarget, findTarget } from "./explore-target.ts";
import { setHelpPage } from "./help.ts";
import { writableTarget } from "./json-option.ts";
import { oneOf, wholeNumber } from "./options.ts";

interface ReplayFlags {
  readonly engine: "interleaved" | "forced";
  readonly continue: boolean;
  readonly all: boolean;
  readonly trace?: string;
  readonly time: TimeModel;
  readonly maxSteps: number;
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
    .option("--max-steps <n>", "as it was explored", wholeNumber("--max-steps", 1), DEFAULT_MAX_STEPS)
    .action(async (word: string, flags: ReplayFlags) => {
      const schedule = readCaseSchedule(word);
      const target = await findTarget(schedule.name, schedule.fixed);
      process.exitCode = await blamingUser(target, () => replay(target, schedule, flags));
    });
  command.addOption(
    new Option("--engine <name>", "interleaved: step by step; forced: on real worker threads as well")
      .default("interleaved")
      .argParser(oneOf("--engine", ["interleaved", "forced"] as const)),
  );
  command.addOption(
    new Option("--time <model>", "ordered or free, as it was explored")
      .default("ordered")
      .argParser(oneOf("--time", ["ordered", "free"] as const)),
  );
  setHelpPage(command, {
    groups: {},
    examples: [
      ["oomrace replay ./mine.ts:AbC...", "A schedule of a program of your own"],
      ["oomrace replay --engine forced B3:AbC...", "The same order of turns, on threads and real Atomics.wait"],
    ],
    exitCodes: [EXIT_FINE, EXIT_VIOLATION, EXIT_USAGE, EXIT_HANG],
  });
}

async function replay(target: ExploreTarget, schedule: CaseSchedule, flags: ReplayFlags): Promise<number> {
  const { titles, insideLocks } = target;
  const forcedVariant = flags.engine === "forced" ? forceable(target, schedule) : undefined;
  const { choices, trace } = traced(target, schedule, flags);
  const { steps, finding } = trace;
  const end = finding?.message ?? "nothing broke";
  if (flags.trace !== undefined) writeTrace(trace, flags.trace);
  process.stdout.write(`${drawText(steps, titles.length, { titles, end, all: flags.all, insideLocks })}\n`);
  if (forcedVariant) {
    const forced = await forceCase(forcedVariant, choices);
    process.stdout.write(`\n${comparison(finding, forced)}\n`);
    if (forced?.invariant !== finding?.invariant) return EXIT_VIOLATION;
  }
  return finding ? EXIT_VIOLATION : EXIT_FINE;
}

/** What real threads can run of it. Throws UsageError when they cannot follow the schedule. */
function forceable({ variant, scenario }: ExploreTarget, { packed }: CaseSchedule): CaseVariant {
  if (!variant) {
    throw new UsageError(
      `--engine forced with ${scenario}: a program of your own runs step by step, expected a case's`,
    );
  }
  if (packed.watch) {
    throw new UsageError("--engine forced: the schedule is of plain accesses, expected one of scheduling points alone");
  }
  return variant;
}

interface Traced {
  readonly choices: Schedule;
  readonly trace: StepTrace;
}

function traced({ program }: ExploreTarget, { packed }: CaseSchedule, flags: ReplayFlags): Traced {
  const { continue: goOn, time, maxSteps } = flags;
  const subject = subjectOf(program, { time, maxSteps });
  checkCode(subject, packed.codeHash, goOn);
  const executor = new Executor(subject, packed.watch);
  executor.execute(packedScheduler(packed, goOn));
  const choices = executor.engine.takeSchedule();
  return { choices, trace: traceSchedule(subject, choices, packed.watch) };
}

/** A schedule counts scheduling points, so other code makes it mean something else. */
function checkCode(subject: Subject, codeHash: number, goOn: boolean): void {
  if (codeHash === subject.codeHash || goOn) return;
  throw new UsageError(
    "schedule: recorded from other code, expected one from this build and this file; --continue tries it all the same",
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
