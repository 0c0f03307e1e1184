/** `npm run bench:replays`: ten thousand failures replayed, and shrunk ones forced on threads. Exit code 1 for a stray. */

import { Command } from "commander";
import { wholeNumber } from "../../src/cli/options.ts";
import { formatCount } from "../../src/report/format.ts";
import { left, renderTable, right } from "../../src/report/table.ts";
import { programOf } from "../../src/scenario/case.ts";
import { CASES } from "../../src/scenario/cases/index.ts";
import { forceFailures } from "./forced.ts";
import { replayFailures } from "./replays.ts";
import { unlockedToy } from "./toy.ts";

interface Flags {
  readonly seed: number;
  readonly failures: number;
  readonly forced: number;
}

/** dfs first: within its bound it runs out of failures, and the others make up for it. */
const SCHEDULERS = ["dfs", "random", "pct", "pos"];
/** Of a case, as some fail once in thousands of executions; the toy makes up for what is missing. */
const PER_CASE = { failures: 300, executions: 10_000 };

const { seed, failures, forced } = new Command("bench:replays")
  .option("--seed <n>", "of the schedulers", wholeNumber("--seed", 0), 1)
  .option("--failures <n>", "to record and replay, all schedulers together", wholeNumber("--failures", 0), 10_000)
  .option("--forced <n>", "shrunk failures of each case to repeat on threads", wholeNumber("--forced", 0), 100)
  .parse()
  .opts<Flags>();

const strays: string[] = [];
if (failures > 0) process.stdout.write(`${replayAll()}\n`);
if (forced > 0) process.stdout.write(`${await forceAll()}\n`);
process.stdout.write(strays.length === 0 ? "all repeat: 100 %\n" : `NOT the same:\n${strays.join("\n")}\n`);
process.exitCode = strays.length === 0 ? 0 : 1;

function replayAll(): string {
  let replayed = 0;
  const rows = SCHEDULERS.map((scheduler, i) => {
    let missing = Math.ceil((failures - replayed) / (SCHEDULERS.length - i));
    const counts = CASES.map(({ id, broken }) => {
      const limits = { ...PER_CASE, failures: Math.min(missing, PER_CASE.failures) };
      const replays = replayFailures(programOf(broken), scheduler, seed, limits);
      strays.push(...replays.strays.map((stray) => `${id}, ${stray}`));
      missing -= replays.failures;
      return replays.failures;
    });
    const rest = replayFailures(unlockedToy, scheduler, seed, { failures: missing, executions: 1e6 });
    strays.push(...rest.strays.map((stray) => `toy, ${stray}`));
    const all = counts.reduce((sum, count) => sum + count, rest.failures);
    replayed += all;
    return [scheduler, ...[...counts, rest.failures, all].map(formatCount)];
  });
  const names = [...CASES.map(({ id }) => id), "toy", "all"];
  return renderTable([left("failures replayed"), ...names.map(right)], rows);
}

async function forceAll(): Promise<string> {
  const rows: string[][] = [];
  for (const one of CASES) {
    const { id, schedules, different, mostPreemptions, strays: missed } = await forceFailures(one, seed, forced);
    strays.push(...missed);
    rows.push([id, ...[schedules, different, mostPreemptions, missed.length].map(formatCount)]);
  }
  const titles = ["schedules", "different", "most preemptions", "not the same"];
  return renderTable([left("shrunk, on threads"), ...titles.map(right)], rows);
}
