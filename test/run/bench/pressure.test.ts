/** Needless kills on real threads that run freely: v4.13 has them, and no later protocol does (B1). */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROTOCOLS } from "../../../src/oom/protocols/index.ts";
import { BenchContext } from "../../../src/run/bench/context.ts";
import { measurePressure, type PressureRequest } from "../../../src/run/bench/pressure.ts";
import type { RawPressure } from "../../../src/run/bench/record.ts";

const KILLS = 12;
/** A kernel second in a tenth of a real one. */
const TIMER_RATE = 10;
/** I/O of a fifth of a kernel second: the reaper finds the victim between its last mmput and its first freed page. */
const AIO_US = 200_000;

let context: BenchContext;

beforeAll(async () => {
  context = await BenchContext.open("stress", { progress: () => {}, stopped: () => false, modules: [] });
  await context.setTimerRate(TIMER_RATE);
});

afterAll(() => context.close());

function request(protocol: string, more: Partial<PressureRequest> = {}): PressureRequest {
  const speeds = { victimSpeed: 1, reaperSpeed: 1, reapers: 1 };
  const actors = { ...speeds, reaper: "kthread", lockGranularity: "table", allocators: 1 } as const;
  return { ...actors, protocol, victims: 4, pages: 1024, kills: KILLS, aioUs: AIO_US, seed: 1, ...more };
}

function measured(result: RawPressure): Extract<RawPressure, { state: "measured" }> {
  if (result.state !== "measured") throw new Error(result.reason);
  return result;
}

describe("needless kills of free-running threads", () => {
  it("come with v4.13, whose reaper hides a victim that it cannot reap", async () => {
    const { kills, needless, rounds } = measured(await measurePressure(context, request("v4.13")));
    expect(needless).toBeGreaterThan(0);
    expect(needless).toBeLessThan(kills);
    expect(rounds).toBeGreaterThan(0);
  });

  const others = PROTOCOLS.filter(({ bugs, brokenOnPurpose }) => !brokenOnPurpose && !bugs.includes("B1"));
  it.each(others.map(({ name }) => name))("do not come with %s", async (protocol) => {
    const { kills, needless, panics, stallsUs } = measured(await measurePressure(context, request(protocol)));
    expect([needless, panics]).toEqual([0, 0]);
    expect(kills).toBeGreaterThanOrEqual(KILLS);
    expect(stallsUs.length).toBeGreaterThan(0);
  });
});

it("says what was measured", async () => {
  const { setup } = await measurePressure(context, request("v6.18", { kills: 1, allocators: 3, aioUs: 0 }));
  expect(setup).toMatchObject({ order: "reverse", victims: 4, pages: 1024, allocators: 3, actors: 5, aioUs: 0 });
});
