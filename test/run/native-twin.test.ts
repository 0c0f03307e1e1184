/**
 * The C twin against the stripped JavaScript of dist/. Where no C compiler exists only the last tests have something to
 * look at.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Mapping } from "../../src/machine/address-space.ts";
import { type MachineShape, TOY_SHAPE } from "../../src/machine/shape.ts";
import { VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { type Kernel, loadKernel, workerUrl } from "../../src/run/kernel-variant.ts";
import {
  buildNative,
  type NativeBuild,
  runNativeTwin,
  stageTwin,
  startTwin,
  type TwinMode,
  type TwinStage,
} from "../../src/run/native-twin.ts";
import { Crew } from "../../src/run/parallel.ts";

const VMAS = 64;
const PAGES_PER_VMA = 512;
const PAGES = VMAS * PAGES_PER_VMA;

/** 64 mappings of one full page table each. */
const FULL_TABLES: readonly Mapping[] = Array.from(
  { length: VMAS },
  (_, i): Mapping => ({
    startVpn: 0x7f000_000 + i * PAGES_PER_VMA,
    pages: PAGES_PER_VMA,
    flags: VM_WRITE,
    present: "all",
  }),
);

/** Mappings that share tables, cross them, have holes, large folios and flags of their own. */
const MIXED: readonly Mapping[] = Array.from(
  { length: 200 },
  (_, i): Mapping => ({
    startVpn: 0x40000 + i * 400,
    pages: 100 + ((i * 37) % 290),
    flags: i % 9 === 4 ? VM_WRITE | VM_SHARED : VM_WRITE,
    present: i % 5 === 0 ? [1, 3, 20, 64] : "all",
    folioOrder: i % 3 === 1 ? (i % 5) + 1 : 0,
  }),
);

const SHAPE: MachineShape = {
  ...TOY_SHAPE,
  frames: 2 * PAGES,
  tables: 256,
  vmas: 256,
  lockOrder: false,
  reschedEvery: 700,
};

let kernel: Kernel;
let build: NativeBuild;
const crews: Crew[] = [];

/** Built away from the user's cache, so that the compiler runs. */
let cache: string;

beforeAll(async () => {
  cache = mkdtempSync(join(tmpdir(), "oomrace-native-test-"));
  kernel = await loadKernel("parallel");
  build = await buildNative(kernel, { cache });
});

afterEach(async () => {
  await Promise.all(crews.splice(0).map((crew) => crew.close()));
});

afterAll(() => rmSync(cache, { recursive: true, force: true }));

function stage(mappings: readonly Mapping[], change: Partial<MachineShape> = {}, frames = "sequential"): TwinStage {
  const shape = { ...SHAPE, ...change };
  return stageTwin(kernel, shape, {
    protocol: shape.protocol,
    mappings,
    frames: frames as "sequential" | "random",
    seed: 7,
    reaper: "mrelease",
  });
}

async function crewFor({ map, words }: TwinStage): Promise<Crew> {
  const crew = new Crew({ worker: workerUrl("parallel"), cpus: map.shape.cpus });
  crews.push(crew);
  const { base, struct, count } = map.cpuSync;
  await crew.attach({
    arena: words.buffer as SharedArrayBuffer,
    machine: map.shape,
    sync: { words, base, stride: struct.WORDS, cpus: count, classNames: kernel.lockClassNames() },
  });
  return crew;
}

async function compare(at: TwinStage, modes: readonly TwinMode[] = [], pairs = 0) {
  const crew = await crewFor(at);
  const result = await runNativeTwin({ stage: at, crew, modes, pairs, warmUps: 0, cache });
  if (!result.available) throw new Error(result.reason);
  return result;
}

describe("with a C compiler", () => {
  const cases: readonly (readonly [string, readonly Mapping[], Partial<MachineShape>, string])[] = [
    ["sequential frames", FULL_TABLES, {}, "sequential"],
    ["random frames", FULL_TABLES, {}, "random"],
    ["folios, holes and shared tables", MIXED, {}, "sequential"],
    ["random frames, holes and shared tables", MIXED, {}, "random"],
    ["one lock for the mm, no reschedule", MIXED, { lockGranularity: "mm", reschedEvery: 0 }, "sequential"],
    ["a lock per PTE", MIXED, { lockGranularity: "pte" }, "random"],
    ["five levels", MIXED, { levels: 5 }, "sequential"],
  ];

  test.each(cases)("JavaScript and C leave the same arena: %s", async (_, mappings, change, frames) => {
    if (!build.available) return;
    const at = stage(mappings, change, frames);
    const before = at.words.slice();
    expect((await compare(at)).difference).toBeUndefined();
    expect(at.words.every((word, i) => word === before[i])).toBe(true);
  });

  test("JavaScript and C leave the same arena: no page left for a batch", async () => {
    if (!build.available) return;
    const at = stage(MIXED);
    const zone = at.words[at.map.root + kernel.PageGlobals.zonesBase] as number;
    for (const mark of [kernel.Zone.watermarkMin, kernel.Zone.watermarkLow]) at.words[zone + mark] = 2 * PAGES;
    expect((await compare(at)).difference).toBeUndefined();
  });

  test("a word that differs is named", async () => {
    if (!build.available) return;
    const at = stage(FULL_TABLES);
    const crew = await crewFor(at);
    const trial = crew.trial.bind(crew);
    crew.trial = async (...args) => {
      const result = await trial(...args);
      at.words[kernel.elementOf(at.map.cpuMm, 0) + kernel.CpuMm.tablesZapped] = 5;
      return result;
    };
    const result = await runNativeTwin({ stage: at, crew, modes: [], pairs: 0, warmUps: 0, cache });
    expect(result).toMatchObject({ difference: `cpuMm[0].tablesZapped: 5 in JavaScript, ${VMAS} in C` });
  });

  test.each(["forward", "reverse"] as const)("two threads of C, %s: JavaScript ends what they left", async (mode) => {
    if (!build.available) return;
    for (const granularity of ["mm", "table", "pte"] as const) {
      const at = stage(FULL_TABLES, { lockGranularity: granularity });
      const twin = await startTwin(build.program, at);
      try {
        for (let i = 0; i < 5; i++) {
          const { actors } = await twin.run(mode);
          expect(actors.map((actor) => actor.pages).reduce((a, b) => a + b)).toBe(PAGES);
          await twin.readArena((piece, from) => at.words.set(piece, from));
          const cpu = kernel.cpuOf(at.words, at.map, 0, kernel.soloPort());
          kernel.runToEnd(kernel.roles.victim(cpu, {}));
          kernel.runToEnd(kernel.endRace(cpu, 0));
          expect(kernel.findViolations(at.words, at.map)).toEqual([]);
        }
      } finally {
        await twin.stop();
      }
    }
  });

  test("pairs come in turn, each side with its own figures", async () => {
    if (!build.available) return;
    const { pairs } = await compare(stage(FULL_TABLES), ["solo", "reverse"], 2);
    expect(pairs.solo?.map((pair) => pair.nativeFirst)).toEqual([false, true]);
    for (const { js, native } of pairs.solo ?? []) {
      for (const { actors } of [js, native]) expect(actors).toMatchObject([{ pages: PAGES, contended: 0 }]);
    }
    expect(pairs.reverse?.map(({ native }) => native.actors.length)).toEqual([2, 2]);
    expect(pairs.forward).toBeUndefined();
  });

  test("a twin that cannot go on says why", async () => {
    if (!build.available) return;
    const at = stage(FULL_TABLES);
    kernel.store(kernel.cpuOf(at.words, at.map, 0, kernel.soloPort()), at.mm + kernel.Mm.mmapLock, 1);
    const twin = await startTwin(build.program, at);
    await expect(twin.run("solo")).rejects.toThrow("NativeTwin: mmapReadLock: somebody writes or waits");
    await expect(twin.run("solo")).rejects.toThrow("NativeTwin: mmapReadLock: somebody writes or waits");
    await twin.stop();
  });

  test("the second build comes from the cache", async () => {
    if (!build.available) return;
    expect(await buildNative(kernel, { cache })).toEqual(build);
  });
});

test("without a compiler it says what was tried", async () => {
  expect(await buildNative(kernel, { cache, compilers: ["no-such-cc", "none-either"] })).toEqual({
    available: false,
    reason: "no C compiler (no-such-cc: not found; none-either: not found)",
  });
});

test("a protocol without the maple tree is refused", async () => {
  const at = stage(FULL_TABLES, { protocol: "v4.14" });
  const crew = await crewFor(at);
  await expect(runNativeTwin({ stage: at, crew, modes: ["solo"], pairs: 1, warmUps: 0 })).rejects.toThrow(
    "native twin: v4.14 walks a list of VMAs",
  );
});
