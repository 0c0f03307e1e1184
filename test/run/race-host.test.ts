/** One staged race on the main thread's side: its reset, its roles, and what a trial's figures mean. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BenchContext } from "../../src/run/bench/context.ts";
import { RaceHost, type RaceOptions } from "../../src/run/race-host.ts";
import type { ActorSample } from "../../src/run/samples.ts";

let context: BenchContext;

beforeAll(async () => {
  context = await BenchContext.open("stress", { progress: () => {}, stopped: () => false, modules: [] });
});

afterAll(() => context.close());

function hostOf(options: Partial<RaceOptions> = {}): RaceHost {
  const mappings = [
    { startVpn: 0x1000, pages: 300, flags: context.kernel.VM_WRITE, present: "all" as const },
    { startVpn: 0x2000, pages: 300, flags: context.kernel.VM_WRITE, present: [10, 50] },
  ];
  return new RaceHost(context.kernel, {
    mappings,
    levels: 4,
    frames: "sequential",
    protocol: "v6.1",
    lockGranularity: "table",
    reaper: "mrelease",
    allocators: 0,
    seed: 77,
    traceEvents: 0,
    lockOrder: true,
    ...options,
  });
}

function acquired(actor: ActorSample | undefined, name: string): number {
  return actor?.locks.find((lock) => lock.class === name)?.acquired ?? 0;
}

describe("a host", () => {
  it("builds a machine that fits the victim, and stages it to the start barrier", () => {
    const host = hostOf();
    const { kernel } = context;
    const mm = kernel.elementOf(host.map.mms, 0);
    expect(host.pages).toBe(350);
    expect(host.words[mm + kernel.Mm.rss + kernel.MM_ANONPAGES]).toBe(350);
    expect(host.words[mm + kernel.Mm.mmUsers]).toBe(1);
    expect(host.words[mm + kernel.Mm.mmCount], "the pin of the mrelease caller").toBe(2);
    expect(host.words[kernel.elementOf(host.map.signals, 0) + kernel.Signal.flags]).toBe(kernel.SIGNAL_GROUP_EXIT);
    expect(host.map.shape.cpus).toBe(2);
  });

  it("goes back to the start barrier word for word", () => {
    const host = hostOf();
    const start = host.words.slice();
    host.words.fill(5, 100);
    host.reset();
    expect(host.words.findIndex((word, at) => word !== start[at])).toBe(-1);
  });

  it("is staged again to the same words where no copy was kept", () => {
    const host = hostOf({ frames: "random" });
    const { kernel } = context;
    const start = host.words.slice();
    kernel.rebootMachine(host.words, host.map);
    const cpu = kernel.cpuOf(host.words, host.map, 0, kernel.soloPort());
    kernel.runToEnd(kernel.stageRace(cpu, { ...host.options, exhausted: false }));
    kernel.resetFigures(host.words, host.map);
    expect(host.resetsByCopy).toBe(true);
    expect(host.words.findIndex((word, at) => word !== start[at])).toBe(-1);
  });

  it("past 1 GiB keeps no copy, and builds again only when a kill has used the machine up", async () => {
    // Rings that nobody writes to: large, and never resident.
    const host = hostOf({ traceEvents: 2 ** 25 });
    expect(host.staging.arenaBytes).toBe(host.words.byteLength);
    expect(host.staging.arenaBytes).toBeGreaterThan(2 ** 30);
    expect(host.resetsByCopy).toBe(false);
    host.reset = () => {
      throw new Error("built anew");
    };
    expect((await host.trial(await context.crewFor(host), "forward")).pages).toBe(350);
    await expect(host.trial(await context.crewFor(host), "forward")).rejects.toThrow("built anew");
    await context.letGo();
  });

  it("gives every trial the same start and an account of its own", async () => {
    const host = hostOf();
    const crew = await context.crewFor(host);
    for (let trial = 0; trial < 10; trial++) {
      const { seed, pages, phaseNs, teardownNs, actors } = await host.trial(crew, "forward");
      expect([seed, pages]).toEqual([77, 350]);
      expect(actors.map(({ role }) => role)).toEqual(["victim", "reaper"]);
      expect(actors.reduce((sum, actor) => sum + actor.pages, 0)).toBe(350);
      expect(phaseNs).toBe(Math.max(...actors.map(({ wallNs }) => wallNs)));
      expect(phaseNs).toBeGreaterThan(0);
      // Tables and VMAs are freed after the phase.
      expect(teardownNs).toBeGreaterThan(phaseNs);
      // exit_mm and exit_mmap: read, read, write; nothing of the trials before.
      expect(acquired(actors[0], "mmap_lock")).toBe(3);
      expect(acquired(actors[1], "mmap_lock")).toBe(1);
      expect(acquired(actors[0], "pte_lock")).toBe(2);
    }
  });

  it("without an order leaves the reaper out, and nothing behind for it", async () => {
    for (const reaper of ["mrelease", "kthread", "none"] as const) {
      const host = hostOf({ reaper });
      const { actors, pages } = await host.trial(await context.crewFor(host), null);
      expect(actors.map((actor) => [actor.role, actor.pages])).toEqual([["victim", 350]]);
      expect(pages).toBe(350);
      expect(actors[0]?.stalls).toBeNull();
    }
  });

  it("has allocators beside the race, whose pages are not the race's", async () => {
    const host = hostOf({ allocators: 1 });
    expect(host.map.shape.cpus).toBe(3);
    const { actors, pages } = await host.trial(await context.crewFor(host), "reverse");
    const allocator = actors.find(({ role }) => role === "allocator");
    expect(actors.map(({ role }) => role)).toEqual(["victim", "reaper", "allocator"]);
    expect(pages).toBe(350);
    expect(allocator?.pages).toBeGreaterThan(0);
    expect(allocator?.stalls).not.toBeNull();
  });

  it("has several process_mrelease callers, each with its pin, whether they run or not", async () => {
    const host = hostOf({ reapers: 3, allocators: 1 });
    const { kernel } = context;
    expect(host.words[kernel.elementOf(host.map.mms, 0) + kernel.Mm.mmCount]).toBe(4);
    const crew = await context.crewFor(host);
    const { actors, pages } = await host.trial(crew, "reverse");
    expect(actors.map(({ role }) => role)).toEqual(["victim", "reaper", "reaper", "reaper", "allocator"]);
    expect(pages).toBe(350);
    expect((await host.trial(crew, null)).actors.map(({ role }) => role)).toEqual(["victim", "allocator"]);
  });

  it("slows the CPUs of one side, trial after trial", async () => {
    const host = hostOf({ victimSpeed: 0.5, reaperSpeed: 0.25, reapers: 2 });
    const { kernel } = context;
    for (let trial = 0; trial < 2; trial++) {
      await host.trial(await context.crewFor(host), "reverse");
      const slowdowns = [0, 1, 2].map(
        (id) => host.words[kernel.elementOf(host.map.cpuSync, id) + kernel.CpuSync.slowdown],
      );
      expect(slowdowns).toEqual([1000, 3000, 3000]);
    }
  });

  it("takes turns with others on one crew", async () => {
    const hosts = [hostOf({ protocol: "v4.13", reaper: "kthread" }), hostOf({ protocol: "v6.18", levels: 5 })];
    for (let turn = 0; turn < 4; turn++) {
      const host = hosts[turn % 2] as RaceHost;
      const { pages } = await host.trial(await context.crewFor(host), "reverse");
      expect(pages).toBe(350);
    }
  });
});

describe("what cannot be", () => {
  it("is refused by name", async () => {
    expect(() => hostOf({ protocol: "v0.1" })).toThrow(/protocol "v0.1": expected one of v4.13/);
    const host = hostOf();
    const crew = await context.crewFor(host);
    await expect(host.trial(crew, "sideways")).rejects.toThrow(/order "sideways": expected one of forward/);
    await context.close();
  });
});
