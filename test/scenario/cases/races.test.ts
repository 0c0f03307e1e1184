/** Races under every protocol: what the known bugs say breaks, and nothing else does. */

import { describe, expect, it } from "vitest";
import { explore } from "../../../src/explore/explore.ts";
import { PROTOCOLS } from "../../../src/oom/protocols/index.ts";
import { programOf } from "../../../src/scenario/case.ts";
import { ALL_CASES } from "../../../src/scenario/cases/index.ts";
import { RACE_CASES } from "../../../src/scenario/cases/races.ts";

/** Bugs that can show with these CPUs, and what they break. */
const SHOWS: Readonly<Record<string, { readonly bystander: boolean; readonly breaks: readonly string[] }>> = {
  B1: { bystander: false, breaks: ["I5"] },
  B3: { bystander: true, breaks: ["I1", "I2", "I3", "I4", "I7", "data race"] },
};

it("there is one for each protocol, order and machine, and ids are unique", () => {
  expect(RACE_CASES).toHaveLength(PROTOCOLS.length * 4);
  const ids = ALL_CASES.map(({ id }) => id.toLowerCase());
  expect(new Set(ids).size).toBe(ids.length);
});

describe.each(RACE_CASES)("$id", ({ id, broken }) => {
  const protocol = PROTOCOLS.find(({ name }) => name === broken.protocol);
  const bystander = id.endsWith("/bystander");
  const shown = (protocol?.bugs ?? []).flatMap((bug) => SHOWS[bug] ?? []);
  const breaks = shown.filter((bug) => bystander || !bug.bystander).flatMap((bug) => bug.breaks);

  it(breaks.length > 0 ? "breaks as known" : "nothing breaks in 300 executions", () => {
    const { violation } = explore(programOf(broken), { executions: breaks.length > 0 ? 20_000 : 300 });
    if (breaks.length > 0) expect(breaks).toContain(violation?.invariant);
    else expect(violation).toBeUndefined();
  });
});
