import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { distUrl } from "../../src/strip/dist.ts";
import { buildUserModule, loadUserModule } from "../../src/strip/user-module.ts";
import type { Variant } from "../../src/strip/variants.ts";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oomrace-user-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a user's file and returns its path. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const PROTOCOL = `
import { spinLock, xchg, type Cpu, type Steps } from "oomrace/kernel";
import { twice } from "./lib/helper.js";
import * as kernel from "oomrace/kernel";
export const stepped: boolean = STEPPED;
export const instance = kernel;
function* exitMmap(cpu: Cpu, mm: number): Steps<number> {
  if ((yield* xchg(cpu, mm, 7)) !== 0) yield* spinLock(cpu, mm, 0);
  return yield* twice(cpu, mm);
}
export default { name: "mine", exitMmap };`;

const HELPER = `
import { fetchAdd, type Cpu, type Steps } from "oomrace/kernel";
export function* twice(cpu: Cpu, word: number): Steps<number> {
  yield* fetchAdd(cpu, word, 1);
  return yield* fetchAdd(cpu, word, 1);
}`;

interface Loaded {
  stepped: boolean;
  instance: unknown;
  default: { exitMmap(cpu: unknown, mm: number): number | Generator<void, number> };
}

async function loadProtocol(variant: Variant): Promise<Loaded> {
  file("lib/helper.ts", HELPER);
  return (await loadUserModule(file("mine.ts", PROTOCOL), variant)) as unknown as Loaded;
}

const cpu = () => ({
  words: new Int32Array(new SharedArrayBuffer(64)),
  port: { pending: new Int32Array(4), gate: () => {}, granted: () => {} },
});

describe("loadUserModule", () => {
  it.each(["parallel", "stress", "forced"] as const)("strips a protocol for %s", async (variant) => {
    const loaded = await loadProtocol(variant);
    const one = cpu();
    expect(loaded.default.exitMmap(one, 3)).toBe(8);
    expect(one.words[3]).toBe(9);
    expect(loaded.stepped).toBe(false);
  });

  it("keeps its generators for interleaved", async () => {
    const loaded = await loadProtocol("interleaved");
    const steps = loaded.default.exitMmap(cpu(), 3) as Generator<void, number>;
    expect([steps.next().done, steps.next().done, steps.next().done]).toEqual([false, false, false]);
    expect(steps.next()).toEqual({ done: true, value: 8 });
    expect(loaded.stepped).toBe(true);
  });

  it("hands it the kernel instance that the thread runs", async () => {
    const loaded = await loadProtocol("stress");
    expect(loaded.instance).toBe(await import(distUrl("kernel-stress.js").href));
  });

  it("gives workers a URL of the same build", async () => {
    file("lib/helper.ts", HELPER);
    const url = await buildUserModule(file("mine.ts", PROTOCOL), "parallel");
    const code = `import(${JSON.stringify(url)}).then((m) => require("node:worker_threads").parentPort.postMessage(m.default.name));`;
    const worker = new Worker(code, { eval: true });
    const name = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    expect(name).toBe("mine");
    await worker.terminate();
  });

  it("builds a file once", async () => {
    const path = file("once.mjs", "export const at = {};");
    expect((await loadUserModule(path, "parallel")).at).toBe((await loadUserModule(path, "parallel")).at);
  });
});

describe("what a user's file can do wrong", () => {
  const kernel = 'import { spinLock } from "oomrace/kernel";\n';
  it.each([
    [
      "a forgotten yield*",
      "a.ts",
      `${kernel}export function* f(cpu: never) {\n  spinLock(cpu, 1, 0);\n}`,
      /a\.ts:3:3: generator of spinLock\(\) never runs/,
    ],
    [
      "... of a kernel method",
      "m.ts",
      "export function* f(cpu: { upcalls: never }) {\n  cpu.upcalls.exitMmap(cpu, 1);\n}",
      /m\.ts:2:3: generator of exitMmap\(\) never runs/,
    ],
    [
      "a plain function where the kernel has a generator",
      "p.ts",
      "export const mine = { exitMmap: () => 1 };",
      /p\.ts:1:23: "exitMmap" is a plain method here and a generator method in oomrace\/kernel/,
    ],
    [
      "a bare yield, even in a file named like the seam",
      "src/own.ts",
      "export function* f() {\n  yield;\n}",
      /own\.ts:2:3: bare yield/,
    ],
    ["broken syntax", "b.ts", "export const a = ;", /b\.ts:1:18: Unexpected ";"/],
    ["broken syntax in an imported file", "c.ts", 'import "./c2.ts";', /c2\.ts:1:1: /],
    [
      "a missing import",
      "d.ts",
      'import { x } from "./gone.ts";\nexport const y = x;',
      /^\/.*d\.ts:1:19: Could not resolve "\.\/gone\.ts"/,
    ],
    [
      "a name the kernel lacks",
      "e.ts",
      'import { nothing } from "oomrace/kernel";\nexport const y = nothing;',
      /e\.ts:1:10: oomrace\/kernel exports no "nothing"/,
    ],
    [
      "another entry of the package",
      "f.ts",
      'import { x } from "oomrace/sync";\nexport const y = x;',
      /f\.ts:1:19: "oomrace\/sync" cannot be imported here \(expected oomrace or oomrace\/kernel\)/,
    ],
    ["throwing at load", "g.mjs", 'throw new Error("no");', /g\.mjs: cannot be loaded: no/],
    ["being no module", "h.json", "{}", /h\.json: not a module \(expected \.ts, \.mts, \.js, \.mjs\)/],
  ])("%s", async (_what, name, text, expected) => {
    file("c2.ts", "}");
    const path = file(name, text);
    await expect(loadUserModule(path, "parallel")).rejects.toMatchObject({
      name: "UsageError",
      message: expect.stringMatching(expected),
    });
  });

  it("not being there", async () => {
    await expect(loadUserModule(join(folder, "absent.ts"), "parallel")).rejects.toMatchObject({
      name: "UsageError",
      message: expect.stringMatching(/absent\.ts: no such file, expected a module$/),
    });
  });

  it("several things at once: a line each", async () => {
    const path = file("many.ts", `${kernel}export function* f(cpu: never) {\n  spinLock(cpu, 1, 0);\n  yield;\n}`);
    const error = await loadUserModule(path, "forced").catch((caught: Error) => caught);
    expect((error as Error).message.split("\n")).toHaveLength(2);
  });

  it("having a file in a place named like the seam", async () => {
    const path = file("src/arena/mem.ts", "export function* f(cpu: never) {\n  yield;\n}");
    await expect(loadUserModule(path, "parallel")).rejects.toThrow(/mem\.ts:2:3: bare yield/);
  });
});
