/**
 * A process of its own that runs one trial under a watchdog: `node watched-run.mjs WORKER LIMIT_MS WORK_MS`.
 * Prints "running" when the trial has begun, then how it ended.
 */

import { pathToFileURL } from "node:url";
import { Crew } from "../../../src/run/parallel.ts";
import { createToy, Toy, toySync, toyWord } from "./toy.ts";

const [workerPath, limitMs, workMs] = process.argv.slice(2);
const machine = { cpus: 2 };
const words = createToy(machine);
const crew = new Crew({ worker: pathToFileURL(workerPath as string), cpus: machine.cpus });
await crew.attach({ arena: words.buffer as SharedArrayBuffer, machine, sync: toySync(words, machine) });
const assignments = [0, 1].map((cpu) => ({ cpu, role: "workFor", params: { ms: Number(workMs) } }));
const trial = crew.trial(assignments, Number(limitMs));
const tally = toyWord(machine, Toy.tally);
while (Atomics.load(words, tally) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
console.log("running");
try {
  await trial;
  console.log("finished");
} catch (error) {
  console.log(String(error));
  process.exitCode = 3;
}
await crew.close();
