/** v5.17: one side at a time under the write lock, except that an OOM victim first reaps itself beside the kthread. */

import { expect, it } from "vitest";
import { randomScheduler } from "../../../src/explore/schedulers/random.ts";
import { Mm } from "../../../src/mm/mm-struct.ts";
import { v517 } from "../../../src/oom/protocols/v5.17.ts";
import { MAX_OOM_REAP_RETRIES } from "../../../src/oom/reaper.ts";
import { burstScheduler, ended, stagedScheduler } from "../lab.ts";
import { death, LOCKED_PAGES, REAPER, SEEDS, UNLOCKED_PAGES, VICTIM } from "./lab.ts";

const PAGES = UNLOCKED_PAGES + LOCKED_PAGES;

it("the self-reap shares the pages with the kthread, and leaves only locked ones to the write lock", () => {
  const { lab, exits, reaps, writeLocked, rss, unmapped, bury } = death(v517, true);
  let shared = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    let atLock = -1;
    lab.finish([exits, reaps], burstScheduler(seed), () => {
      if (atLock < 0 && writeLocked()) atLock = rss();
    });
    expect(atLock, `seed ${seed}`).toBe(LOCKED_PAGES);
    expect(unmapped(VICTIM) + unmapped(REAPER), `seed ${seed}`).toBe(PAGES);
    if (unmapped(REAPER) > 0 && unmapped(REAPER) < UNLOCKED_PAGES) shared++;
    expect(bury(), `seed ${seed}`).toEqual([]);
  }
  expect(shared).toBeGreaterThan(SEEDS / 20);
});

it("B23: while the victim holds the write lock the kthread tries ten times, for what it would have passed by", () => {
  const { lab, exits, reaps, writeLocked, skipped, rss, unmapped, bury } = death(v517, true);
  const stages = [
    { cpu: VICTIM, until: writeLocked },
    { cpu: REAPER, until: ended(REAPER) },
  ];
  let atSkip = -1;
  let atGivingUp = -1;
  const reaper = function* (cpu: Parameters<typeof reaps>[0]) {
    const tries = yield* reaps(cpu);
    atGivingUp = rss();
    return tries;
  };
  const look = (): void => {
    if (atSkip < 0 && skipped()) atSkip = rss();
  };
  const results = lab.finish([exits, reaper], stagedScheduler(stages, randomScheduler(1)), look);
  expect(results[REAPER], "tries").toBe(MAX_OOM_REAP_RETRIES);
  expect([atSkip, atGivingUp]).toEqual([LOCKED_PAGES, LOCKED_PAGES]);
  expect(unmapped(REAPER)).toBe(0);
  expect(bury()).toEqual([]);
});

it("process_mrelease of a process that nobody chose has the unlocked pages to itself, or comes too late", () => {
  const { lab, exits, reaps, unmapped } = death(v517, false);
  const shares = new Set<number>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    expect(lab.finish([exits, reaps], burstScheduler(seed))[REAPER], `seed ${seed}`).toBe(0);
    shares.add(unmapped(REAPER));
    expect(unmapped(VICTIM) + unmapped(REAPER), `seed ${seed}`).toBe(PAGES);
    expect(lab.broken(), `seed ${seed}`).toEqual([]);
  }
  expect(shares).toEqual(new Set([0, UNLOCKED_PAGES]));
});

it("process_mrelease after the teardown returns 0: no MMF_OOM_SKIP tells it, but the list is empty", () => {
  const { lab, process, exits, reaps, skipped, unmapped } = death(v517, false);
  lab.alone(VICTIM, exits);
  expect([skipped(), lab.word(process.mm + Mm.mmap)]).toEqual([false, 0]);
  expect(lab.alone(REAPER, reaps)).toBe(0);
  expect(unmapped(REAPER)).toBe(0);
  expect(lab.broken()).toEqual([]);
});
