import { afterEach, beforeAll, expect, test } from "vitest";
import { UsageError, Violation } from "../../src/base/errors.ts";
import { Crew, type CrewOptions } from "../../src/run/parallel.ts";
import { CPU_DONE, CpuSync } from "../../src/sync/cpu-sync.ts";
import { buildToy } from "../race/build-toy.ts";
import { createToy, Toy, toySync, toyWord } from "../race/workers/toy.ts";

const machine = { cpus: 2 };
let worker: URL;
let checkedWorker: URL;
let moreRoles: URL;
const crews: Crew[] = [];

beforeAll(async () => {
  worker = await buildToy("toy-cpu", "parallel");
  checkedWorker = await buildToy("toy-cpu", "stress");
  moreRoles = await buildToy("more-roles", "parallel");
});

afterEach(async () => {
  await Promise.all(crews.splice(0).map((crew) => crew.close()));
});

async function start(options: Partial<CrewOptions> = {}): Promise<{ crew: Crew; words: Int32Array }> {
  const crew = new Crew({ worker, cpus: machine.cpus, ...options });
  crews.push(crew);
  const words = createToy(machine);
  await crew.attach({
    arena: words.buffer as SharedArrayBuffer,
    machine,
    sync: toySync(words, machine),
    stopWord: toyWord(machine, Toy.gate),
  });
  return { crew, words };
}

const both = (role: string, params: object) =>
  [0, 1].map((cpu) => ({ cpu, role, params: params as { times: number } }));

test.each(["parallel", "stress"])(
  "%s: a lock keeps every update, trial after trial on the same workers",
  async (variant) => {
    const { crew, words } = await start({ worker: variant === "stress" ? checkedWorker : worker });
    for (let trial = 1; trial <= 5; trial++) {
      const { cpus } = await crew.trial(both("increment", { times: 20_000 }));
      expect(words[toyWord(machine, Toy.counter)]).toBe(trial * 40_000);
      expect(Math.max(...cpus.map((cpu) => cpu.result?.counter as number))).toBe(trial * 40_000);
    }
  },
);

test("a trial reports release, ends and CPU time on one clock", async () => {
  const { crew } = await start({ modules: [moreRoles.href] });
  let last = 0;
  for (let trial = 0; trial < 20; trial++) {
    const { releaseNs, wallNs, cpus } = await crew.trial(both("stampStart", {}));
    expect(releaseNs).toBeGreaterThan(last);
    for (const cpu of cpus) {
      // Nobody starts before the release that another CPU has timed: the clocks agree.
      expect(cpu.result?.startNs).toBeGreaterThanOrEqual(releaseNs - 1000);
      expect(cpu.result?.startNs).toBeLessThanOrEqual(releaseNs + cpu.wallNs);
    }
    expect(wallNs).toBe(Math.max(...cpus.map((cpu) => cpu.wallNs)));
    last = releaseNs + wallNs;
  }
});

test("CPU time counts work, and its source and resolution are known", async () => {
  const { crew } = await start();
  const { cpus } = await crew.trial(both("workFor", { ms: 60 }));
  if (crew.cpuTime.source === "not available") {
    expect(cpus.map((cpu) => cpu.cpuNs)).toEqual([undefined, undefined]);
    return;
  }
  expect(crew.cpuTime.resolutionNs).toBeGreaterThan(0);
  for (const cpu of cpus) {
    expect(cpu.cpuNs).toBeGreaterThan(0);
    // The barrier and the readings themselves burn a little that is outside the measured time.
    expect(cpu.cpuNs).toBeLessThan(cpu.wallNs * 1.5 + 20e6);
  }
});

test("a CPU alone starts without the others", async () => {
  const { crew, words } = await start();
  const { cpus } = await crew.trial([{ cpu: 1, role: "increment", params: { times: 3 } }]);
  expect(cpus).toMatchObject([{ cpu: 1, role: "increment", result: { counter: 3 } }]);
  const { base, stride } = toySync(words, machine);
  expect(words[base + stride + CpuSync.state]).toBe(CPU_DONE);
});

test("workers can be given another arena", async () => {
  const { crew } = await start();
  await crew.trial(both("increment", { times: 10 }));
  const words = createToy(machine);
  const arena = words.buffer as SharedArrayBuffer;
  await crew.attach({ arena, machine, sync: toySync(words, machine) });
  await crew.trial(both("increment", { times: 7 }));
  expect(words[toyWord(machine, Toy.counter)]).toBe(14);
  expect(() => crew.requestStop()).toThrow("requestStop: this arena has no stop word");
});

test("an arena that does not fit is refused with got and expected", async () => {
  const { crew, words } = await start();
  const arena = words.buffer as SharedArrayBuffer;
  const refused = crew.attach({ arena, machine: { cpus: 3 }, sync: toySync(words, machine) });
  await expect(refused).rejects.toThrow(UsageError);
  await expect(refused).rejects.toThrow(/layout hash: got 0x\w+, expected 0x\w+/);
});

test("a kernel second may be short: 100 of them pass in 100 ms", async () => {
  const { crew } = await start({ usPerNs: 1 });
  const { cpus } = await crew.trial(both("workFor", { ms: 100_000 }));
  expect(cpus.every((cpu) => (cpu.result?.bites as number) > 0)).toBe(true);
});

test("roles that poll the stop word can be asked to return", async () => {
  const { crew } = await start();
  const trial = crew.trial(both("untilStopped", {}));
  setTimeout(() => crew.requestStop(), 30);
  expect((await trial).cpus.map((cpu) => cpu.result)).toEqual([{ stopped: true }, { stopped: true }]);
});

test("modules bring more roles; a name that is taken is refused", async () => {
  const { crew, words } = await start({ modules: [moreRoles.href] });
  const { cpus } = await crew.trial(both("double", { value: 21 }));
  expect(cpus.map((cpu) => cpu.result)).toEqual([{ value: 42 }, { value: 42 }]);
  // Loading it again with the next arena changes nothing.
  await crew.attach({ arena: words.buffer as SharedArrayBuffer, machine, sync: toySync(words, machine) });
  const toyAgain = start({ modules: [moreRoles.href, `${moreRoles.href}?again`] });
  await expect(toyAgain).rejects.toThrow("there is already a role double");
});

test("a module whose generators were not stripped is refused", async () => {
  const unstripped = await buildToy("more-roles", "interleaved");
  const { crew } = await start({ modules: [unstripped.href] });
  await expect(crew.trial(both("double", { value: 1 }))).rejects.toThrow(
    "CpuServer: role double returned a generator; its module was built for another engine",
  );
});

test("an unknown role lists what there is", async () => {
  const { crew } = await start();
  await expect(crew.trial(both("nonesuch", {}))).rejects.toThrow(/no role nonesuch; there are increment, /);
});

test("assignments that cannot be are refused before anything runs", async () => {
  const { crew } = await start();
  const run = (...cpus: number[]): Promise<unknown> =>
    crew.trial(cpus.map((cpu) => ({ cpu, role: "increment", params: { times: 1 } })));
  await expect(run()).rejects.toThrow("trial: no CPU has anything to run");
  await expect(run(2)).rejects.toThrow("trial: no CPU 2, only 2");
  await expect(run(1, 1)).rejects.toThrow("trial: CPU 1 is assigned twice");
  await run(0, 1);
});

test("a violation on a worker is a Violation here, although another CPU still waits", async () => {
  const { crew } = await start();
  const trial = crew.trial([
    { cpu: 0, role: "parkForever", params: {} },
    { cpu: 1, role: "fail", params: { how: "violation" } },
  ]);
  const error = await trial.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Violation);
  expect(error).toMatchObject({ invariant: "I4", message: "I4: a toy was broken" });
  expect((error as Violation).stack).toContain("at fail ");
  await expect(crew.trial(both("increment", { times: 1 }))).rejects.toThrow("was terminated");
});

test("an error names CPU and role", async () => {
  const { crew } = await start();
  const trial = crew.trial([
    { cpu: 0, role: "spinForever", params: {} },
    { cpu: 1, role: "fail", params: { how: "error" } },
  ]);
  await expect(trial).rejects.toMatchObject({ name: "CpuError", message: "CPU 1 (fail): TypeError: a toy threw" });
});

test("a worker that dies is an error that says which, never a hang", async () => {
  const { crew } = await start();
  const trial = crew.trial([
    { cpu: 0, role: "fail", params: { how: "exit" } },
    { cpu: 1, role: "parkForever", params: {} },
  ]);
  await expect(trial).rejects.toThrow("CPU 0 (fail) died: its worker ended with exit code 7");
});

test("a worker entry that cannot be loaded is an error as well", async () => {
  const gone = start({ worker: new URL("gone.mjs", worker) });
  await expect(gone).rejects.toThrow(/CPU \d \(attach\) died: .*Cannot find module/);
});
