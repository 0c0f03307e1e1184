/** Crowds step by step: every protocol, all kinds of memory and people, all invariants. */

import { describe, expect, it } from "vitest";
import { describeOutcome } from "../../src/explore/outcome.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import type { CrowdSetup, CrowdVictim } from "../../src/machine/crowd-setup.ts";
import { VM_LOCKED, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { burstScheduler } from "../oom/lab.ts";
import { CrowdLab } from "./crowd-lab.ts";

const SEEDS = Number(process.env.SEEDS ?? 100);

const MAPPINGS: readonly Mapping[] = [
  { startVpn: 0x1000, pages: 150, flags: VM_WRITE, present: [0, 140] },
  { startVpn: 0x1100, pages: 6, flags: VM_WRITE, present: [0, 1], filePages: [1, 4] },
  { startVpn: 0x1200, pages: 6, flags: VM_WRITE, present: [0, 2], swapped: [2, 3] },
  { startVpn: 0x1300, pages: 4, flags: VM_WRITE | VM_LOCKED, present: "all" },
  { startVpn: 0x1400, pages: 4, flags: VM_WRITE | VM_SHARED, present: [], filePages: [0, 2], shmem: true },
];

const VICTIM: CrowdVictim = {
  mappings: MAPPINGS,
  threads: 1,
  sharers: 0,
  visitors: [],
  forked: true,
  accesses: 12,
  dumpUs: 0,
  aioUs: 0,
  oomScoreAdj: 100,
};

const SPARE: CrowdVictim = { ...VICTIM, mappings: MAPPINGS.slice(0, 1), threads: 0, forked: false, oomScoreAdj: 0 };

const SETUP: CrowdSetup = {
  protocol: "v6.1",
  order: "forward",
  frames: "sequential",
  seed: 1,
  victims: [VICTIM, SPARE],
  bystander: { pages: 4, sharesFile: true, accesses: 12, children: 1, childAccesses: 6 },
  allocators: [8, 6],
  mreleaseCalls: 0,
};

describe.each(PROTOCOLS)("$name", ({ name }) => {
  it(`kills and spares as it should (${SEEDS} seeds)`, () => {
    const lab = new CrowdLab({ ...SETUP, protocol: name });
    const kills: Record<number, number> = {};
    let steps = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcome = lab.run(burstScheduler(seed));
      steps += outcome.steps;
      if (describeOutcome(outcome).includes("deadlocked on memory")) {
        kills[99] = (kills[99] ?? 0) + 1;
        continue;
      }
      expect(outcome.state, `seed ${seed}: ${describeOutcome(outcome)}`).toBe("finished");
      kills[lab.oomKills] = (kills[lab.oomKills] ?? 0) + 1;
      expect(lab.end(), `seed ${seed}`).toEqual([]);
    }
    console.log(name, kills, steps / SEEDS);
  });
});
