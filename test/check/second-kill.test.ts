/** I5: whoever is killed while the victim before is still being torn down. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { INVARIANTS } from "../../src/check/index.ts";
import { noNeedlessKill } from "../../src/check/second-kill.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import { findOrder, findProtocol } from "../../src/machine/roles.ts";
import { HPAGE_PMD_NR } from "../../src/mm/huge-pmd.ts";
import { mlock, munlockVmas } from "../../src/mm/mlock.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_OOM_SKIP, Mm } from "../../src/mm/mm-struct.ts";
import { mmapWriteLock, mmapWriteUnlock } from "../../src/mm/mmap-lock.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { ORDER_SYSRQ } from "../../src/oom/oom-control.ts";
import { oomControl, outOfMemory } from "../../src/oom/out-of-memory.ts";
import { processMrelease } from "../../src/oom/process-mrelease.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { oomReaper } from "../../src/oom/reaper-queue.ts";
import { sleepUs } from "../../src/sync/sleep.ts";
import { Signal } from "../../src/task/signal.ts";
import { Task } from "../../src/task/task.ts";
import { burstScheduler, ended, OomLab, type Process, stagedScheduler } from "../oom/lab.ts";
import { allocatesSix, sleepsUntilKilled, takesAllMemory } from "../oom/shortage.ts";

const SEEDS = 1000;
const VICTIM = 0;
const ALLOCATOR = 1;
const REAPER = 2;
const SPARE = 3;
const PAGES = 40;

function span(pages: number, flags = VM_WRITE): readonly Mapping[] {
  return [{ startVpn: 0x10, pages, flags, present: "all" }];
}

interface Machine {
  readonly lab: OomLab;
  readonly victim: Process;
  readonly spare: Process;
}

/** A large process, a small one that is killed for nothing if at all, an allocator without a process, no free memory. */
function exhausted(protocol: string): Machine {
  const lab = new OomLab({ protocol, cpus: 4, mms: 3, frames: 65, oomKiller: true });
  const victim = lab.spawn(VICTIM, span(PAGES));
  const spare = lab.spawn(SPARE, span(1));
  lab.alone(ALLOCATOR, takesAllMemory);
  lab.keep();
  return { lab, victim, spare };
}

const isVictim = (lab: OomLab, { task }: Process): boolean =>
  lab.word(lab.word(task + Task.signal) + Signal.oomMm) !== 0;

const faults = (lab: OomLab): string[] => noNeedlessKill.check(lab.words, lab.map);

const isBroken = (lab: OomLab): boolean => faults(lab).length > 0;

/** Seeds in which I5 broke, and in which a step-by-step look saw a second victim beside the first one's pages. */
function searchEarlyKills(name: string): { readonly noted: number; readonly seen: number } {
  const { lab, victim, spare } = exhausted(name);
  const protocol = findProtocol(name);
  const forward = findOrder("forward");
  const programs = [
    sleepsUntilKilled,
    allocatesSix,
    (cpu: Cpu): Steps<number> => oomReaper(cpu, protocol, forward),
  ] as const;
  let noted = 0;
  let seen = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    lab.reset();
    let left = -1;
    const look = (): void => {
      if (left < 0 && isVictim(lab, spare)) left = lab.rss(victim.mm);
    };
    const outcome = lab.run(programs, burstScheduler(seed), look);
    // With the spare one gone there may be nobody left to kill.
    const ended = outcome.state === "finished" || describeOutcome(outcome).includes("deadlocked on memory");
    expect(ended, `seed ${seed}: ${describeOutcome(outcome)}`).toBe(true);
    if (left > 0) {
      seen++;
      expect(isBroken(lab), `seed ${seed}: ${left} pages were left, and nothing was noted`).toBe(true);
    }
    if (isBroken(lab)) noted++;
  }
  return { noted, seen };
}

describe(`a second victim while the first has pages to reap (${SEEDS} seeds)`, () => {
  it("v4.13 has it killed (B1)", () => {
    const { noted, seen } = searchEarlyKills("v4.13");
    expect(seen).toBeGreaterThan(SEEDS / 100);
    expect(noted).toBeGreaterThanOrEqual(seen);
  });

  it.each(PROTOCOLS.filter(({ bugs }) => !bugs.includes("B1")))("$name never does", ({ name }) => {
    expect(searchEarlyKills(name)).toEqual({ noted: 0, seen: 0 });
  });
});

describe("what is no early kill", () => {
  const PROTOCOL = "v6.1";

  /** Kills the large process, then `between`, then has another one chosen. */
  function killTwice(between: (machine: Machine) => void, order = 0): Machine {
    const machine = exhausted(PROTOCOL);
    const { lab } = machine;
    const kill = (): boolean =>
      lab.alone(ALLOCATOR, (cpu) => outOfMemory(cpu, oomControl(cpu, order, 0), findProtocol(PROTOCOL)));
    expect(kill()).toBe(true);
    between(machine);
    expect(kill()).toBe(true);
    return machine;
  }

  const giveUp = ({ lab, victim }: Machine): void =>
    lab.alone(REAPER, (cpu) => setMmFlag(cpu, victim.mm, MMF_OOM_SKIP));

  it("is told apart from one that is: MMF_OOM_SKIP without a try", () => {
    const { lab, spare } = killTwice(giveUp);
    expect(isVictim(lab, spare)).toBe(true);
    expect(faults(lab)).toEqual([`process 1003 was chosen while victim 1000 had ${PAGES} pages to reap`]);
    expect(lab.broken()).toContain(`I5: ${faults(lab)[0]}`);
  });

  it.each([
    [9, true],
    [10, false],
  ])("after %i failed tries, broken: %s", (tries, broken) => {
    const { lab } = killTwice((machine) => {
      machine.lab.words[machine.victim.mm + Mm.failedTriesUs] = tries * 100_000;
      giveUp(machine);
    });
    expect(isBroken(lab)).toBe(broken);
  });

  it("a reaper that failed ten times in a row has tried for that second", () => {
    const { lab, victim, spare } = exhausted(PROTOCOL);
    const writer = function* (cpu: Cpu): Steps<void> {
      yield* mmapWriteLock(cpu, victim.mm);
      while (!isVictim(lab, spare)) yield* sleepUs(cpu, 100_000);
      yield* mmapWriteUnlock(cpu, victim.mm);
      yield* sleepsUntilKilled(cpu);
    };
    const reaper = (cpu: Cpu): Steps<number> => oomReaper(cpu, findProtocol(PROTOCOL), findOrder("forward"));
    lab.reset();
    const outcome = lab.run([writer, allocatesSix, reaper, sleepsUntilKilled], burstScheduler(1));
    // Both are given up, and neither has freed enough.
    expect(describeOutcome(outcome)).toContain("deadlocked on memory");
    expect(isVictim(lab, spare)).toBe(true);
    expect(faults(lab)).toEqual([]);
  });

  it("a huge page whose entry is gone is nobody's to reap, though it is not accounted yet", () => {
    const huge: Mapping = {
      startVpn: HPAGE_PMD_NR,
      pages: HPAGE_PMD_NR,
      flags: VM_WRITE,
      present: [],
      huge: [0, HPAGE_PMD_NR],
    };
    const lab = new OomLab({ protocol: PROTOCOL, cpus: 4, mms: 3, frames: 2048, oomKiller: true });
    const victim = lab.spawn(VICTIM, [huge]);
    lab.spawn(SPARE, span(1));
    const kill = (cpu: Cpu): Steps<boolean> => outOfMemory(cpu, oomControl(cpu, 0, 0), findProtocol(PROTOCOL));
    lab.alone(ALLOCATOR, kill);
    const entry = lab.words.findIndex((word, at) => word < 0 && lab.map.tables.base <= at);
    lab.keep();
    lab.reset();
    const skipped = (): boolean => (lab.word(victim.mm + Mm.flags) & MMF_OOM_SKIP) !== 0;
    let left = -1;
    const outcome = lab.run(
      [sleepsUntilKilled, kill, (cpu) => processMrelease(cpu, VICTIM, 0, findProtocol(PROTOCOL), findOrder("forward"))],
      stagedScheduler(
        [
          { cpu: REAPER, until: () => lab.word(entry) === 0 },
          { cpu: VICTIM, until: skipped },
          { cpu: ALLOCATOR, until: ended(ALLOCATOR) },
        ],
        burstScheduler(1),
      ),
      () => {
        if (left < 0 && skipped()) left = lab.rss(victim.mm);
      },
    );
    expect(describeOutcome(outcome)).toMatch(/^finished/);
    expect(left, "rss at MMF_OOM_SKIP").toBe(HPAGE_PMD_NR);
    expect(outcome.state === "finished" && outcome.results[ALLOCATOR]).toBe(true);
    expect(faults(lab)).toEqual([]);
  });

  it("sysrq waits for nobody", () => {
    expect(isBroken(killTwice(giveUp, ORDER_SYSRQ).lab)).toBe(false);
  });

  it("nor what exit_mmap has munlocked since, and unmaps next (v4.17)", () => {
    const { lab } = killTwice((machine) => {
      const { mm } = machine.victim;
      machine.lab.alone(REAPER, (cpu) => mlock(cpu, mm, 0x10, PAGES));
      giveUp(machine);
      machine.lab.alone(REAPER, function* (cpu): Steps<void> {
        munlockVmas(cpu, mm);
      });
    });
    expect(isBroken(lab)).toBe(false);
  });

  it("locked memory is not the reaper's", () => {
    const { lab } = killTwice((machine) => {
      machine.lab.words[machine.victim.mm + Mm.lockedVm] = PAGES;
      giveUp(machine);
    });
    expect(isBroken(lab)).toBe(false);
  });

  it("counts on after the first, which it keeps", () => {
    const lab = new OomLab({ protocol: PROTOCOL, cpus: 4, mms: 3, oomKiller: true });
    const processes = [20, 10, 5].map((pages, slot) => lab.spawn(slot, span(pages)));
    for (const { mm } of processes) {
      lab.alone(3, (cpu) => outOfMemory(cpu, oomControl(cpu, 0, 0), findProtocol(PROTOCOL)));
      lab.alone(3, (cpu) => setMmFlag(cpu, mm, MMF_OOM_SKIP));
    }
    const first = "process 1001 was chosen while victim 1000 had 20 pages to reap";
    expect(faults(lab)).toEqual([`${first} (and 1 more such kills)`]);
  });
});

it("is one of the listed invariants", () => {
  expect(INVARIANTS).toContain(noNeedlessKill);
});
