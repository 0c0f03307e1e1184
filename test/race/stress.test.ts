/** `oomrace stress` in small: drawn kills on real threads. */

import { expect, it } from "vitest";
import { describeStress, runStress } from "../../src/run/stress.ts";

it("two seconds of drawn kills break nothing", async () => {
  const result = await runStress({ seed: 20_260, seconds: 2, progress: () => {}, stopped: () => false });
  expect(result.broken).toEqual([]);
  expect(result.interrupted).toBe(false);
  expect(result.kills).toBeGreaterThan(20);
  expect(result.shared, describeStress(result)).toBeGreaterThan(0);
  expect(result.shared).toBeLessThanOrEqual(result.kills);
});
