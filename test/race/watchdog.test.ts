import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, expect, test } from "vitest";
import { type Assignment, Crew } from "../../src/run/parallel.ts";
import { HangError } from "../../src/run/watchdog.ts";
import { buildToy } from "./build-toy.ts";
import { createToy, Toy, toySync, toyWord } from "./workers/toy.ts";

const machine = { cpus: 2 };
const LIMIT_MS = 250;
let worker: URL;
let checkedWorker: URL;
let watchedRun: URL;
let crew: Crew | undefined;

beforeAll(async () => {
  worker = await buildToy("toy-cpu", "parallel");
  checkedWorker = await buildToy("toy-cpu", "stress");
  watchedRun = await buildToy("watched-run", "parallel");
});

afterEach(async () => {
  await crew?.close();
});

async function hang(entry: URL, assignments: readonly Assignment[]): Promise<string> {
  crew = new Crew({ worker: entry, cpus: machine.cpus });
  const words = createToy(machine);
  const arena = words.buffer as SharedArrayBuffer;
  await crew.attach({ arena, machine, sync: toySync(words, machine) });
  const error = await crew.trial(assignments, LIMIT_MS).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(HangError);
  return (error as HangError).message;
}

test("a parked CPU is reported with the lock it awaits and the lock's holder", async () => {
  const report = await hang(worker, [
    { cpu: 0, role: "hoardLock", params: { sleep: true } },
    { cpu: 1, role: "increment", params: { times: 1 } },
  ]);
  // CPU 1 may come first, take the lock and be done: then nobody waits for it.
  const awaits = `parked; awaits toyA at word ${toyWord(machine, Toy.lockA)}, held by CPU 0`;
  expect(report).toContain("no CPU advanced for 0.25 s");
  expect(report.includes(`CPU 1 (increment) ${awaits}`) || report.includes("CPU 1 (increment) done")).toBe(true);
  expect(report).toContain("CPU 0 (hoardLock) running");
});

test("CPUs that sleep outside a lock are found as well", async () => {
  const report = await hang(worker, [
    { cpu: 0, role: "parkForever", params: {} },
    { cpu: 1, role: "parkForever", params: {} },
  ]);
  expect(report).toMatch(/CPU 0 \(parkForever\) .*\nCPU 1 \(parkForever\) /);
});

test("a spinning CPU is a hang although it burns CPU time, also when the other one is done", async () => {
  const report = await hang(worker, [
    { cpu: 0, role: "spinForever", params: {} },
    { cpu: 1, role: "increment", params: { times: 5 } },
  ]);
  expect(report).toContain("CPU 0 (spinForever) running");
  expect(report).toContain("CPU 1 (increment) done");
});

test("a circle of lock waits is named; checked builds list the held locks", async () => {
  const report = await hang(checkedWorker, [
    { cpu: 0, role: "crossLocks", params: { times: 100_000_000 } },
    { cpu: 1, role: "crossLocks", params: { times: 100_000_000 } },
  ]);
  const [a, b] = [toyWord(machine, Toy.lockA), toyWord(machine, Toy.lockB)];
  expect(report).toContain(`awaits toyB at word ${b}, held by CPU 1; holds toyA at word ${a}`);
  expect(report).toContain(`awaits toyA at word ${a}, held by CPU 0; holds toyB at word ${b}`);
  expect(report).toContain("CPU 0 waits for CPU 1, which waits for CPU 0");
});

test("work that goes on longer than the limit is no hang", async () => {
  crew = new Crew({ worker, cpus: machine.cpus });
  const words = createToy(machine);
  const arena = words.buffer as SharedArrayBuffer;
  await crew.attach({ arena, machine, sync: toySync(words, machine) });
  await crew.trial([{ cpu: 0, role: "workFor", params: { ms: 2 * LIMIT_MS } }], LIMIT_MS);
});

test("a process that was stopped for longer than the limit finishes normally", async () => {
  const args = [fileURLToPath(watchedRun), fileURLToPath(worker), String(LIMIT_MS), String(5 * LIMIT_MS)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout });
  output.on("line", (line) => lines.push(line));
  await once(output, "line");
  child.kill("SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 3 * LIMIT_MS));
  child.kill("SIGCONT");
  const [code] = (await once(child, "exit")) as [number];
  expect({ lines, code }).toEqual({ lines: ["running", "finished"], code: 0 });
});
