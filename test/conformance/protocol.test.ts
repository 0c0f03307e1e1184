/** Every listed protocol, in every listed order and with every reaper, over many seeds: all invariants hold. */

import { describe, expect, it } from "vitest";
import { readFigures } from "../../src/machine/race.ts";
import { TRAVERSAL_ORDERS } from "../../src/mm/traversal/index.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { expectCleanRaces, TOY_PAGES, type ToyRace } from "../helpers/race.ts";

const SEEDS = 1000;

for (const { name: protocol, brokenOnPurpose, mreleaseSafe, reaperDelayUs } of PROTOCOLS) {
  if (brokenOnPurpose) continue;
  describe(protocol, () => {
    for (const { name: order } of TRAVERSAL_ORDERS) {
      for (const reaper of ["mrelease", "kthread"] as const) {
        // Where only an OOM victim's teardown shuts reapers out, a caller is known to be unsafe: test/schedules holds that.
        if (reaper === "mrelease" && !mreleaseSafe) continue;
        it(`${order}, ${reaper}: every page is unmapped by exactly one side`, () => {
          const race: ToyRace = { protocol, order, reaper };
          let shared = 0;
          expectCleanRaces(race, SEEDS, ({ words, map }) => {
            const victim = readFigures(words, map, 0).ptes;
            const reaperSide = readFigures(words, map, 1).ptes;
            expect(victim + reaperSide).toBe(TOY_PAGES);
            if (reaperSide > 0) shared++;
          });
          const delayed = reaper === "kthread" && reaperDelayUs > 0;
          if (!delayed) expect(shared, "seeds in which the reaper got pages").toBeGreaterThan(SEEDS / 20);
        });
      }
    }
    for (const lockGranularity of ["mm", "pte"] as const) {
      it(`${lockGranularity} locks`, () => {
        expectCleanRaces({ protocol, order: "reverse", reaper: "kthread", shape: { lockGranularity } }, SEEDS);
      });
    }
    it("breaks for reschedules, random frames", () => {
      expectCleanRaces(
        { protocol, order: "forward", reaper: "kthread", frames: "random", shape: { reschedEvery: 2 } },
        SEEDS,
      );
    });
  });
}
