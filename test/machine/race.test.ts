/** Setting a race up and reading what it came to. */

import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { cpuOf } from "../../src/machine/boot.ts";
import { readFigures } from "../../src/machine/race.ts";
import { roles } from "../../src/machine/roles.ts";
import { runToy, stageToy, TOY_PAGES } from "../helpers/race.ts";

describe("stageRace", () => {
  it("leaves figures of the race alone: building the victim counts for nothing", () => {
    const { words, map } = stageToy({ protocol: "v6.1", order: "forward", reaper: "mrelease" });
    expect(readFigures(words, map, 0)).toMatchObject({ ptes: 0, tables: 0, leftLastVmaNs: 0, locks: [] });
  });
});

describe("readFigures", () => {
  it("says what a lone victim did", () => {
    const { words, map } = stageToy({ protocol: "v6.1", order: "forward", reaper: "none" });
    runToEnd(roles.victim(cpuOf(words, map, 0, soloPort()), {}));
    const figures = readFigures(words, map, 0);
    expect(figures.ptes).toBe(TOY_PAGES);
    expect(figures.leftLastVmaNs).toBeGreaterThan(0);
    expect(figures.finishedNs).toBeGreaterThanOrEqual(figures.leftLastVmaNs);
    const names = figures.locks.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["mmap_lock", "pte_lock", "alloc_lock"]));
  });

  it("counts a page on the side that unmapped it", () => {
    const race = { protocol: "v6.1", order: "reverse", reaper: "mrelease" } as const;
    const stage = stageToy(race);
    for (let seed = 1; seed <= 50; seed++) {
      expect(runToy(race, stage, seed).state, `seed ${seed}`).toBe("finished");
      const sides = [0, 1].map((id) => readFigures(stage.words, stage.map, id).ptes);
      expect((sides[0] as number) + (sides[1] as number), `seed ${seed}`).toBe(TOY_PAGES);
    }
  });
});
