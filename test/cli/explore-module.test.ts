/** `oomrace explore FILE` and `oomrace replay FILE:...`: programs of the user's own. */

import { afterAll, beforeAll, expect, test } from "vitest";
import type { ExploreResult } from "../../src/report/explore-result.ts";
import { type Ended, oomrace } from "./oomrace.ts";
import { schemaErrors } from "./schema.ts";
import { UserFiles } from "./user-files.ts";

let files: UserFiles;
beforeAll(() => {
  files = new UserFiles();
});
afterAll(() => files.remove());

const KERNEL =
  'import { atomicLoad, atomicStore, cmpxchg, lockClass, runToEnd, spinLock, spinUnlock, type Cpu } from "oomrace/kernel";';

/** A module in TypeScript; `program` are the members of its default export. */
function moduleOf(code: string, program: string): string {
  return `${KERNEL}\n${code}\nexport default { ${program} };\n`;
}

/** Adds one without a lock; the counter must be 2. */
const COUNTER = moduleOf(
  `import { one } from "./one.ts";
interface Erased { readonly line: number }
function* addOne(cpu: Cpu) {
  yield* atomicStore(cpu, 0, (yield* atomicLoad(cpu, 0)) + one);
}
const check = ([counter]: Int32Array) => { if (counter !== 2) throw new Error(counter + " of 2 counted"); };`,
  'words: 1, threads: [addOne, addOne], check, describe: () => "counter"',
);

const MENDED = COUNTER.replace(
  /yield\* atomicStore.*/,
  "for (let old = -1; (yield* cmpxchg(cpu, 0, (old = yield* atomicLoad(cpu, 0)), old + one)) !== old; );",
);

function write(name: string, text: string): string {
  files.write("one.ts", "export const one: number = 1;\n");
  return files.write(name, text);
}

function timeless({ stdout }: Ended): string {
  return stdout.replaceAll(/[\d.]+ [mu]?s\b/g, "TIME");
}

test.concurrent("found, drawn with its own names, and repeated by the command that is printed", async () => {
  const path = write("counter.ts", COUNTER);
  const found = await oomrace("explore", path);
  expect([found.code, found.stderr]).toEqual([1, ""]);
  expect(found.stdout.startsWith(`${path}: addOne | addOne\n\nVIOLATION check: 1 of 2 counted\n`)).toBe(true);
  expect(found.stdout).toContain("CPU 0: addOne       CPU 1: addOne\n");
  expect(found.stdout).toContain("addOne()\n  reads counter: 0\n  counter = 1\n");
  expect(found.stdout).not.toContain("forced");
  const word = /^again, step by step: oomrace replay (\S+)$/m.exec(found.stdout)?.[1] as string;
  expect(word.startsWith(`${path}:`)).toBe(true);
  const again = await oomrace("replay", word);
  expect([again.code, again.stderr]).toEqual([1, ""]);
  expect(found.stdout).toContain(again.stdout.trim());
  const forced = await oomrace("replay", "--engine", "forced", word);
  expect([forced.code, forced.stdout]).toEqual([2, ""]);
  expect(forced.stderr).toMatch(
    /^oomrace: --engine forced with .*counter\.ts: a program of your own runs step by step.*\n$/,
  );
});

test.concurrent("a schedule fits the code that it was recorded from, with what that imports, but for types and comments", async () => {
  const path = write("stale.ts", COUNTER);
  const word = /oomrace replay (\S+)$/m.exec((await oomrace("explore", path)).stdout)?.[1] as string;
  write("stale.ts", COUNTER.replace("readonly line: number", "line: string /* changed */"));
  expect((await oomrace("replay", word)).code).toBe(1);
  write("stale.ts", COUNTER.replace("+ one", "+ one + 0"));
  const stale = await oomrace("replay", word);
  expect([stale.code, stale.stdout]).toEqual([2, ""]);
  expect(stale.stderr).toContain("schedule: recorded from other code");
  expect((await oomrace("replay", "--continue", word)).stdout).toContain("=> check: 1 of 2 counted");
});

test.concurrent("--jobs: what one job finds, word for word but for times", async () => {
  const path = write("jobs.ts", COUNTER);
  expect(timeless(await oomrace("explore", path, "--jobs", "2"))).toBe(timeless(await oomrace("explore", path)));
});

test.concurrent("JSON by its schema, and Mermaid", async () => {
  const path = write("flags.ts", COUNTER);
  expect((await oomrace("explore", path, "--mermaid")).stdout).toContain("participant C1 as CPU 1: addOne");
  const result = JSON.parse((await oomrace("explore", path, "--json", "-")).stdout) as ExploreResult;
  expect(schemaErrors("explore", result)).toBeNull();
  expect(result).toMatchObject({ scenario: path, fixed: false, protocol: null, violation: { forceable: false } });
});

test.concurrent("--scheduler dpor, and --require complete", async () => {
  const path = write("mended.ts", MENDED);
  const all = await oomrace("explore", path, "--scheduler", "dpor", "--require", "complete");
  expect([all.code, all.stderr]).toEqual([0, ""]);
  expect(all.stdout).toMatch(/^COMPLETE: every class of interleavings was explored, and none breaks an invariant$/m);
  expect((await oomrace("explore", path, "--executions", "9", "--require", "complete")).code).toBe(4);
});

test.concurrent("a deadlock names the program's words and lock classes; a bound that was given is given again", async () => {
  const path = write(
    "forks.mts",
    moduleOf(
      `const FORK = lockClass("fork");
const eats = (first: number, second: number) => function* eats(cpu: Cpu) {
  for (const fork of [first, second]) yield* spinLock(cpu, fork, FORK);
  for (const fork of [second, first]) yield* spinUnlock(cpu, fork, FORK);
};`,
      'words: 3, threads: [eats(1, 2), eats(2, 1)], describe: (word: number) => "fork " + word',
    ),
  );
  const { code, stdout } = await oomrace("explore", path, "--max-steps", "900");
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /^VIOLATION nobody can go on\nCPU 0 .*awaits fork at fork 2, held by CPU 1; holds fork at fork 1\nCPU 1 /m,
  );
  expect(stdout).toContain("CPU 0: eats  ");
  expect(stdout).toContain("  spin_lock(fork 2) sleeps\n");
  const full = await oomrace("explore", path, "--full");
  expect(full.stdout.split("\n").length).toBeGreaterThan(stdout.split("\n").length);
  const [, args = ""] = /oomrace replay (--max-steps 900 \S+)$/m.exec(stdout) ?? [];
  expect((await oomrace("replay", ...args.split(" "))).stdout).toContain("=> nobody can go on");
});

test.concurrent("what a thread throws points into the user's own lines, in one thread and in jobs", async () => {
  const path = write(
    "throws.ts",
    moduleOf(
      `interface Erased { readonly line: number }
function deep(value: any): number {
  return value.no.thing;
}
function* reads(cpu: Cpu) {
  yield* atomicStore(cpu, 0, 1);
  if ((yield* atomicLoad(cpu, 0)) === 1) deep({});
}`,
      "words: 1, threads: [reads]",
    ),
  );
  const end = /VIOLATION CPU 0 threw TypeError: .*, at \S*throws\.ts:4:19\n/;
  const alone = await oomrace("explore", path);
  expect([alone.code, alone.stderr]).toEqual([1, ""]);
  expect(alone.stdout).toMatch(end);
  expect((await oomrace("explore", path, "--jobs", "2")).stdout).toMatch(end);
  const bad = write(
    "range.ts",
    moduleOf("function* far(cpu: Cpu) {\n  yield* atomicLoad(cpu, 99999);\n}", "words: 1, threads: [far]"),
  );
  expect((await oomrace("explore", bad)).stdout).toMatch(
    /VIOLATION CPU 0 threw RangeError: .*, at \S*range\.ts:3:10\n/,
  );
});

const ONE = "words: 1, threads: [only]";
test.concurrent.each([
  [
    "none.mjs",
    "export const program = 1;",
    /none\.mjs: no default export, expected a program as default export, with wo/,
  ],
  [
    "plain.mjs",
    "export default { words: 1, threads: [() => {}] };",
    /plain\.mjs: threads\[0\]: returned nothing, expected a/,
  ],
  [
    "loads.ts",
    "type Erased = 1;\n\nfunction go(): never {\n  throw new RangeError('too\\nfar');\n}\nexport default go();",
    /loads\.ts:4:9: threw RangeError: too far while it was loaded, expected a program as default export/,
  ],
  [
    "setup.ts",
    moduleOf("function* only() {}", `${ONE}, setup: (w: any) => w.a.b`),
    /setup: threw TypeError.*setup\.ts:3:\d+$/,
  ],
  [
    "bare.ts",
    moduleOf("function* only(cpu: Cpu) {\n  yield;\n}", ONE),
    /bare\.ts: CPU 0 gave up its turn without a shared operation, expected `yield\*` on each operation, and no other/,
  ],
  [
    "driven.ts",
    moduleOf("function* only(cpu: Cpu) {\n  yield* atomicLoad(cpu, 0);\n  runToEnd(atomicLoad(cpu, 0));\n}", ONE),
    /driven\.ts:4:3: CPU 0 did shared operation 2 of a step that was granted 1; no scheduling point before .*only, exp/,
  ],
  [
    "atomics.ts",
    moduleOf("function* only(cpu: Cpu) {\n  yield* atomicLoad(cpu, 0);\n  Atomics.add(cpu.words, 0, 1);\n}", ONE),
    /atomics\.ts: Atomics\.add in only \(\S*atomics\.ts:4:11\), expected the operations of oomrace\/kernel/,
  ],
  [
    "moody.ts",
    moduleOf(
      "let n = 0;\nfunction* only(cpu: Cpu) {\n  for (let i = n++ % 3; i >= 0; i--) yield* atomicLoad(cpu, 0);\n}",
      ONE,
    ),
    /moody\.ts: execution \d did not repeat: under the same schedule/,
  ],
])("%s is refused in one line", async (name, text, message) => {
  const { code, stdout, stderr } = await oomrace("explore", write(name, text));
  expect(stderr.trimEnd()).toMatch(message);
  expect(stderr).toMatch(/^oomrace: [^\n]+\n$/);
  expect([code, stdout]).toEqual([2, ""]);
});

test.concurrent.each([
  [["explore", "./absent.ts"], /^oomrace: absent\.ts: no such file, expected a module\n$/],
  [["explore", "mine.cjs"], /^oomrace: mine\.cjs: not a module \(expected \.ts, \.mts, \.js, \.mjs\)\n$/],
  [["explore", "./absent.ts", "--fixed"], /^oomrace: --fixed with \.\/absent\.ts: expected a case, only those have/],
  [["replay", "./absent.ts"], /^oomrace: schedule "\.\/absent\.ts": expected CASE:\.\.\. or FILE:\.\.\., as/],
  [["replay", "./absent.ts:AQAAAAAB"], /^oomrace: absent\.ts: no such file, expected a module\n$/],
])("%j: one line", async (args, message) => {
  const { code, stdout, stderr } = await oomrace(...args);
  expect(stderr).toMatch(message);
  expect([code, stdout]).toEqual([2, ""]);
});
