/** Kills on real threads, checked build: every protocol, order and reaper, under each granularity of the PTE lock. */

import { availableParallelism } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Violation } from "../../src/base/errors.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import type { Reaper } from "../../src/machine/race.ts";
import { LOCK_GRANULARITIES } from "../../src/machine/shape.ts";
import { TRAVERSAL_ORDERS } from "../../src/mm/traversal/index.ts";
import { VM_READ, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { BenchContext } from "../../src/run/bench/context.ts";
import { RaceHost, type RaceOptions } from "../../src/run/race-host.ts";
import type { TrialSample } from "../../src/run/samples.ts";

/** Of each protocol, reaper, granularity and order. */
const KILLS = 24;
/** A kernel second in ten real microseconds: the kthread's two seconds are over while the victim still unmaps. */
const TIMER_RATE = 100_000;

const RW = VM_READ | VM_WRITE;
/** Tables that several mappings share, whole ones, sparse ones, and one that reapers must leave alone: 2,600 pages. */
const MAPPINGS: readonly Mapping[] = [
  { startVpn: 0x1000, pages: 40, flags: RW, present: "all" },
  { startVpn: 0x1040, pages: 60, flags: RW, present: "all" },
  { startVpn: 0x1100, pages: 1300, flags: RW, present: "all" },
  { startVpn: 0x1800, pages: 4, flags: RW | VM_SHARED, present: [] },
  { startVpn: 0x2000, pages: 2000, flags: RW, present: [10, 100, 600, 500, 1900, 100] },
  { startVpn: 0x4000, pages: 500, flags: RW, present: "all" },
];

/** Some shut the reaper out of an OOM victim's teardown only: test/schedules holds what a caller of mrelease does there. */
const PAIRS = PROTOCOLS.filter(({ brokenOnPurpose }) => !brokenOnPurpose).flatMap(({ name, mreleaseSafe }) =>
  (["mrelease", "kthread"] as const)
    .filter((reaper) => mreleaseSafe || reaper === "kthread")
    .map((reaper) => ({ name, reaper })),
);

/** One side at a time, for the whole address space; here whoever comes first does it all. */
const TAKE_TURNS: Readonly<Record<string, string>> = {
  "v4.13 mrelease": "mm_users",
  "v4.13 kthread": "mm_users",
  "v4.17 kthread": "oom_lock",
  "v5.17 mrelease": "the write lock",
};

let context: BenchContext;

beforeAll(async () => {
  context = await BenchContext.open("stress", { progress: () => {}, stopped: () => false, modules: [] });
  await context.setTimerRate(TIMER_RATE);
});

afterAll(() => context.close());

function hostOf(protocol: string, reaper: Reaper, more: Partial<RaceOptions> = {}): RaceHost {
  return new RaceHost(context.kernel, {
    mappings: MAPPINGS,
    levels: 4,
    frames: "random",
    protocol,
    lockGranularity: "table",
    reaper,
    allocators: 0,
    seed: 1,
    traceEvents: 0,
    lockOrder: true,
    ...more,
  });
}

/** How many kills only the victim, only the reaper, and both unmapped pages in. */
interface Tally {
  victim: number;
  reaper: number;
  both: number;
}

function note(tally: Tally, { actors }: TrialSample): void {
  const [victim, reaper] = actors.map(({ pages }) => pages > 0);
  if (victim && reaper) tally.both++;
  else if (victim) tally.victim++;
  else tally.reaper++;
}

describe.each(PAIRS)("$name, $reaper", ({ name, reaper }) => {
  it("every page is unmapped once, whoever meets whom, and nothing is left", async () => {
    const tally: Tally = { victim: 0, reaper: 0, both: 0 };
    for (const lockGranularity of LOCK_GRANULARITIES) {
      const host = hostOf(name, reaper, { lockGranularity });
      const crew = await context.crewFor(host);
      for (const order of TRAVERSAL_ORDERS) {
        for (let kill = 1; kill <= KILLS; kill++) {
          const sample = await host.trial(crew, order.name);
          expect(sample.pages, `${order.name}, ${lockGranularity} locks, kill ${kill}`).toBe(host.pages);
          note(tally, sample);
        }
      }
    }
    expect(tally.victim + tally.reaper + tally.both).toBe(3 * TRAVERSAL_ORDERS.length * KILLS);
    const guard = TAKE_TURNS[`${name} ${reaper}`];
    if (guard !== undefined) {
      expect(tally.both, guard).toBe(0);
      expect(tally.victim).toBeGreaterThan(0);
      expect(tally.reaper).toBeGreaterThan(0);
    } else if (availableParallelism() > 1) {
      expect(tally.both, "kills in which both sides unmapped").toBeGreaterThan(0);
    }
  });
});

describe("what breaks on a worker", () => {
  it("arrives as the Violation it is, and the next kill finds new workers", async () => {
    const { kernel } = context;
    const host = hostOf("v6.1", "none");
    const crew = await context.crewFor(host);
    host.reset();
    const mm = kernel.elementOf(host.map.mms, 0);
    host.words[mm + kernel.Mm.rss + kernel.MM_ANONPAGES]! += 3;
    const error = await crew.trial([{ cpu: 0, role: "victim", params: {} }]).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Violation);
    expect(error).toMatchObject({ invariant: "I3", message: "I3: Bad rss-counter state type:MM_ANONPAGES val:3" });
    await context.close();
    host.reset();
    const sample = await host.run(await context.crewFor(host), null);
    expect(sample.pages).toBe(host.pages);
  });

  it("is seen after the trial when no worker noticed", async () => {
    const host = hostOf("v6.1", "none");
    const stays = new RaceHost({ ...context.kernel, findViolations: forgetful }, host.options);
    const crew = await context.crewFor(stays);
    await expect(stays.trial(crew, null)).rejects.toMatchObject({ name: "Violation", invariant: "I3" });

    /** As if somebody had kept a VMA. */
    function forgetful(words: Int32Array, map: typeof host.map): Violation[] {
      words[map.root + context.kernel.MmGlobals.vmas + context.kernel.Slab.freeCount]!--;
      return context.kernel.findViolations(words, map);
    }
  });
});
