/** The examples for people who explore programs of their own. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

async function run(name: string): Promise<string> {
  const file = `examples/explore/${name}`;
  return (await promisify(execFile)(process.execPath, [file], { cwd: ROOT, timeout: 30_000 })).stdout;
}

test.concurrent("counter.mjs: an addition is lost, and with a compare-and-exchange provably none", async () => {
  const out = await run("counter.mjs");
  expect(out).toContain("VIOLATION check: 1 of 2 counted\n");
  expect(out).toContain("shrunk to 4 steps, 1 preemption\n");
  expect(out).toMatch(/A compare-and-exchange:\n\nCOMPLETE/);
});

test("counter.mjs loses it as README does", () => {
  const addOne = /function\* addOne\(cpu\) \{\n.*\n\}/.exec(
    readFileSync(`${ROOT}/examples/explore/counter.mjs`, "utf8"),
  );
  expect(readFileSync(`${ROOT}/README.md`, "utf8")).toContain(addOne?.[0]);
});

test.concurrent("queue.mjs: one condition for both sides loses a wake-up, two do not", async () => {
  const out = await run("queue.mjs");
  expect(out).toMatch(/VIOLATION nobody can go on\n(CPU \d sleeps on|CPU \d has finished)/);
  expect(out).toContain("sleeps while condition is");
  expect(out).toMatch(/A condition for each:\n\nSTOPPED: no violation/);
});

test.concurrent("philosophers.mjs: everybody waits for a neighbour, unless forks are taken in order", async () => {
  const out = await run("philosophers.mjs");
  expect(out).toContain("CPU 0 waits for CPU 1, which waits for CPU 2, which waits for CPU 0");
  expect(out).toMatch(/spin_lock\(fork \d\) sleeps/);
  expect(out).toMatch(
    /Lower fork first:\n\nSTOPPED: no violation[\s\S]*every execution with at most 2 preemptions was run/,
  );
});
