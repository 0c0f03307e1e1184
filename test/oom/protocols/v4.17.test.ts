/** v4.17: the victim reaps itself, in turns with the reaper, before anything that a reaper must not see (B4). */

import { expect, it } from "vitest";
import type { Cpu, Steps } from "../../../src/arena/cpu.ts";
import { randomScheduler } from "../../../src/explore/schedulers/random.ts";
import { OOM_LOCK, OomGlobals } from "../../../src/oom/globals.ts";
import { munlockFirst } from "../../../src/oom/protocols/mutations.ts";
import { v417 } from "../../../src/oom/protocols/v4.17.ts";
import { mutexLock, mutexUnlock } from "../../../src/sync/mutex.ts";
import { sleepUs } from "../../../src/sync/sleep.ts";
import { asleep, burstScheduler, stagedScheduler } from "../lab.ts";
import { death, LOCKED_PAGES, OTHER, REAPER, SEEDS, UNLOCKED_PAGES, VICTIM } from "./lab.ts";

it("all but the locked pages are unmapped before MMF_OOM_SKIP and the write lock", () => {
  const { lab, exits, reaps, writeLocked, skipped, rss, bury } = death(v417, true);
  for (let seed = 1; seed <= SEEDS; seed++) {
    let atSkip = -1;
    let atLock = -1;
    const look = (): void => {
      if (atSkip < 0 && skipped()) atSkip = rss();
      if (atLock < 0 && writeLocked()) atLock = rss();
    };
    lab.finish([exits, reaps], burstScheduler(seed), look);
    expect([atSkip, atLock], `seed ${seed}`).toEqual([LOCKED_PAGES, LOCKED_PAGES]);
    expect(bury(), `seed ${seed}`).toEqual([]);
  }
});

/** Numbers of pages that the reaper unmapped, over all seeds. */
function reaperShares(protocol: typeof v417): Set<number> {
  const { lab, exits, reaps, unmapped, bury } = death(protocol, true);
  const shares = new Set<number>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    lab.finish([exits, reaps], burstScheduler(seed));
    shares.add(unmapped(REAPER));
    expect(bury(), `seed ${seed}`).toEqual([]);
  }
  return shares;
}

it("under oom_lock the two take turns: the reaper has all that is not locked, or nothing", () => {
  expect(reaperShares(v417)).toEqual(new Set([0, UNLOCKED_PAGES]));
});

it("B4: after an early munlock the reaper no longer passes the locked VMA by", () => {
  expect(reaperShares(munlockFirst)).toContain(UNLOCKED_PAGES + LOCKED_PAGES);
});

it("B15: the victim frees nothing while somebody sleeps under oom_lock", () => {
  const { lab, exits, rss, bury } = death(v417, true);
  let seen = -1;
  function* killer(cpu: Cpu): Steps<void> {
    const oomLock = cpu.machine + OomGlobals.oomLock;
    yield* mutexLock(cpu, oomLock, OOM_LOCK);
    yield* sleepUs(cpu, 4000);
    seen = rss();
    yield* mutexUnlock(cpu, oomLock, OOM_LOCK);
  }
  function* idle(): Steps<void> {}
  const stages = [
    { cpu: OTHER, until: asleep(OTHER) },
    { cpu: VICTIM, until: asleep(VICTIM) },
  ];
  lab.finish([exits, idle, killer], stagedScheduler(stages, randomScheduler(1)));
  expect(seen).toBe(UNLOCKED_PAGES + LOCKED_PAGES);
  expect(bury()).toEqual([]);
});
