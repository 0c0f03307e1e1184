/** `oomrace explore` */

import { setImmediate as pause } from "node:timers/promises";
import { type Command, Option } from "commander";
import { DEFAULT_MAX_STEPS, type TimeModel } from "../explore/engine.ts";
import {
  DEFAULT_EXECUTIONS,
  DEFAULT_SCHEDULER,
  type ExploredViolation,
  type ExploreOptions,
  Explorer,
} from "../explore/explore.ts";
import { schedulers } from "../explore/schedulers/index.ts";
import { traceSchedule } from "../explore/step-trace.ts";
import { drawMermaid, drawText } from "../report/diagram.ts";
import { buildExploreResult, type Drawn } from "../report/explore-result.ts";
import { renderExplore } from "../report/explore-text.ts";
import { formatCount } from "../report/format.ts";
import { writeJson } from "../report/json.ts";
import { type JobsOptions, MAX_JOBS, searchInJobs } from "../run/explore-jobs.ts";
import { GcClock } from "../run/gc-clock.ts";
import type { ProgramSource } from "../run/program-source.ts";
import { packageVersion } from "../run/version.ts";
import { writeCaseSchedule } from "../scenario/case-schedule.ts";
import { CASES } from "../scenario/cases/index.ts";
import { EXIT_FINE, EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_USAGE, EXIT_VIOLATION } from "./exit-code.ts";
import { blamingUser, type ExploreTarget, findTarget } from "./explore-target.ts";
import { setHelpPage } from "./help.ts";
import { catchInterrupt, type Interrupt } from "./interrupt.ts";
import { JSON_FLAGS, jsonTarget } from "./json-option.ts";
import { oneOf, positiveNumber, wholeNumber } from "./options.ts";
import { type Progress, progressLine } from "./progress.ts";

interface ExploreFlags {
  readonly fixed: boolean;
  readonly scheduler: string;
  readonly seed: number;
  readonly executions: number;
  readonly seconds?: number;
  readonly depth: number;
  readonly bound: number;
  readonly spins: number;
  readonly maxSteps: number;
  readonly time: TimeModel;
  readonly require?: "complete";
  readonly jobs: number;
  readonly races: boolean;
  readonly mermaid: boolean;
  readonly full: boolean;
  readonly json?: string;
}

/** Between two looks at Ctrl-C and at the progress line. */
const SLICE_MS = 100;

export function addExplore(program: Command): void {
  const command = program
    .command("explore")
    .argument(
      "<case|file>",
      `${CASES.map(({ id }) => id).join(", ")}; a lock's: lock:rwsem, ...; or a module with a program of yours`,
    )
    .summary("looks for an interleaving that breaks an invariant, shrinks it and draws it")
    .description(
      "steps the same source in one thread, interleaving after interleaving, until one breaks an invariant; then shrinks it " +
        "and draws it as a kernel changelog would. `oomrace list` tells the cases, docs/explorer.md how to write a program",
    )
    .option("--fixed", "explore the protocol that mended it", false)
    .option("--seed <n>", "the same seed repeats the same executions", wholeNumber("--seed", 0), 1)
    .option("--executions <n>", "stop after that many", wholeNumber("--executions", 1), DEFAULT_EXECUTIONS)
    .option("--seconds <n>", "stop after this time", positiveNumber("--seconds"))
    .option("--depth <n>", "pct: ordering constraints the bug may need", wholeNumber("--depth", 1), 3)
    .option("--bound <n>", "dfs: preemptions at most", wholeNumber("--bound", 0), 2)
    .option("--spins <n>", "dpor: spins in vain in a row at most", wholeNumber("--spins", 1), 1)
    .option("--max-steps <n>", "longer executions count as livelock", wholeNumber("--max-steps", 1), DEFAULT_MAX_STEPS)
    .option("--jobs <n>", "threads; the outcome is that of one", wholeNumber("--jobs", 1, MAX_JOBS), 1)
    .option("--no-races", "do not look for data races of plain accesses")
    .option("--mermaid", "draw as Mermaid sequence text", false)
    .option("--full", "draw what goes on inside lock operations, too", false)
    .option(JSON_FLAGS, "also write the result; - for standard output, without report", jsonTarget)
    .action(async (name: string, flags: ExploreFlags) => {
      const target = await findTarget(name, flags.fixed);
      process.exitCode = await blamingUser(target, () => explore(target, flags));
    });
  addChoices(command);
  setHelpPage(command, {
    groups: {
      "What is explored": ["--fixed", "--time", "--no-races"],
      How: ["--scheduler", "--seed", "--depth", "--bound", "--spins"],
      "How long": ["--executions", "--seconds", "--max-steps", "--require", "--jobs"],
    },
    examples: [
      ["oomrace explore B1", "The second victim that v4.13 killed too early"],
      ["oomrace explore B3 --scheduler pct --depth 2", "With a probability that the verdict states"],
      [
        "oomrace explore lock:rwsem --scheduler pct",
        "A lock, with CPUs that use it in every way; `oomrace list` has them all",
      ],
      ["oomrace explore ./mine.ts --scheduler dpor", "A program of your own, one execution for each class"],
      ["oomrace explore B30 --fixed --scheduler dfs --bound 1", "Everything that one preemption can do"],
    ],
    exitCodes: [EXIT_FINE, EXIT_VIOLATION, EXIT_USAGE, EXIT_INCOMPLETE, EXIT_INTERRUPTED],
  });
}

function addChoices(command: Command): void {
  const names = Object.keys(schedulers);
  const scheduler = new Option("--scheduler <name>", `one of ${names.join(", ")}`)
    .default(DEFAULT_SCHEDULER)
    .argParser(oneOf("--scheduler", names));
  const time = new Option("--time <model>", "ordered: timers fire by deadline; free: in any order")
    .default("ordered")
    .argParser(oneOf("--time", ["ordered", "free"] as const));
  const require = new Option("--require <what>", "complete: exit code 4 unless every execution was run").argParser(
    oneOf("--require", ["complete"] as const),
  );
  for (const option of [scheduler, time, require]) command.addOption(option);
}

async function explore(target: ExploreTarget, flags: ExploreFlags): Promise<number> {
  const { scenario, fixed, title, protocol, order, program, source, titles } = target;
  const { json, jobs, mermaid, require } = flags;
  const options = exploreOptions(flags);
  const explorer = new Explorer(program, options);
  const progress = progressLine();
  const interrupt = catchInterrupt();
  try {
    const gc = new GcClock();
    if (jobs === 1) await advance(explorer, progress, interrupt);
    else await share(explorer, source, { ...options, jobs }, progress, interrupt);
    const gcShare = await gc.stop();
    progress.show("shrinking");
    const exploration = explorer.result();
    const { violation } = exploration;
    const explored = { scenario, fixed, title, protocol, order, cpus: titles, jobs };
    const result = buildExploreResult(explored, exploration, {
      version: packageVersion(),
      interrupted: interrupt.stopped(),
      gcShare: jobs === 1 ? gcShare : null,
      drawn: violation && {
        schedule: writeCaseSchedule(scenario, fixed, violation.text),
        ...drawn(explorer, titles, violation, flags.full || target.insideLocks),
      },
    });
    progress.clear();
    if (json !== undefined) writeJson(result, json);
    if (json !== "-") process.stdout.write(`${renderExplore(result, mermaid)}\n`);
    if (result.violation) return EXIT_VIOLATION;
    if (result.interrupted) return EXIT_INTERRUPTED;
    return require === "complete" && !result.complete ? EXIT_INCOMPLETE : EXIT_FINE;
  } finally {
    progress.clear();
    interrupt.release();
  }
}

function exploreOptions(flags: ExploreFlags): ExploreOptions {
  const { scheduler, seed, executions, seconds, depth, bound, spins, maxSteps, time, races } = flags;
  return {
    scheduler,
    seed,
    executions,
    depth,
    bound,
    spins,
    maxSteps,
    time,
    races,
    ...(seconds !== undefined && { seconds }),
  };
}

async function advance(explorer: Explorer, progress: Progress, interrupt: Interrupt): Promise<void> {
  while (!explorer.advance(SLICE_MS) && !interrupt.stopped()) {
    progress.show(executed(explorer.executions));
    await pause();
  }
}

async function share(
  explorer: Explorer,
  source: ProgramSource,
  options: JobsOptions,
  progress: Progress,
  interrupt: Interrupt,
): Promise<void> {
  await searchInJobs(explorer, source, {
    ...options,
    progress: (executions) => progress.show(executed(executions)),
    stopped: interrupt.stopped,
  });
}

function executed(executions: number): string {
  return `${formatCount(executions)} executions`;
}

/** Both diagrams of the violation. */
function drawn(
  explorer: Explorer,
  titles: readonly string[],
  { schedule, message, watch }: ExploredViolation,
  insideLocks: boolean,
): Omit<Drawn, "schedule"> {
  const { steps } = traceSchedule(explorer.subject, schedule, watch);
  // What everybody waits for in a deadlock stands above the diagram already.
  const end = message.split("\n", 1)[0] as string;
  const options = { titles, end, insideLocks };
  return { diagram: drawText(steps, titles.length, options), mermaid: drawMermaid(steps, titles.length, options) };
}
