/** Crowds step by step: every protocol, memory and people of all kinds, all invariants. */

import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { describeOutcome, type Outcome } from "../../src/explore/outcome.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import { BYSTANDER_VPN } from "../../src/machine/crowd-build.ts";
import type { CrowdSetup, CrowdVictim } from "../../src/machine/crowd-setup.ts";
import { putUser } from "../../src/mm/user-fault.ts";
import { VM_LOCKED, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { Signal } from "../../src/task/signal.ts";
import { currentTask, Task } from "../../src/task/task.ts";
import { burstScheduler } from "../oom/lab.ts";
import { CrowdLab } from "./crowd-lab.ts";

/** Of each protocol and crowd: a thousand and more all together. */
const SEEDS = 72;

const MAPPINGS: readonly Mapping[] = [
  { startVpn: 0x1000, pages: 60, flags: VM_WRITE, present: [0, 56] },
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
  accesses: 8,
  dumpUs: 0,
  aioUs: 0,
  oomScoreAdj: 100,
};

const SETUP: CrowdSetup = {
  protocol: "v6.1",
  order: "forward",
  frames: "sequential",
  seed: 1,
  victims: [VICTIM],
  bystander: { pages: 4, sharesFile: true, accesses: 8, children: 1, childAccesses: 4 },
  stuck: 2,
  allocators: [6, 4],
  mreleaseCalls: 0,
};

/** Two victims, with others in their address spaces, one dumping core, one waiting for I/O. */
const VISITED: CrowdSetup = {
  ...SETUP,
  victims: [
    { ...VICTIM, visitors: ["crowdReader", "crowdKthread"], dumpUs: 20_000 },
    { ...VICTIM, forked: false, threads: 0, sharers: 1, aioUs: 300_000 },
  ],
  allocators: [24],
};

const BYSTANDER_CPU = 2;

/** Where the last user of an mm may be no victim, and that is all the worse. */
const losesReaders = (bugs: readonly string[]): boolean => bugs.includes("B3");

/** "I5: ..." of what broke in a run, whether a CPU stopped at it or it was found at the end. */
function faultsOf(lab: CrowdLab, outcome: Outcome): string[] {
  if (outcome.state === "violation") return [outcome.violation.message];
  if (outcome.state !== "finished") throw new Error(describeOutcome(outcome));
  return lab.end();
}

describe.each(PROTOCOLS)("$name", ({ name, bugs, mreleaseSafe }) => {
  const known = bugs.includes("B1") ? /^I5: / : /^$/;

  it("kills whom it may and spares the others, whose memory stays what it was", () => {
    const lab = new CrowdLab({ ...SETUP, protocol: name });
    let kills = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcome = lab.run(burstScheduler(seed));
      const faults = faultsOf(lab, outcome).filter((fault) => !known.test(fault));
      expect(faults, `seed ${seed}`).toEqual([]);
      expect(lab.resultOf(outcome, "crowdBystander")).toMatchObject({ accesses: 8, children: 1 });
      kills += lab.oomKills;
    }
    expect(kills).toBeGreaterThanOrEqual(SEEDS);
  });

  if (losesReaders(bugs)) {
    it("loses a page table under the reaper when a visitor is the last to leave (B3)", () => {
      const lab = new CrowdLab({ ...VISITED, protocol: name });
      for (let seed = 1; seed <= 10 * SEEDS; seed++) {
        const [fault] = faultsOf(lab, lab.run(burstScheduler(seed)));
        if (fault === undefined) continue;
        expect(fault, `seed ${seed}`).toMatch(/^I1: use after free/);
        return;
      }
      expect.fail(`not in ${10 * SEEDS} seeds`);
    });
  } else {
    it("does so with readers, kthreads, sharers, core dumps and callers of process_mrelease about", () => {
      const lab = new CrowdLab({ ...VISITED, protocol: name, mreleaseCalls: mreleaseSafe ? 6 : 0 });
      for (let seed = 1; seed <= SEEDS; seed++) {
        const faults = faultsOf(lab, lab.run(burstScheduler(seed))).filter((fault) => !known.test(fault));
        expect(faults, `seed ${seed}`).toEqual([]);
      }
    });
  }
});

describe("a bystander", () => {
  // No copy may be due at the write below, as there is no memory for one; and nothing else is written.
  const bystander = { ...SETUP.bystander, accesses: 0, children: 0 };
  const lab = new CrowdLab({ ...SETUP, bystander, victims: [{ ...VICTIM, forked: false }] });

  it("says which page does not hold what it wrote", () => {
    const cpu = lab.cpu(BYSTANDER_CPU);
    const outcome = lab.run(burstScheduler(1), () => {
      const mm = lab.words[currentTask(cpu) + Task.mm] as number;
      runToEnd(putUser(cpu, mm, BYSTANDER_VPN + 1, 0));
    });
    expect(describeOutcome(outcome)).toMatch(
      new RegExp(`bystander: process 1002 on CPU 2 reads 0 from page ${BYSTANDER_VPN + 1}, expected \\d+`),
    );
  });

  it("says that it was killed", () => {
    const outcome = lab.run(burstScheduler(1), () => {
      const task = currentTask(lab.cpu(BYSTANDER_CPU));
      lab.words[(lab.words[task + Task.signal] as number) + Signal.oomScoreAdj] = 1000;
    });
    expect(describeOutcome(outcome)).toMatch(/bystander: process 1002 on CPU 2 was killed/);
  });
});
