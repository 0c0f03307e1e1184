/** `oomrace record` */

import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { UsageError } from "../base/errors.ts";
import { recordProcess } from "../scenario/process.ts";
import { EXIT_FINE, EXIT_USAGE } from "./exit-code.ts";
import { setHelpPage } from "./help.ts";
import { writableTarget } from "./json-option.ts";

export function addRecord(program: Command): void {
  const command = program
    .command("record")
    .summary("the address space of a live process, to be killed here as often as you like")
    .description(
      "writes the address space of a live process as a text for --smaps: its smaps, paths cut to base names, and where " +
        "its pages lie. Nothing else of the process is kept. Needs a process of yours, or the right to read its pagemap.",
    )
    .argument("<pid>", "process id")
    .option("--out <file>", "where to write; - for standard output", writableTarget("--out"), "-")
    .action((pid: string, { out }: { out: string }) => {
      record(pid, out);
    });
  setHelpPage(command, {
    groups: {},
    examples: [
      ["oomrace record $(pgrep -o postgres) --out postgres.smaps", "The oldest server process of a database"],
      ["oomrace bench --smaps postgres.smaps", "What reaping it would be worth"],
    ],
    exitCodes: [EXIT_FINE, EXIT_USAGE],
  });
}

function record(pid: string, out: string): void {
  if (!/^[1-9]\d{0,9}$/.test(pid)) throw new UsageError(`record ${pid}: expected a process id`);
  const { text, pages, steady } = recordProcess(pid);
  if (!steady) process.stderr.write("oomrace: the process changed while it was recorded: sizes and runs may differ\n");
  if (out === "-") {
    process.stdout.write(text);
    return;
  }
  writeFileSync(out, text);
  process.stdout.write(`${out}: ${pages.toLocaleString("en-US")} pages\n`);
}
