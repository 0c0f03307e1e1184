/** `oomrace list` */

import type { Command } from "commander";
import { INVARIANTS } from "../check/index.ts";
import { TRAVERSAL_ORDERS } from "../mm/traversal/index.ts";
import { PROTOCOLS } from "../oom/protocols/index.ts";
import { writeJson } from "../report/json.ts";
import { LIST_SCHEMA, type ListResult, renderList } from "../report/list-result.ts";
import { wantsColor } from "../report/table.ts";
import { packageVersion } from "../run/version.ts";
import { LAYOUTS } from "../scenario/layouts/index.ts";

export function addList(program: Command): void {
  program
    .command("list")
    .description("protocols, orders, layouts and invariants that there are")
    .option("--json FILE", "write them as JSON; - for standard output, without the tables")
    .action(({ json }: { json?: string }) => {
      const list = everything();
      if (json !== undefined) writeJson(list, json);
      if (json !== "-") process.stdout.write(`${renderList(list, { color: wantsColor(process.stdout) })}\n`);
    });
}

function everything(): ListResult {
  return {
    schema: LIST_SCHEMA,
    version: packageVersion(),
    protocols: PROTOCOLS.map(({ name, solves, commit }) => ({ name, idea: solves, origin: commit })),
    orders: TRAVERSAL_ORDERS.map(({ name, idea, kernel }) => ({ name, idea, origin: kernel ?? null })),
    layouts: LAYOUTS.map(({ name, idea }) => ({ name, idea, origin: null })),
    scenarios: [],
    invariants: INVARIANTS.map(({ name, text }) => ({ name, idea: text, origin: null })),
  };
}
