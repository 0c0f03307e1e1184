import { expect, test } from "vitest";
import { neverRun } from "../../src/strip/never-run.ts";
import { type ParsedSource, parseSource } from "../../src/strip/source.ts";

const HEAD =
  'import * as all from "oomrace/kernel"; import { spinLock, load, spinTrylock as tries } from "oomrace/kernel";';

async function refused(body: string): Promise<string[]> {
  const text = `${HEAD}\nfunction* own(cpu) {}\nfunction plain(cpu) {}\nfunction* f(cpu, flag) {\n  ${body}\n}`;
  const source = (await parseSource({ path: "mine.ts", text })) as ParsedSource;
  return neverRun(source, new Set(["spinLock", "spinTrylock"])).map(
    ({ line, column, reason }) => `${line}:${column}: ${reason}`,
  );
}

test.each([
  ["spinLock(cpu, 1, 0);", "5:3: generator of spinLock() never runs; write `yield* spinLock(...)`"],
  ["own(cpu);", "5:3: generator of own() never runs; write `yield* own(...)`"],
  ["all.spinLock(cpu, 1, 0);", "5:3: generator of all.spinLock() never runs; write `yield* all.spinLock(...)`"],
  ["if (tries(cpu, 1, 0)) return;", "5:7: generator of tries() never runs; write `yield* tries(...)`"],
  ["while (!tries(cpu, 1, 0));", "5:11: generator of tries() never runs; write `yield* tries(...)`"],
  ["const got = tries(cpu, 1, 0);", "5:15: generator of tries() never runs; write `yield* tries(...)`"],
  ["return 1 + own(cpu);", "5:14: generator of own() never runs; write `yield* own(...)`"],
])("%s is refused", async (body, reason) => {
  expect(await refused(body)).toEqual([reason]);
});

test.each([
  "yield* spinLock(cpu, 1, 0);",
  "yield* flag ? spinLock(cpu, 1, 0) : own(cpu);",
  "const mine = own(cpu); yield* mine;",
  "return spinLock(cpu, 1, 0);",
  "const locks = [own, () => spinLock(cpu, 1, 0)]; yield* locks[0](cpu);",
  "load(cpu, 1); plain(cpu);",
  "{ const spinLock = (cpu) => 3; spinLock(cpu); }",
])("%s is not", async (body) => {
  expect(await refused(body)).toEqual([]);
});
