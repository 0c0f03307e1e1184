import { beforeAll, describe, expect, it } from "vitest";
import type { Port } from "../../src/arena/cpu.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { type Kernel, loadKernel } from "../../src/run/kernel-variant.ts";
import { slowdownOf } from "../../src/sync/cpu-speed.ts";

let parallel: Kernel;
beforeAll(async () => {
  parallel = await loadKernel("parallel");
});

/** A clock that goes on by one at each look. */
function countingPort(): Port & { looks: number } {
  const port = { ...soloPort(), looks: 0, nowNs: () => ++port.looks };
  return port;
}

/** How often the clock is looked at while a CPU of this slowdown works; the work itself takes `work` looks. */
function looks(kernel: Kernel, slowdown: number, work: number): number {
  const { words, map } = kernel.bootMachine({ ...kernel.TOY_SHAPE });
  const port = countingPort();
  const cpu = kernel.cpuOf(words, map, 0, port);
  words[cpu.sync + kernel.CpuSync.slowdown] = slowdown;
  const began = kernel.beginWork(cpu);
  port.looks += work;
  kernel.endWork(cpu, began);
  return port.looks - work;
}

describe("a CPU's speed", () => {
  it("is kept as the extra time in thousandths", () => {
    expect([1, 0.5, 0.8, 0.01].map(slowdownOf)).toEqual([0, 1000, 250, 99_000]);
    for (const bad of [0, -1, 1.5, Number.NaN]) expect(() => slowdownOf(bad)).toThrow("slowdownOf: speed");
  });

  it("costs no look at the clock at full speed", () => {
    expect(looks(parallel, 0, 500)).toBe(0);
  });

  it("lets a slowed CPU wait for its share of what it worked", () => {
    const half = looks(parallel, 1000, 500);
    expect(half).toBeGreaterThanOrEqual(500);
    expect(half).toBeLessThan(510);
    const fourFifths = looks(parallel, 250, 500);
    expect(fourFifths).toBeGreaterThanOrEqual(125);
    expect(fourFifths).toBeLessThan(135);
  });

  it("means nothing where the engine owns the clock", async () => {
    expect(looks(await loadKernel("interleaved"), 1000, 500)).toBe(2);
  });
});
