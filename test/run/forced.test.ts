import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { type InterleaveOptions, interleave } from "../../src/explore/engine.ts";
import type { Outcome } from "../../src/explore/outcome.ts";
import { type Schedule, scheduleOf } from "../../src/explore/schedule.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { ForcedCrew, type ForcedRun } from "../../src/run/forced.ts";
import type { PlainRecord } from "../../src/run/messages.ts";
import { buildToy } from "../race/build-toy.ts";
import { createToy, Toy, toyCpu, toyKernel, toySync, toyWord } from "../race/workers/toy.ts";

const CPUS = 3;
const machine = { cpus: CPUS };
let crew: ForcedCrew;
let worker: URL;

beforeAll(async () => {
  worker = await buildToy("toy-cpu", "forced");
  crew = new ForcedCrew({ worker, cpus: CPUS });
});

afterAll(() => crew.close());

interface Program {
  readonly role: string;
  readonly params: PlainRecord;
}

function stepped(programs: readonly Program[], seed: number): { outcome: Outcome; words: Int32Array } {
  const words = createToy(machine);
  const cpuOf: InterleaveOptions["cpuOf"] = (id, port) => toyCpu(words, machine, id, port);
  const bodies = programs.map(
    ({ role, params }) =>
      (cpu: Cpu) =>
        toyKernel.roles[role]!(cpu, params as never),
  );
  const scheduler = randomScheduler(seed);
  const outcome = interleave({
    words,
    programs: bodies,
    cpuOf,
    scheduler,
    sync: toySync(words, machine),
    maxSteps: 400,
  });
  return { outcome, words };
}

async function forced(
  programs: readonly Program[],
  schedule: Schedule,
  more: Partial<ForcedRun> = {},
): Promise<{ outcome: Outcome; words: Int32Array }> {
  const words = createToy(machine);
  const arena = words.buffer as SharedArrayBuffer;
  const outcome = await crew.run({ arena, machine, programs, schedule, sync: toySync(words, machine), ...more });
  return { outcome, words };
}

const everywhere = (role: string, params: PlainRecord): Program[] => Array(CPUS).fill({ role, params });

/** Replays an interleaved execution on real threads and compares everything that both leave behind. */
async function expectSame(programs: readonly Program[], seed: number): Promise<Outcome> {
  const one = stepped(programs, seed);
  const other = await forced(programs, one.outcome.schedule);
  // The schedule of a livelock is one that ends before the programs do.
  const expected = one.outcome.state === "livelock" ? { ...one.outcome, state: "ended" } : one.outcome;
  const { bound: _, ...comparable } = expected as { bound?: number };
  expect(other.outcome, `seed ${seed}`).toEqual(comparable);
  const differs = other.words.findIndex((word, at) => word !== one.words[at]);
  expect(differs, `seed ${seed}: first word that differs`).toBe(-1);
  return one.outcome;
}

test("real threads that follow a recorded schedule end in the same arena and outcome", async () => {
  for (let seed = 0; seed < 60; seed++) {
    await expectSame(everywhere("mix", { seed, operations: 10, cpus: CPUS }), seed);
  }
});

test("contention for one lock, and lost updates, come out the same", async () => {
  const counters = new Set<number>();
  for (let seed = 0; seed < 30; seed++) {
    const mixed = [
      { role: "increment", params: { times: 2 } },
      { role: "increment", params: { times: 2 } },
      { role: "carelessIncrement", params: { times: 2 } },
    ];
    await expectSame(mixed, seed);
    counters.add(stepped(mixed, seed).words[toyWord(machine, Toy.counter)] as number);
  }
  expect(counters.size).toBeGreaterThan(1);
});

test("a deadlock found by stepping is one on real threads, with the same report", async () => {
  const states: string[] = [];
  for (let seed = 0; seed < 30; seed++) {
    states.push((await expectSame(everywhere("crossLocks", { times: 1 }), seed)).state);
  }
  expect(new Set(states)).toEqual(new Set(["deadlock", "finished"]));
});

test("a schedule of an execution without end stops where it stops", async () => {
  const programs = everywhere("spinForever", {});
  expect((await expectSame(programs, 1)).state).toBe("livelock");
});

test("a violation comes with its invariant, CPU and step", async () => {
  const [first, second] = everywhere("increment", { times: 2 }) as [Program, Program];
  const programs = [first, { role: "fail", params: { how: "violation" } }, second];
  const schedule = scheduleOf([0, 0, 2, 1]);
  const { outcome } = await forced(programs, schedule);
  expect(outcome).toMatchObject({ state: "violation", cpu: 1, steps: 4, schedule });
  expect(outcome).toMatchObject({ violation: { name: "Violation", invariant: "I4", message: "I4: a toy was broken" } });
});

test("another error is a fault of the program", async () => {
  const [first, second] = everywhere("increment", { times: 2 }) as [Program, Program];
  const { outcome } = await forced([{ role: "fail", params: { how: "error" } }, first, second], scheduleOf([0]));
  expect(outcome).toMatchObject({ state: "fault", cpu: 0, steps: 1, internal: false });
  expect(outcome).toMatchObject({ error: { message: "CPU 0 (fail): TypeError: a toy threw" } });
});

test("the end of the schedule stops the run, or lets it go on round robin", async () => {
  const programs = everywhere("increment", { times: 2 });
  const short = scheduleOf([2, 2, 0]);
  expect((await forced(programs, short)).outcome).toMatchObject({ state: "ended", steps: 3, schedule: short });
  const on = await forced(programs, short, { continueTo: 500 });
  expect(on.outcome.state).toBe("finished");
  expect(on.outcome.schedule.subarray(0, 4)).toEqual(scheduleOf([2, 2, 0, 1]));
  expect(on.words[toyWord(machine, Toy.counter)]).toBe(2 * CPUS);
  const again = await forced(programs, on.outcome.schedule);
  expect(again.outcome).toEqual(on.outcome);
  expect((await forced(programs, short, { continueTo: 7 })).outcome).toMatchObject({ state: "livelock", bound: 7 });
});

test("going on round robin lets timers fire when nobody can run", async () => {
  const programs = everywhere("mix", { seed: 5, operations: 10, cpus: CPUS });
  const { outcome } = await forced(programs, scheduleOf([]), { continueTo: 1000 });
  expect(outcome.state).toBe("finished");
  expect(outcome.timeNs).toBeGreaterThan(0);
});

test("a turn that names a CPU which cannot run is an error that says which step", async () => {
  const programs = [...everywhere("parkForever", {}).slice(1), { role: "increment", params: { times: 1 } }];
  const token = toySync(createToy(machine), machine).base;
  const run = (...choices: number[]): Promise<unknown> => forced(programs, scheduleOf(choices));
  await expect(run(0, 0, 1, 0)).rejects.toThrow(`forced: step 3 of the schedule: CPU 0 sleeps on word ${token}`);
  await expect(run(2, ~0)).rejects.toThrow("forced: step 1 of the schedule: CPU 0 has no armed timer");
  await expect(run(2, 2, 2, 2, 2, 2)).rejects.toThrow("forced: step 3 of the schedule: CPU 2 has finished");
  await expect(run(3)).rejects.toThrow("forced: step 0 of the schedule: there is no CPU 3, only 3");
});

test("a worker that dies in its turn is an error that says which", async () => {
  const own = new ForcedCrew({ worker, cpus: 2 });
  const words = createToy({ cpus: 2 });
  const programs = [
    { role: "increment", params: { times: 1 } },
    { role: "fail", params: { how: "exit" } },
  ];
  const run = own.run({
    arena: words.buffer as SharedArrayBuffer,
    machine: { cpus: 2 },
    programs,
    schedule: scheduleOf([1, 0]),
  });
  await expect(run).rejects.toThrow("CPU 1 (fail) died: its worker ended with exit code 7");
  await own.close();
});

test("a turn that does not end is a hang, not a wait without end", async () => {
  const own = new ForcedCrew({ worker, cpus: 1 });
  const words = createToy({ cpus: 1 });
  const run = own.run({
    arena: words.buffer as SharedArrayBuffer,
    machine: { cpus: 1 },
    programs: [{ role: "neverYield", params: {} }],
    schedule: scheduleOf([0]),
    hangMs: 200,
  });
  await expect(run).rejects.toThrow("step 0 did not end for 0.2 s");
});
