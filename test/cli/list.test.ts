import { expect, test } from "vitest";
import { TRAVERSAL_ORDERS } from "../../src/mm/traversal/index.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import type { ListResult } from "../../src/report/list-result.ts";
import { LAYOUTS } from "../../src/scenario/layouts/index.ts";
import { oomrace } from "./oomrace.ts";
import { schemaErrors } from "./schema.ts";

test.concurrent("list --json -: JSON alone, by its schema, with every variant", async () => {
  const { code, stdout, stderr } = await oomrace("list", "--json", "-");
  expect([code, stderr]).toEqual([0, ""]);
  const list = JSON.parse(stdout) as ListResult;
  expect(schemaErrors("list", list)).toBeNull();
  const names = (all: readonly { readonly name: string }[]) => all.map(({ name }) => name);
  expect(names(list.protocols)).toEqual(names(PROTOCOLS));
  expect(names(list.orders)).toEqual(names(TRAVERSAL_ORDERS));
  expect(names(list.layouts)).toEqual(names(LAYOUTS));
  expect(list.invariants.length).toBeGreaterThan(3);
});

test.concurrent("list: tables without colours in a pipe", async () => {
  const { stdout } = await oomrace("list");
  expect(stdout).toMatch(/^protocols\n {2}name +idea\n/);
  expect(stdout).toMatch(/^ {2}reverse +highest VMA first/m);
  expect(stdout).not.toContain(String.fromCharCode(27));
});
