/** `npm run bench:explore`: how fast the explorer is, against what it is meant to reach. */

import { Command } from "commander";
import { UsageError } from "../../src/base/errors.ts";
import { positiveNumber, wholeNumber } from "../../src/cli/options.ts";
import { formatCount, formatNumber, formatShare } from "../../src/report/format.ts";
import { writeJson } from "../../src/report/json.ts";
import { left, renderTable, right } from "../../src/report/table.ts";
import { machineInfo } from "../../src/run/cpu-info.ts";
import { packageVersion } from "../../src/run/version.ts";
import { programOf } from "../../src/scenario/case.ts";
import { CASES } from "../../src/scenario/cases/index.ts";
import { type ColdFind, measureColdFinds } from "./cold.ts";
import { type Interval, measureRate, type Rate } from "./rates.ts";
import { toy } from "./toy.ts";

interface Flags {
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  readonly json?: string;
}

const program = new Command("bench:explore")
  .option("--seed <n>", "of the first run", wholeNumber("--seed", 0), 1)
  .option("--runs <n>", "cold starts of each case, each with a seed of its own", wholeNumber("--runs", 1), 6)
  .option("--seconds <n>", "CPU time that each rate is measured for", positiveNumber("--seconds"), 2)
  .option("--json <file>", "also write the result; - for standard output, without report")
  .action(bench);

async function bench({ seed, runs, seconds, json }: Flags): Promise<void> {
  const machine = machineInfo();
  const rates = [await measureRate("toy", () => toy, seed, seconds * 1000)];
  for (const { id, fixed } of CASES) {
    rates.push(await measureRate(id, () => programOf(fixed), seed, seconds * 1000));
  }
  const finds = await measureColdFinds(seed, runs);
  const result = { schema: "oomrace.bench-explore/1", version: packageVersion(), machine, seed, rates, finds };
  if (json !== undefined) writeJson(result, json);
  if (json === "-") return;
  const head = `${machine.cpu}, ${machine.available} CPUs, load ${machine.load1.toFixed(2)} at the start; Node ${machine.node}; seed ${seed}`;
  process.stdout.write(`${[head, renderRates(rates), renderFinds(finds)].join("\n\n")}\n`);
}

function renderRates(rates: readonly Rate[]): string {
  const columns = [
    left("scheduler random, one core, mended protocols"),
    ...[
      "executions/s",
      "95 % interval",
      "M steps/s",
      "95 % interval",
      "steps each",
      "GC",
      "detector costs",
      "95 % interval",
      "runs",
    ].map(right),
  ];
  const rows = rates.map(({ name, executions, steps, stepsPerExecution, gcShare, detectorCost, runs }) => [
    name,
    formatCount(executions.median),
    interval(executions, 1),
    formatNumber(steps.median / 1e6),
    interval(steps, 1e6),
    formatNumber(stepsPerExecution),
    formatShare(gcShare),
    `${formatNumber(detectorCost.median)} times`,
    interval(detectorCost, 1),
    formatCount(runs),
  ]);
  const aims =
    "aims: toy 300,000 executions/s, cases 3 M steps/s, GC under 10 %, the race detector 2.5 times; per second of CPU time";
  return `${renderTable(columns, rows)}\n${aims}`;
}

function renderFinds(finds: readonly ColdFind[]): string {
  const columns = [
    left("cold start, default options"),
    ...["found, s", "95 % interval", "shrunk, s", "95 % interval", "preemptions", "executions", "runs"].map(right),
  ];
  const rows = finds.map(({ id, found, shrunk, preemptions, executions, runs }) => [
    id,
    formatNumber(found.median),
    interval(found, 1),
    formatNumber(shrunk.median),
    interval(shrunk, 1),
    `up to ${preemptions}`,
    `up to ${formatCount(executions)}`,
    String(runs),
  ]);
  return `${renderTable(columns, rows)}\naims: found in 5 s, shrunk in 2 s, to at most 3 preemptions`;
}

function interval({ low, high }: Interval, unit: number): string {
  return `[${formatNumber(low / unit)}, ${formatNumber(high / unit)}]`;
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`bench:explore: ${error.message}\n`);
  process.exitCode = 2;
}
