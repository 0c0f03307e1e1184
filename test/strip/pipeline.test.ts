import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { build } from "esbuild";
import { beforeAll, describe, expect, it } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { analyse, describeRefusals, kernelFiles, seamFile, stripPlugin, VARIANTS } from "../../src/strip/index.ts";
import type { Analysis } from "../../src/strip/strip.ts";
import { buildFlags, type Variant } from "../../src/strip/variants.ts";

type Tiny = typeof import("./fixtures/tiny.ts");

const ROUNDS = 10;
const root = resolve(".");
const path = resolve("test/strip/fixtures/tiny.ts");
let analysis: Analysis;

beforeAll(async () => {
  const texts = [...kernelFiles(root), { path, text: readFileSync(path, "utf8") }];
  analysis = await analyse(texts, { seam: seamFile(root) });
});

/** Runs the fixture in one build, in this thread; returns its result, its arena and how many turns it asked for. */
async function run(variant: Variant): Promise<{ result: number; turns: number; words: Int32Array; code: string }> {
  const bundle = await build({
    entryPoints: [path],
    bundle: true,
    write: false,
    format: "esm",
    define: buildFlags(variant),
    plugins: [stripPlugin(analysis, variant)],
  });
  const code = bundle.outputFiles[0]!.text;
  const module = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as Tiny;
  const { CpuSync } = module;
  const Lock = module.struct("lock", { word: 1, plain: 1, atomic: 1 });
  const requests = [
    { name: "cpuSync", struct: CpuSync, count: 1 },
    { name: "lock", struct: Lock, count: 1 },
  ];
  const map = module.planMemory(requests, module.ARENA_START);
  const words = module.createArena(map);
  const sync = module.regionOf(map, "cpuSync").base;
  let turns = 0;
  const port = { ...module.soloPort(), gate: () => void turns++ };
  const cpu = { words, id: 0, port, sync, syncBase: sync, syncStride: CpuSync.WORDS } as unknown as Cpu;
  const started = module.tiny(cpu, module.regionOf(map, "lock").base, module.lockClass("tiny"), ROUNDS);
  if (variant !== "interleaved") return { result: started as unknown as number, turns, words, code };
  for (;;) {
    const step = started.next();
    if (step.done) return { result: step.value, turns, words, code };
    turns++;
  }
}

describe("the real pipeline", () => {
  it.each(VARIANTS)("runs a program with locks in the %s build", async (variant) => {
    const { result, turns, code } = await run(variant);
    expect(result).toBe(ROUNDS);
    expect(code.includes("function*")).toBe(variant === "interleaved");
    expect(turns === 0).toBe(variant === "parallel" || variant === "stress");
  });

  it("gates exactly the scheduling points", async () => {
    expect((await run("forced")).turns).toBe((await run("interleaved")).turns);
  });

  it("leaves the same arena in the three checked builds", async () => {
    const [stress, forced, interleaved] = await Promise.all([run("stress"), run("forced"), run("interleaved")]);
    expect(stress.words).toEqual(interleaved.words);
    expect(forced.words).toEqual(interleaved.words);
  });

  it("refuses nothing in the emulated kernel", () => {
    expect(analysis.sources.size).toBeGreaterThan(10);
    expect(describeRefusals(analysis.refusals)).toBe("");
  });
});
