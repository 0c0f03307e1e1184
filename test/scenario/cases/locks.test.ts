/** The lock cases: the locks stand every scheduler, and what is broken on purpose does not. */

import { describe, expect, test } from "vitest";
import { explore } from "../../../src/explore/explore.ts";
import { scheduleOf } from "../../../src/explore/schedule.ts";
import { schedulers } from "../../../src/explore/schedulers/index.ts";
import { forceCase } from "../../../src/run/forced-case.ts";
import { programOf } from "../../../src/scenario/case.ts";
import { readCaseSchedule, writeCaseSchedule } from "../../../src/scenario/case-schedule.ts";
import { ALL_CASES, findCase } from "../../../src/scenario/cases/index.ts";
import { BROKEN_LOCK_CASES, LOCK_CASES } from "../../../src/scenario/cases/locks.ts";
import { LOCKS } from "../../../src/sync/index.ts";

const EXECUTIONS = 250;

test("every lock of the package has cases, under ids of their own", () => {
  const ids = ALL_CASES.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { name } of LOCKS) expect(findCase(`lock:${name}`).title).toContain(name);
});

test("a schedule names its case, though that has a colon of its own", () => {
  const { violation } = explore(programOf(findCase("lock:leaky").broken));
  const read = readCaseSchedule(writeCaseSchedule("lock:leaky", false, violation?.text as string));
  expect([read.name, read.fixed, read.packed.steps]).toEqual(["lock:leaky", false, violation?.steps]);
});

describe.each(LOCK_CASES)("$id", ({ broken }) => {
  test.each(Object.keys(schedulers))("stands %s", (scheduler) => {
    const { violation, executions } = explore(programOf(broken), { scheduler, executions: EXECUTIONS });
    expect(violation?.message).toBeUndefined();
    expect(executions).toBeGreaterThan(20);
  });
});

/** What each must break, and in how many steps and preemptions at most that can be shown. */
const BREAKS: Readonly<Record<string, readonly [invariant: string, steps: number, preemptions: number]>> = {
  "lock:busted": ["lock words", 2, 0],
  "lock:forgetful": ["deadlock", 10, 2],
  "lock:leaky": ["exclusion", 6, 2],
  "lock:graceless": ["hand-off", 110, 8],
};

describe.each(BROKEN_LOCK_CASES)("$id: $title", ({ id, broken, fixed }) => {
  const [invariant, steps, preemptions] = BREAKS[id] ?? ["", 0, 0];

  test.each(["random", "pos"])("is found by %s, and what it stands for is not", (scheduler) => {
    const { violation } = explore(programOf(broken), { scheduler, executions: 20_000 });
    expect(violation?.invariant).toBe(invariant);
    expect(violation?.steps).toBeLessThanOrEqual(steps);
    expect(violation?.preemptions).toBeLessThanOrEqual(preemptions);
    expect(violation?.text.length).toBeLessThanOrEqual(200);
    expect(explore(programOf(fixed), { scheduler, executions: EXECUTIONS }).violation).toBeUndefined();
  });

  test("breaks in the same way on real threads", async () => {
    const { violation } = explore(programOf(broken));
    const forced = await forceCase(broken, scheduleOf([...(violation?.schedule ?? [])]));
    expect(forced?.invariant).toBe(invariant);
  });
});
