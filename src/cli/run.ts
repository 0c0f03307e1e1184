/** `oomrace run` */

import { type Command, Option } from "commander";
import { UsageError } from "../base/errors.ts";
import { FRAME_ORDERS, type FrameOrder } from "../machine/address-space.ts";
import { writeJson } from "../report/json.ts";
import { buildRunResult } from "../report/run-result.ts";
import { renderRun } from "../report/run-text.ts";
import { wantsColor } from "../report/table.ts";
import { type Actors, actorsOf } from "../run/actors.ts";
import { loadKernel } from "../run/kernel-variant.ts";
import { type KillRequest, type RawKill, runKill } from "../run/kill.ts";
import type { Layout } from "../scenario/layout.ts";
import { buildLayout, LAYOUTS } from "../scenario/layouts/index.ts";
import { readSmaps } from "../scenario/process.ts";
import { EXIT_FINE, EXIT_HANG, EXIT_INTERRUPTED, EXIT_USAGE, EXIT_VIOLATION } from "./exit-code.ts";
import { setHelpPage } from "./help.ts";
import { catchInterrupt } from "./interrupt.ts";
import { JSON_FLAGS, jsonTarget } from "./json-option.ts";
import { oneOf, wholeNumber } from "./options.ts";
import { progressLine } from "./progress.ts";
import {
  ACTOR_OPTIONS,
  addActorOptions,
  addHzOption,
  addProtocolOption,
  checkActors,
  orderNames,
} from "./race-options.ts";
import { parseChoice, resolveVariants, type VariantChoice } from "./variants.ts";

interface RunFlags extends Actors {
  readonly layout: string;
  readonly smaps?: string;
  readonly pages?: number;
  readonly vmas?: number;
  readonly frames: FrameOrder;
  readonly protocol: VariantChoice;
  readonly order?: VariantChoice;
  readonly bystanders: number;
  readonly seed: number;
  readonly hz?: number;
  readonly json?: string;
}

const DEFAULT_BYSTANDERS = 4;
const MAX_BYSTANDERS = 1000;
const DEFAULT_LAYOUT = "vmas-2m";

const layoutNames = LAYOUTS.map(({ name }) => name);

export function addRun(program: Command): void {
  const command = program
    .command("run")
    .summary("one kill, from pressure to recovery: what each CPU did, the locks, when the memory was back")
    .description(
      "one kill on real threads, from allocators that run out of memory to the one that gets it: whom the OOM killer " +
        "chose, the tracepoints that fired, a timeline with a column per CPU, the locks, and how soon half, nine tenths " +
        "and all of the victim's memory was on free lists",
    )
    .action(async (flags: RunFlags) => {
      process.exitCode = await run(command, flags);
    });
  addVictimOptions(command);
  addRaceOptions(command);
  command.option(JSON_FLAGS, "also write the result; - for standard output, without report", jsonTarget);
  setHelpPage(command, {
    groups: {
      "The victim": ["--layout", "--smaps", "--pages", "--vmas", "--frames"],
      "The race": ["--protocol", "--order", ...ACTOR_OPTIONS, "--bystanders"],
    },
    examples: [
      ["oomrace run --layout vmas-2m --vmas 8 --pages 4096", "A small kill that fits the screen"],
      ["oomrace run --smaps 1234 --protocol v6.18", "How soon the memory of process 1234 would be back"],
      ["oomrace run --protocol v4.13 --reaper kthread", "The reaper that can only watch"],
    ],
    exitCodes: [EXIT_FINE, EXIT_VIOLATION, EXIT_USAGE, EXIT_HANG, EXIT_INTERRUPTED],
  });
}

function addVictimOptions(command: Command): void {
  command
    .addOption(
      new Option("--layout <name>", `address space: ${layoutNames.join(", ")}`)
        .argParser(oneOf("--layout", layoutNames))
        .default(DEFAULT_LAYOUT, DEFAULT_LAYOUT),
    )
    .option("--smaps <file|pid>", "an address space from a /proc/PID/smaps text or a live process, instead of --layout")
    .option("--pages <n>", "present pages (default: the layout's own)", wholeNumber("--pages", 1))
    .option("--vmas <n>", "VMAs, where the layout leaves their number open", wholeNumber("--vmas", 1))
    .addOption(
      new Option("--frames <order>", `page frames: ${FRAME_ORDERS.join(", ")}`)
        .argParser(oneOf("--frames", FRAME_ORDERS))
        .default("sequential", "sequential"),
    );
}

function addRaceOptions(command: Command): void {
  addProtocolOption(command);
  command.option(
    "--order <name|file>",
    `the reaper's walk: ${orderNames.join(", ")}, or a file (default: the protocol's own)`,
    parseChoice("--order", orderNames),
  );
  addActorOptions(command, 1);
  command.option(
    "--bystanders <n>",
    "small processes that the OOM killer finds beside the victim",
    wholeNumber("--bystanders", 0, MAX_BYSTANDERS),
    DEFAULT_BYSTANDERS,
  );
  command.option("--seed <n>", "seed of layouts and random frames", wholeNumber("--seed", 0), 1);
  addHzOption(command);
}

function checkContradictions(command: Command, flags: RunFlags): void {
  const given = (name: string): boolean => command.getOptionValueSource(name) === "cli";
  if (flags.smaps !== undefined) {
    const other = ["layout", "pages", "vmas"].find(given);
    if (other !== undefined) throw new UsageError(`--${other} with --smaps: expected only one of them`);
  }
  checkActors(flags, given("order"));
}

function layoutOf({ smaps, layout, pages, vmas, seed }: RunFlags): Layout {
  if (smaps !== undefined) return readSmaps(smaps, seed);
  return buildLayout(layout, { seed, ...(pages !== undefined && { pages }), ...(vmas !== undefined && { vmas }) });
}

async function toRequest(flags: RunFlags): Promise<{ request: KillRequest; modules: readonly string[] }> {
  const { reaper, frames, bystanders, seed } = flags;
  const { protocol, orders, files } = await resolveVariants(flags.protocol, flags.order ? [flags.order] : []);
  const own = (await loadKernel("parallel")).findProtocol(protocol).order;
  const order = reaper === "none" ? null : (orders[0] ?? own);
  const setup = { ...actorsOf(flags), frames, protocol, order, bystanders, seed };
  return { request: { ...setup, layout: layoutOf(flags), hz: flags.hz ?? null }, modules: files };
}

async function run(command: Command, flags: RunFlags): Promise<number> {
  checkContradictions(command, flags);
  const { request, modules } = await toRequest(flags);
  const progress = progressLine();
  const interrupt = catchInterrupt();
  let raw: RawKill;
  try {
    raw = await runKill(request, { progress: progress.show, stopped: interrupt.stopped, modules });
  } catch (error) {
    if (error instanceof Error && error.name === "Interrupted") return EXIT_INTERRUPTED;
    throw error;
  } finally {
    progress.clear();
    interrupt.release();
  }
  const result = buildRunResult(raw);
  if (flags.json !== undefined) writeJson(result, flags.json);
  if (flags.json !== "-") process.stdout.write(`${renderRun(result, { color: wantsColor(process.stdout) })}\n`);
  return result.panicked ? EXIT_VIOLATION : EXIT_FINE;
}
