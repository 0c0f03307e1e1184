/** `oomrace list` */

import type { Command } from "commander";
import { INVARIANTS } from "../check/index.ts";
import { TRAVERSAL_ORDERS } from "../mm/traversal/index.ts";
import { PROTOCOLS } from "../oom/protocols/index.ts";
import { writeJson } from "../report/json.ts";
import { LIST_SCHEMA, type ListResult, renderList } from "../report/list-result.ts";
import { wantsColor } from "../report/table.ts";
import { packageVersion } from "../run/version.ts";
import { ALL_CASES } from "../scenario/cases/index.ts";
import { LAYOUTS } from "../scenario/layouts/index.ts";
import { EXIT_FINE, EXIT_USAGE } from "./exit-code.ts";
import { setHelpPage } from "./help.ts";
import { JSON_FLAGS, jsonTarget } from "./json-option.ts";

export function addList(program: Command): void {
  const command = program
    .command("list")
    .description("protocols, orders, layouts and invariants that there are")
    .option(JSON_FLAGS, "also write them as JSON; - for standard output, without the tables", jsonTarget)
    .action(({ json }: { json?: string }) => {
      const list = everything();
      if (json !== undefined) writeJson(list, json);
      if (json !== "-") process.stdout.write(`${renderList(list, { color: wantsColor(process.stdout) })}\n`);
    });
  setHelpPage(command, {
    groups: {},
    examples: [["oomrace list --json - | jq -r '.orders[].name'", "The names of all orders"]],
    exitCodes: [EXIT_FINE, EXIT_USAGE],
  });
}

function everything(): ListResult {
  return {
    schema: LIST_SCHEMA,
    version: packageVersion(),
    protocols: PROTOCOLS.map(({ name, solves, commit }) => ({ name, idea: solves, origin: commit })),
    orders: TRAVERSAL_ORDERS.map(({ name, idea, kernel }) => ({ name, idea, origin: kernel ?? null })),
    layouts: LAYOUTS.map(({ name, idea }) => ({ name, idea, origin: null })),
    scenarios: ALL_CASES.map(({ id, title }) => ({ name: id, idea: title, origin: null })),
    invariants: INVARIANTS.map(({ name, text }) => ({ name, idea: text, origin: null })),
  };
}
