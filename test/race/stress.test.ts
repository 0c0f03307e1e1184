/** `oomrace stress` in small: drawn kills on real threads. */

import { afterAll, expect, it } from "vitest";
import { runStress } from "../../src/run/stress.ts";
import { describeStress } from "../../src/run/stress-tally.ts";
import { UserFiles } from "../cli/user-files.ts";

const files = new UserFiles();
afterAll(() => files.remove());

const SEED = 20_260;
const hooks = { progress: () => {}, stopped: () => false };

it("hundreds of drawn kills break nothing that is not known", async () => {
  const result = await runStress({ seed: SEED, kills: 400, ...hooks });
  const text = describeStress(result);
  expect(result.broken, text).toEqual([]);
  expect(result.hang, text).toBeNull();
  expect(result.interrupted).toBe(false);
  expect(result.kills).toBeGreaterThanOrEqual(400);
  expect(result.crowds, text).toBeGreaterThan(0);
  expect(result.accesses, text).toBeGreaterThan(0);
  expect(result.shared).toBeLessThanOrEqual(result.races);
});

/** A reaper that answers "done" without having done anything: B1 at its plainest. */
const LAZY_REAPER = `
import { type Cpu, findProtocol, type Protocol, type Steps } from "oomrace/kernel";
function* reapNothing(_cpu: Cpu, _mm: number): Steps<boolean> {
  return true;
}
export const protocol: Protocol = {
  ...findProtocol("v4.17"),
  name: "lazy-reaper",
  bugs: ["B1"],
  brokenOnPurpose: true,
  oomReapTaskMm: reapNothing,
};`;

it("a protocol that is broken on purpose is found to be, by its bug", async () => {
  const modules = [files.write("lazy-reaper.ts", LAZY_REAPER)];
  const result = await runStress({ seed: SEED, kills: 300, protocols: ["lazy-reaper"], modules, ...hooks });
  const text = describeStress(result);
  expect(result.broken, text).toEqual([]);
  expect(result.protocols.map(({ protocol }) => protocol)).toEqual(["lazy-reaper"]);
  expect(result.protocols[0]?.bugs.B1, text).toBeGreaterThan(0);
});
