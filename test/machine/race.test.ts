import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { interleave } from "../../src/explore/engine.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { bootMachine, cpuOf } from "../../src/machine/boot.ts";
import { readFigures, resetFigures, stageRace } from "../../src/machine/race.ts";
import { roles } from "../../src/machine/roles.ts";
import { TOY_SHAPE } from "../../src/machine/shape.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";

const MAPPINGS = [
  { startVpn: 0x10, pages: 4, flags: VM_WRITE, present: "all" as const },
  { startVpn: 0x300, pages: 3, flags: VM_WRITE, present: "all" as const },
  { startVpn: 0x800, pages: 5, flags: VM_WRITE, present: [1, 3] },
];

describe("race", () => {
  it("solo victim", () => {
    const { map, words } = bootMachine(TOY_SHAPE);
    const cpu = cpuOf(words, map, 0, soloPort());
    runToEnd(stageRace(cpu, { protocol: "v6.1", mappings: MAPPINGS, frames: "sequential", seed: 1, reaper: "none" }));
    resetFigures(words, map);
    runToEnd(roles.victim(cpu, {}));
    const figures = readFigures(words, map, 0);
    expect(figures.ptes).toBe(10);
  });

  it("victim and mrelease", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const { map, words } = bootMachine(TOY_SHAPE);
      const boot = cpuOf(words, map, 0, soloPort());
      const { mm } = runToEnd(
        stageRace(boot, { protocol: "v6.1", mappings: MAPPINGS, frames: "sequential", seed: 1, reaper: "mrelease" }),
      );
      resetFigures(words, map);
      const outcome = interleave({
        words,
        programs: [(cpu) => roles.victim(cpu, {}), (cpu) => roles.mrelease(cpu, { mm, protocol: "v6.1", order: "forward" })],
        cpuOf: (id, port) => cpuOf(words, map, id, port),
        scheduler: randomScheduler(seed),
      });
      if (outcome.state !== "finished") throw new Error(`seed ${seed}: ${describeOutcome(outcome)}`);
      expect(readFigures(words, map, 0).ptes + readFigures(words, map, 1).ptes).toBe(10);
    }
  });
});
