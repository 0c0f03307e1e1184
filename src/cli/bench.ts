/** `oomrace bench` */

import { type Command, Option } from "commander";
import { UsageError } from "../base/errors.ts";
import { FRAME_ORDERS, type FrameOrder } from "../machine/address-space.ts";
import { buildBenchResult } from "../report/bench-build.ts";
import type { BenchResult } from "../report/bench-result.ts";
import { renderBench } from "../report/bench-text.ts";
import { writeJson } from "../report/json.ts";
import { wantsColor } from "../report/table.ts";
import { type Actors, actorsOf } from "../run/actors.ts";
import { type BenchRequest, runBench } from "../run/bench/bench.ts";
import { LAYOUTS } from "../scenario/layouts/index.ts";
import { EXIT_FINE, EXIT_HANG, EXIT_INTERRUPTED, EXIT_USAGE, EXIT_VIOLATION } from "./exit-code.ts";
import { setHelpPage } from "./help.ts";
import { catchInterrupt } from "./interrupt.ts";
import { JSON_FLAGS, jsonTarget } from "./json-option.ts";
import { listOf, wholeNumber, wholeNumbers } from "./options.ts";
import { progressLine } from "./progress.ts";
import {
  ACTOR_OPTIONS,
  addActorOptions,
  addHzOption,
  addProtocolOption,
  checkActors,
  orderNames,
} from "./race-options.ts";
import { parseChoices, resolveVariants, type VariantChoice } from "./variants.ts";

/** The options as commander hands them over. */
interface BenchFlags extends Actors {
  readonly layout: readonly string[];
  readonly smaps?: string;
  readonly pages: readonly number[];
  readonly vmas: readonly number[];
  readonly frames: readonly FrameOrder[];
  readonly protocol: VariantChoice;
  readonly order: readonly VariantChoice[];
  readonly victims: number;
  readonly kills?: number;
  readonly needless?: boolean;
  readonly pairs?: number;
  readonly seed: number;
  readonly hz?: number;
  readonly layoutsOnly?: boolean;
  readonly quick?: boolean;
  readonly json?: string;
}

const DEFAULT_PAIRS = 20;
const QUICK_PAIRS = 2;
const DEFAULT_VICTIMS = 4;
/** One CPU each. */
const MAX_VICTIMS = 12;
const DEFAULT_KILLS = 200;
const NEEDLESS_KILLS = 1000;
const QUICK_KILLS = 10;
const DEFAULT_ORDERS = "forward,reverse";

const layoutNames = LAYOUTS.map(({ name }) => name);
const usualLayouts = LAYOUTS.filter(({ onDemand }) => !onDemand).map(({ name }) => name);

export function addBench(program: Command): void {
  const command = program
    .command("bench")
    .summary("how much exit_mmap and the reaper contend, forward and in reverse, on real threads")
    .description(
      "contention numbers on real threads: exit_mmap alone, then against the reaper in each order, then their " +
        "ratios; and what lock granularity, allocators and the locks themselves cost",
    )
    .action(async (flags: BenchFlags) => {
      process.exitCode = await bench(command, flags);
    });
  addVictimOptions(command);
  addRaceOptions(command);
  addPressureOptions(command);
  addMeasuringOptions(command);
  command.option(
    JSON_FLAGS,
    "also write the result, raw samples included; - for standard output, without report",
    jsonTarget,
  );
  setHelpPage(command, {
    groups: {
      "The victim": ["--layout", "--smaps", "--pages", "--vmas", "--frames"],
      "The race": ["--protocol", "--order", ...ACTOR_OPTIONS],
      "Under memory pressure": ["--victims", "--kills", "--needless"],
      "The measuring": ["--pairs", "--seed", "--hz", "--layouts-only", "--quick"],
    },
    examples: [
      ["oomrace bench --layout vmas-2m --order forward,reverse,skip-busy", "Three orders on one layout"],
      ["oomrace bench --smaps 1234 --reaper mrelease", "As if process 1234 were killed and reaped by its manager"],
      ["oomrace bench --layout vmas-2m --pages 2^21,2^22,2^23,2^24 --pairs 5", "How the time grows with the size"],
      [
        "oomrace bench --layout vmas-2m --pages 2^28 --vmas 2^19 --frames sequential --order reverse --pairs 1 --layouts-only",
        "A victim of 1 TiB",
      ],
      ["oomrace bench --needless", "Processes killed for nothing, per 1,000 kills, by protocol"],
      ["oomrace bench --protocol ./mine.ts --order forward,./my-order.ts", "A protocol and an order of your own"],
      ["oomrace bench --quick --json - | jq '.blocks[0].comparisons'", "The result for other programs"],
    ],
    exitCodes: [EXIT_FINE, EXIT_VIOLATION, EXIT_USAGE, EXIT_HANG, EXIT_INTERRUPTED],
  });
}

function addVictimOptions(command: Command): void {
  command
    .addOption(
      new Option("--layout <list>", `address spaces: ${layoutNames.join(", ")}`)
        .argParser(listOf("--layout", layoutNames))
        .default(usualLayouts, usualLayouts.join(",")),
    )
    .option("--smaps <file|pid>", "an address space from a /proc/PID/smaps text or a live process, instead of --layout")
    .addOption(
      new Option("--pages <list>", "present pages; several for a sweep: 2^21,2^22")
        .argParser(wholeNumbers("--pages", 1))
        .default([], "the layout's own"),
    )
    .addOption(
      new Option("--vmas <list>", "VMAs, where the layout leaves their number open; several for a sweep")
        .argParser(wholeNumbers("--vmas", 1))
        .default([], "the layout's own"),
    )
    .addOption(
      new Option("--frames <list>", `frames of neighbouring pages: ${FRAME_ORDERS.join(", ")}`)
        .argParser(listOf("--frames", FRAME_ORDERS))
        .default(FRAME_ORDERS, "both"),
    );
}

function addRaceOptions(command: Command): void {
  const parseOrders = parseChoices("--order", orderNames);
  addProtocolOption(command);
  command.addOption(
    new Option("--order <list>", `the reaper's walks: ${orderNames.join(", ")}, or files`)
      .argParser(parseOrders)
      .default(parseOrders(DEFAULT_ORDERS), DEFAULT_ORDERS),
  );
  addActorOptions(command);
}

function addPressureOptions(command: Command): void {
  command
    .option(
      "--victims <n>",
      "processes of one size that the OOM killer has to choose from",
      wholeNumber("--victims", 2, MAX_VICTIMS),
      DEFAULT_VICTIMS,
    )
    .option(
      "--kills <n>",
      `kills of each row (default: ${DEFAULT_KILLS}; ${NEEDLESS_KILLS} with --needless, ${QUICK_KILLS} with --quick)`,
      wholeNumber("--kills", 1),
    )
    .option("--needless", "count needless kills, of every protocol, and leave out everything else");
}

function killsOf({ kills, needless, quick }: BenchFlags): number {
  if (kills !== undefined) return kills;
  if (quick) return QUICK_KILLS;
  return needless ? NEEDLESS_KILLS : DEFAULT_KILLS;
}

function addMeasuringOptions(command: Command): void {
  command
    .option(
      "--pairs <n>",
      `rounds in which every variant runs (default: ${DEFAULT_PAIRS}; ${QUICK_PAIRS} with --quick)`,
      wholeNumber("--pairs", 1),
    )
    .option("--seed <n>", "seed of layouts, random frames and resampling", wholeNumber("--seed", 0), 1);
  addHzOption(command);
  command
    .option("--layouts-only", "leave out what is measured beside the layouts: granularities, allocators, costs, C")
    .option("--quick", "smoke size: seconds, and figures of no worth");
}

/** Options that say the same thing twice, and why. */
const CONTRADICTIONS = [
  ["layout", "smaps", "the victim is one or the other"],
  ["pages", "smaps", "a real process has its own size"],
  ["vmas", "smaps", "a real process has its own VMAs"],
  ["layouts-only", "needless", "each leaves out what the other measures"],
  ["layout", "needless", "its victims are all alike"],
  ["smaps", "needless", "its victims are all alike"],
  ["protocol", "needless", "it takes every one"],
  ["order", "needless", "each protocol has its own"],
] as const;

/** "layouts-only" as commander names its value. */
function camelcase(option: string): string {
  return option.replace(/-./g, (text) => (text[1] as string).toUpperCase());
}

function checkContradictions(command: Command, flags: BenchFlags): void {
  const given = (name: string): boolean => command.getOptionValueSource(camelcase(name)) === "cli";
  for (const [one, other, why] of CONTRADICTIONS) {
    if (given(one) && given(other)) throw new UsageError(`--${one} with --${other}: expected only one, ${why}`);
  }
  checkActors(flags, given("order"));
}

async function toRequest(flags: BenchFlags): Promise<{ request: BenchRequest; modules: readonly string[] }> {
  const { protocol, orders, files } = await resolveVariants(flags.protocol, flags.order);
  const { pages, vmas, frames, victims, needless = false, layoutsOnly = false, quick = false, seed } = flags;
  const request: BenchRequest = {
    protocol,
    orders,
    ...actorsOf(flags),
    layouts: flags.layout,
    smaps: flags.smaps ?? null,
    pages,
    vmas,
    frames,
    layoutsOnly,
    victims,
    kills: killsOf(flags),
    needless,
    pairs: flags.pairs ?? (quick ? QUICK_PAIRS : DEFAULT_PAIRS),
    hz: flags.hz ?? null,
    quick,
    seed,
  };
  return { request, modules: files };
}

async function bench(command: Command, flags: BenchFlags): Promise<number> {
  checkContradictions(command, flags);
  const { request, modules } = await toRequest(flags);
  const progress = progressLine();
  const interrupt = catchInterrupt();
  let result: BenchResult;
  try {
    const { stopped } = interrupt;
    result = buildBenchResult(await runBench(request, { progress: progress.show, stopped, modules }));
  } finally {
    progress.clear();
    interrupt.release();
  }
  if (flags.json !== undefined) writeJson(result, flags.json);
  if (flags.json !== "-") process.stdout.write(`${renderBench(result, { color: wantsColor(process.stdout) })}\n`);
  if (result.hang !== null) process.stderr.write(`oomrace: ${result.hang}\n`);
  return exitCodeFor(result);
}

/** A violation outweighs an interruption: it was found, whatever else was not. */
function exitCodeFor(result: BenchResult): number {
  if (result.hang !== null) return EXIT_HANG;
  const blocks = [...result.blocks, ...result.granularity, ...result.allocators];
  if ([...blocks, ...result.pressure].some(({ state }) => state === "broken")) return EXIT_VIOLATION;
  return result.partial ? EXIT_INTERRUPTED : EXIT_FINE;
}
