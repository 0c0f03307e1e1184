import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { subjectOf } from "../../src/explore/program.ts";
import { describeThrown } from "../../src/explore/source-place.ts";
import { programFrom } from "../../src/run/program-source.ts";
import { buildUserProgram } from "../../src/strip/user-program.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oomrace-program-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function load(name: string, text: string) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return programFrom(await buildUserProgram(path));
}

const THREADS = "threads: [function* idle() {}]";
const WANTED = "expected a program as default export, with words and threads";

test.each([
  ["syntax.ts", "const a = 1;\nexport default { ;", 'syntax.ts:2:18: Expected identifier but found ";"'],
  ["import.ts", 'import "./absent.ts";', 'import.ts:1:8: Could not resolve "./absent.ts"'],
  [
    "package.ts",
    'import "oomrace/sync";',
    'package.ts:1:8: "oomrace/sync" cannot be imported here (expected oomrace or oom',
  ],
  ["unknown.ts", 'import { a } from "oomrace/kernel";\na;', 'unknown.ts:1:10: oomrace/kernel exports no "a"'],
  ["none.mjs", "export const program = 1;", `none.mjs: no default export, ${WANTED}`],
  ["number.mjs", "export default 5;", `number.mjs: default export is a number, ${WANTED}`],
  ["shape.js", "export default { words: 1 };", `shape.js: no list of threads, ${WANTED}`],
  [
    "empty.js",
    "export default { words: 1, threads: [] };",
    "empty.js: threads: got 0, expected a list of 1 to 127 gener",
  ],
  [
    "words.mjs",
    `export default { words: 0, ${THREADS} };`,
    "words.mjs: words: got 0, expected how many words the threads",
  ],
  [
    "thread.mjs",
    "export default { words: 1, threads: [1] };",
    "thread.mjs: threads[0]: got number, expected a function",
  ],
  [
    "check.mts",
    `export default { words: 1, ${THREADS}, check: 1 };`,
    "check.mts: check: got number, expected a function",
  ],
  ["string.mjs", 'throw "so";', `string.mjs: threw so while it was loaded, ${WANTED}`],
  [
    "loads.ts",
    'type Erased = 1;\n\nfunction go(): never {\n  throw new RangeError("too\\nfar");\n}\nexport default go();',
    `loads.ts:4:9: threw RangeError: too far while it was loaded, ${WANTED}`,
  ],
  [
    "forgets.ts",
    'import { atomicLoad } from "oomrace/kernel";\nfunction* f(cpu) {\n  const seen = atomicLoad(cpu, 0);\n  return seen;\n}',
    "forgets.ts:3:16: generator of atomicLoad() never runs; write `yield* atomicLoad(...)`",
  ],
])("%s is refused in one line", async (name, text, message) => {
  const thrown = (await load(name, text).catch((error: Error) => error)) as Error;
  expect(thrown).toMatchObject({ name: "UsageError" });
  expect(thrown.message).toContain(message);
  expect(thrown.message).not.toContain("\n");
});

const COUNTS =
  'import { fetchAdd } from "oomrace/kernel";\nfunction* counts(cpu) {\n  yield* fetchAdd(cpu, 0, 1);\n}\n';
const PROGRAM = "export default { words: 1, threads: [counts] };";

test("its code hash is of everything in it but comments and types, and its threads keep their names", async () => {
  const hashOf = async (text: string) => subjectOf(await load("hash.ts", text)).codeHash;
  const hash = await hashOf(COUNTS + PROGRAM);
  expect(await hashOf(`// more\ninterface Erased {}\n${COUNTS}${PROGRAM}`)).toBe(hash);
  expect(await hashOf(`export const LIMIT = 3;\n${COUNTS}${PROGRAM.replace("1,", "LIMIT,")}`)).not.toBe(hash);
  const clash = `${COUNTS}export const shadowed = () => {\n  return function* counts() {};\n};\n`;
  const program = await load("names.ts", `${clash}export default { words: 1, threads: [counts, shadowed()] };`);
  expect(program.threads.map(({ name }) => name)).toEqual(["counts", "counts"]);
});

test("places lead to its author's file", async () => {
  const text = `type Erased = 1;\n${COUNTS}export default { words: 1, threads: [counts], check: (words) => words.no.thing };`;
  const { placeOf, check } = await load("places.ts", text);
  try {
    check?.(new Int32Array(1), []);
  } catch (error) {
    expect(describeThrown(error, placeOf)).toMatch(/^TypeError: .*, at .*places\.ts:6:\d+$/);
  }
  expect.assertions(1);
});
