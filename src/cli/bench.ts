/** `oomrace bench` */

import type { Command } from "commander";
import { REAPERS } from "../machine/race.ts";
import { LOCK_GRANULARITIES } from "../machine/shape.ts";
import { TRAVERSAL_ORDERS } from "../mm/traversal/index.ts";
import { PROTOCOLS } from "../oom/protocols/index.ts";
import { buildBenchResult } from "../report/bench-build.ts";
import type { BenchResult } from "../report/bench-result.ts";
import { renderBench } from "../report/bench-text.ts";
import { writeJson } from "../report/json.ts";
import { wantsColor } from "../report/table.ts";
import { type BenchRequest, runBench } from "../run/bench/bench.ts";
import { LAYOUTS } from "../scenario/layouts/index.ts";
import { EXIT_FINE, EXIT_INTERRUPTED, EXIT_VIOLATION } from "./exit-code.ts";
import { catchInterrupt } from "./interrupt.ts";
import { listOf, oneOf, positiveNumber, wholeNumber } from "./options.ts";
import { progressLine } from "./progress.ts";

const names = (all: readonly { readonly name: string }[]): string[] => all.map(({ name }) => name);

const DEFAULT_PAIRS = 20;
const QUICK_PAIRS = 2;

interface BenchFlags extends Omit<BenchRequest, "pairs" | "smaps" | "vmas" | "hz"> {
  readonly pairs?: number;
  readonly smaps?: string;
  readonly vmas?: number;
  readonly hz?: number;
  readonly json?: string;
}

export function addBench(program: Command): void {
  program
    .command("bench")
    .description("contention numbers: exit_mmap alone, and against the reaper in each order")
    .option(
      "--protocol NAME",
      `teardown protocol: ${names(PROTOCOLS).join(", ")}`,
      oneOf("--protocol", names(PROTOCOLS)),
      "v6.1",
    )
    .option(
      "--order LIST",
      `reaper's orders: ${names(TRAVERSAL_ORDERS).join(", ")}`,
      listOf("--order", names(TRAVERSAL_ORDERS)),
      ["forward", "reverse"],
    )
    .option(
      "--layout LIST",
      `victim's address space: ${names(LAYOUTS).join(", ")}`,
      listOf("--layout", names(LAYOUTS)),
      names(LAYOUTS),
    )
    .option("--smaps FILE|PID", "victim from a /proc/PID/smaps file or a running process, in place of --layout")
    .option("--pages LIST", "present pages, several for a sweep: 2^21,2^22", pagesList, [])
    .option("--vmas N", "number of VMAs", wholeNumber("--vmas", 1))
    .option("--allocators N", "CPUs that allocate until they stall", wholeNumber("--allocators", 0), 0)
    .option("--reaper NAME", `who reaps: ${REAPERS.join(", ")}`, oneOf("--reaper", REAPERS), "mrelease")
    .option(
      "--lock-granularity NAME",
      `PTE lock per: ${LOCK_GRANULARITIES.join(", ")}`,
      oneOf("--lock-granularity", LOCK_GRANULARITIES),
      "table",
    )
    .option(
      "--pairs N",
      `measured rounds (default: ${DEFAULT_PAIRS}, ${QUICK_PAIRS} with --quick)`,
      wholeNumber("--pairs", 1),
    )
    .option("--seed N", "seed of layouts, random frames and resampling", wholeNumber("--seed", 0), 1)
    .option(
      "--hz RATE",
      "kernel seconds per real second (default: both unmap the same in a second)",
      positiveNumber("--hz"),
    )
    .option("--quick", "smoke size: seconds, figures of no worth", false)
    .option("--json FILE", "also write the result, raw samples included; - for standard output, without the report")
    .action(async (flags: Record<string, unknown>) => {
      process.exitCode = await bench(flags);
    });
}

function pagesList(text: string): number[] {
  return text.split(",").map((one) => wholeNumber("--pages", 1)(one.trim()));
}

function toRequest(
  flags: BenchFlags & { readonly order: readonly string[]; readonly layout: readonly string[] },
): BenchRequest {
  return {
    protocol: flags.protocol,
    orders: flags.order,
    reaper: flags.reaper,
    layouts: flags.layout,
    smaps: flags.smaps ?? null,
    pages: flags.pages,
    vmas: flags.vmas ?? null,
    allocators: flags.allocators,
    lockGranularity: flags.lockGranularity,
    pairs: flags.pairs ?? (flags.quick ? QUICK_PAIRS : DEFAULT_PAIRS),
    hz: flags.hz ?? null,
    quick: flags.quick,
    seed: flags.seed,
  };
}

async function bench(flags: Record<string, unknown>): Promise<number> {
  const request = toRequest(flags as never);
  const progress = progressLine();
  const interrupt = catchInterrupt();
  let result: BenchResult;
  try {
    result = buildBenchResult(
      await runBench(request, { progress: progress.show, stopped: interrupt.stopped, modules: [] }),
    );
  } finally {
    progress.clear();
    interrupt.release();
  }
  const json = flags.json as string | undefined;
  if (json !== undefined) writeJson(result, json);
  if (json !== "-") process.stdout.write(`${renderBench(result, { color: wantsColor(process.stdout) })}\n`);
  if (result.partial) return EXIT_INTERRUPTED;
  const blocks = [...result.blocks, ...result.granularity, ...result.allocators];
  return blocks.some((block) => block.state === "broken") ? EXIT_VIOLATION : EXIT_FINE;
}
