/** Every case: the broken protocol is found out, the mended one is not, and threads do what the steps did. */

import { describe, expect, test } from "vitest";
import { explore } from "../../../src/explore/explore.ts";
import { scheduleOf } from "../../../src/explore/schedule.ts";
import { forceCase } from "../../../src/run/forced-case.ts";
import { programOf } from "../../../src/scenario/case.ts";
import { CASES, findCase } from "../../../src/scenario/cases/index.ts";

/** What each must break. */
const BREAKS: Readonly<Record<string, string>> = {
  B1: "I5",
  B3: "I1",
  B25: "deadlock",
  B29: "I1",
  B30: "I2",
  B31: "I4",
};
/** Executions in which the mended protocol must stay clean. */
const CLEAN = 1000;

test("every case is named by a bug of its own", () => {
  expect(CASES.map(({ id }) => id)).toEqual(Object.keys(BREAKS));
  expect(findCase("b25")).toBe(CASES[2]);
  expect(() => findCase("B99")).toThrow('case "B99": expected one of B1, B3, B25');
});

describe.each(CASES)("$id: $title", ({ id, broken, fixed }) => {
  test("is found with default options, and shrunk to at most three preemptions", () => {
    const { violation } = explore(programOf(broken));
    expect(violation?.invariant).toBe(BREAKS[id]);
    expect(violation?.preemptions).toBeLessThanOrEqual(3);
    expect(violation?.text.length).toBeLessThanOrEqual(200);
  });

  test(`is not found in ${CLEAN} executions of what mended it`, () => {
    const tried = explore(programOf(fixed), { executions: CLEAN });
    expect(tried).toMatchObject({ executions: CLEAN, complete: false });
    expect(tried.violation).toBeUndefined();
  });

  test("breaks in the same way on real threads", async () => {
    const { violation } = explore(programOf(broken));
    const forced = await forceCase(broken, scheduleOf([...(violation?.schedule ?? [])]));
    expect(forced?.invariant).toBe(BREAKS[id]);
  });
});
