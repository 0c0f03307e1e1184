/** `npm run proofs`: the table of proofs, as Markdown for the README. */

import { Command } from "commander";
import { wholeNumber } from "../../src/cli/options.ts";
import { machineInfo } from "../../src/run/cpu-info.ts";
import { RACE_CASES } from "../../src/scenario/cases/races.ts";
import { proofRow, prove } from "./proofs.ts";

interface Flags {
  readonly seconds: number;
  readonly match: string;
}

const { seconds, match } = new Command("proofs")
  .option("--seconds <n>", "for each case at most", wholeNumber("--seconds", 1), 60)
  .option("--match <text>", "only cases with this in their id", "")
  .parse()
  .opts<Flags>();

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;

const { cpu, available, load1, node } = machineInfo();
process.stdout.write(
  `${cpu}, ${available} CPUs, load ${load1.toFixed(2)} at the start; Node ${node}; ${seconds} s each at most\n\n`,
);
process.stdout.write(line(["case", "verdict", "classes", "steps each", "seconds"]));
process.stdout.write(line(["---", "---", "---:", "---:", "---:"]));
for (const { id } of RACE_CASES) {
  if (id.includes(match)) process.stdout.write(line(proofRow(await prove(id, seconds))));
}
