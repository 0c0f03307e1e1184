import { expect, test } from "vitest";
import * as source from "../../../src/kernel.ts";
import { lockOperationCases } from "../../../src/run/bench/lock-cases.ts";

const built = await import(new URL("../../../dist/kernel-parallel.js", import.meta.url).href);

test.each([
  ["source", source],
  ["stripped build", built as typeof source],
])("every case of the lock bench runs, and leaves the locks as it found them (%s)", (_, kernel) => {
  const cases = lockOperationCases(kernel);
  const names = cases.map(({ lock, operation }) => `${lock}: ${operation}`);
  expect(new Set(names).size).toBe(names.length);
  for (const { name } of kernel.LOCKS) {
    expect(names).toEqual(expect.arrayContaining([`${name}: lock + unlock`, `${name}: trylock of a held one`]));
  }
  for (const one of cases) {
    one.run();
    one.run();
    expect(one.operations).toBeGreaterThan(0);
  }
});
