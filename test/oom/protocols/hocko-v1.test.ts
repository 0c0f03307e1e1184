/** Hocko's first patch: both sides unmap, only tables and VMAs go under the write lock, in every exit. */

import { expect, it } from "vitest";
import { MMF_OOM_SKIP, MMF_OOM_VICTIM, Mm } from "../../../src/mm/mm-struct.ts";
import { hockoV1 } from "../../../src/oom/protocols/hocko-v1.ts";
import { v413 } from "../../../src/oom/protocols/v4.13.ts";
import { burstScheduler } from "../lab.ts";
import { death, LOCKED_PAGES, REAPER, SEEDS, UNLOCKED_PAGES, VICTIM } from "./lab.ts";

const PAGES = UNLOCKED_PAGES + LOCKED_PAGES;

it.each([
  [hockoV1, true],
  [v413, false],
])("$name: whether both sides unmap in one teardown", (protocol, both) => {
  const { lab, exits, reaps, unmapped, bury } = death(protocol, true);
  let shared = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    lab.finish([exits, reaps], burstScheduler(seed));
    const sides = [unmapped(VICTIM), unmapped(REAPER)] as const;
    expect(sides[0] + sides[1], `seed ${seed}`).toBe(PAGES);
    // The locked pages are the victim's in any case.
    if (sides[0] > LOCKED_PAGES && sides[1] > 0) shared++;
    expect(bury(), `seed ${seed}`).toEqual([]);
  }
  expect(shared > SEEDS / 20, `${shared} seeds`).toBe(both);
});

it("the write lock comes when all is unmapped, and no table goes before it", () => {
  const { lab, process, exits, reaps, writeLocked, rss, bury } = death(hockoV1, true);
  const tables = lab.word(process.mm + Mm.pgtablesBytes);
  for (let seed = 1; seed <= SEEDS; seed++) {
    let since = -1;
    const look = (): void => {
      if (since >= 0) return;
      if (writeLocked()) since = rss();
      expect(lab.word(process.mm + Mm.pgtablesBytes), `seed ${seed}`).toBe(tables);
    };
    lab.finish([exits, reaps], burstScheduler(seed), look);
    expect(since, `seed ${seed}: pages mapped when the lock is taken`).toBe(0);
    expect(bury(), `seed ${seed}`).toEqual([]);
  }
});

it("a reaper that comes too late finds mm->mmap NULL and leaves no sign but MMF_OOM_SKIP", () => {
  const { lab, process, exits, reaps, unmapped, bury } = death(hockoV1, true);
  lab.alone(VICTIM, exits);
  expect(lab.word(process.mm + Mm.mmap)).toBe(0);
  expect(lab.alone(REAPER, reaps), "tries").toBe(1);
  expect(lab.word(process.mm + Mm.flags)).toBe(MMF_OOM_SKIP | MMF_OOM_VICTIM);
  expect(unmapped(REAPER)).toBe(0);
  expect(bury()).toEqual([]);
});
