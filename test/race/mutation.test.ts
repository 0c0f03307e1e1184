/** What each lock and check is for: without it a race is found, with it the same seeds are clean. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { Violation } from "../../src/base/errors.ts";
import { noStaleTranslation } from "../../src/check/pages.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import type { Scheduler } from "../../src/explore/scheduler.ts";
import { elementOf } from "../../src/machine/memory-map.ts";
import { findOrder } from "../../src/machine/roles.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { userStore } from "../../src/mm/fault.ts";
import { mmput } from "../../src/mm/mm.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { CpuTlb, TLB_ENTRIES, TlbEntry, tlbActivate } from "../../src/mm/tlb.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { mreleaseFind, mreleaseReap } from "../../src/oom/process-mrelease.ts";
import {
  asV61,
  freeBeforeFlush,
  freeUnderReadLock,
  noPendingRule,
  noPteLock,
  skipAfterWait,
  skipAtTheEnd,
  skipWithoutWait,
  staleListHead,
} from "../../src/oom/protocols/mutations.ts";
import type { Protocol } from "../../src/oom/protocols/protocol.ts";
import { v414 } from "../../src/oom/protocols/v4.14.ts";
import { v517 } from "../../src/oom/protocols/v5.17.ts";
import { v61 } from "../../src/oom/protocols/v6.1.ts";
import { oomReapTask } from "../../src/oom/reaper.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { doExit } from "../../src/task/exit.ts";
import { killTask } from "../../src/task/task.ts";
import { putOomMm } from "../../src/task/tasklist.ts";
import { burstScheduler, OomLab, type Process, type Program, twoSwitches } from "../oom/lab.ts";

/** A mutation must be found within this many seeds, and the correct protocol be clean over all of them. */
const SEEDS = 1000;
/** About as many steps as victim and reaper take; the second switch is tried at every STRIDEth. */
const STEPS = [120, 40] as const;
const STRIDE = 10;
const MAPPINGS = [
  { startVpn: 0x10, pages: 2, flags: VM_WRITE, present: "all" as const },
  { startVpn: 0x300, pages: 1, flags: VM_WRITE, present: "all" as const },
];
const forward = findOrder("forward");
/** Stores of the victim's thread. */
const WRITES = 6;

/** A machine at the start barrier, and what its CPUs run. */
interface Setting {
  readonly lab: OomLab;
  readonly programs: readonly Program[];
  readonly afterStep?: () => void;
  /** After the programs: the rest of the victim's life. */
  readonly end: () => void;
}

/** One run: the invariant that broke, "" when none did. A fault of the test or of oomrace is thrown. */
function runOnce({ lab, programs, afterStep, end }: Setting, scheduler: Scheduler): string {
  lab.reset();
  const outcome = lab.run(programs, scheduler, afterStep);
  if (outcome.state === "violation") return outcome.violation.invariant;
  if (outcome.state !== "finished") throw new Error(`${scheduler.name}: ${describeOutcome(outcome)}`);
  end();
  return lab.broken()[0]?.split(":")[0] ?? "";
}

/** SEEDS bursts; and where two CPUs race, every way to switch between them twice. */
function* schedulersFor({ programs }: Setting): Generator<Scheduler> {
  for (let seed = 1; seed <= SEEDS; seed++) yield burstScheduler(seed);
  if (programs.length !== 2) return;
  for (const first of [0, 1] as const) {
    for (let before = 0; before < STEPS[first]; before++) {
      for (let between = STRIDE; between < STEPS[1 - first]!; between += STRIDE) {
        yield twoSwitches(first, before, between);
      }
    }
  }
}

/** The first invariant that a schedule breaks, and the schedule; undefined when all are clean. */
function firstBreak(setting: Setting): { readonly invariant: string; readonly by: string } | undefined {
  for (const scheduler of schedulersFor(setting)) {
    const invariant = runOnce(setting, scheduler);
    if (invariant !== "") return { invariant, by: scheduler.name };
  }
  return undefined;
}

function killed(protocol: Protocol, cpus: number): { lab: OomLab; victim: Process } {
  const base = /^v\d+\.\d+/.exec(protocol.name)![0];
  const lab = new OomLab({ protocol: base, cpus }, protocol.exitMmap);
  const victim = lab.spawn(0, MAPPINGS);
  lab.alone(cpus - 1, (cpu) => killTask(cpu, victim.task));
  lab.words[lab.sync(0)] = 0;
  return { lab, victim };
}

/** The victim exits on CPU 0; on CPU 1 the kthread reaps it. */
function kthreadRace(protocol: Protocol): Setting {
  const { lab, victim } = killed(protocol, 2);
  lab.alone(0, (cpu) => markOomVictim(cpu, victim.task));
  lab.keep();
  return {
    lab,
    programs: [(cpu) => doExit(cpu, victim.task), (cpu) => oomReapTask(cpu, victim.task, protocol, forward)],
    end: () => lab.alone(0, (cpu) => putOomMm(cpu, victim.task)),
  };
}

/** The victim exits on CPU 0; CPU 1 calls process_mrelease. */
function mreleaseRace(protocol: Protocol): Setting {
  const { lab, victim } = killed(protocol, 2);
  lab.alone(1, (cpu) => mreleaseFind(cpu, 0, 0));
  lab.keep();
  return {
    lab,
    programs: [(cpu) => doExit(cpu, victim.task), (cpu) => mreleaseReap(cpu, victim.mm, protocol, forward)],
    end: () => {},
  };
}

/** Whether CPU `id` can still translate any page without walking the tables. */
function translates(lab: OomLab, id: number): boolean {
  const tlb = elementOf(lab.map.cpuMm, id) + CpuMm.tlb;
  const generation = lab.word(tlb + CpuTlb.generation);
  for (let i = 0; i < TLB_ENTRIES; i++) {
    const entry = tlb + CpuTlb.entries + i * TlbEntry.WORDS;
    if (lab.word(entry + TlbEntry.generation) === generation) return true;
  }
  return false;
}

/**
 * CPUs 0 and 1 call process_mrelease. On CPU 2 a thread of the victim, not yet signalled, goes on writing to its pages
 * for a while. What each call promises: when it returns, nobody reaches those pages any more.
 */
function twoCallers(protocol: Protocol): Setting {
  const { lab, victim } = killed(protocol, 3);
  const { mm, task } = victim;
  const THREAD = 2;
  const vpns = MAPPINGS.flatMap(({ startVpn, pages }) => Array.from({ length: pages }, (_, i) => startVpn + i));
  lab.words[mm + Mm.mmUsers]!++;
  lab.alone(THREAD, (cpu) => tlbActivate(cpu, mm));
  for (const vpn of vpns) lab.alone(THREAD, (cpu) => userStore(cpu, mm, vpn, 1));
  for (const caller of [0, 1]) lab.alone(caller, (cpu) => mreleaseFind(cpu, 0, 0));
  lab.keep();
  function* caller(cpu: Cpu): Steps<void> {
    yield* mreleaseReap(cpu, mm, protocol, forward);
    if (translates(lab, THREAD)) throw new Violation("I4", `CPU ${THREAD} still translates reaped pages`);
  }
  function* thread(cpu: Cpu): Steps<void> {
    for (let i = 0; i < WRITES; i++) yield* userStore(cpu, mm, vpns[i % vpns.length] as number, i);
    yield* mmput(cpu, mm);
  }
  return {
    lab,
    programs: [caller, caller, thread],
    afterStep: () => {
      const [stale] = noStaleTranslation.check(lab.words, lab.map);
      if (stale) throw new Violation("I4", stale);
    },
    end: () => lab.alone(0, (cpu) => doExit(cpu, task)),
  };
}

describe("B29: MMF_OOM_SKIP and waiting for a reaper that is in", () => {
  it.each([
    [skipAfterWait, kthreadRace],
    [skipWithoutWait, kthreadRace],
    [freeUnderReadLock, mreleaseRace],
    [freeUnderReadLock, kthreadRace],
  ])("$name is found", (protocol, race) => {
    expect(firstBreak(race(protocol))).toMatchObject({ invariant: "I1" });
  });

  it.each([
    [v414, kthreadRace],
    [v61, mreleaseRace],
    [v61, kthreadRace],
    [skipAtTheEnd, mreleaseRace],
  ])("$name is clean", (protocol, race) => {
    expect(firstBreak(race(protocol))).toBeUndefined();
  });
});

describe("B5: mm->mmap", () => {
  it("left behind, it leads a late caller of process_mrelease to freed VMAs", () => {
    expect(firstBreak(mreleaseRace(staleListHead))).toMatchObject({ invariant: "I1" });
  });

  it("set to NULL it ends that walk before it begins", () => {
    expect(firstBreak(mreleaseRace(v517))).toBeUndefined();
  });
});

describe("B30: the PTE lock", () => {
  it("without it a page is unmapped twice", () => {
    expect(firstBreak(mreleaseRace(noPteLock))).toMatchObject({ invariant: "I2" });
  });

  it("with it never", () => {
    expect(firstBreak(mreleaseRace(asV61))).toBeUndefined();
  });
});

describe("B31 and B6: the TLB", () => {
  it("a page that is freed before the flush is still written to", () => {
    expect(firstBreak(twoCallers(freeBeforeFlush))).toMatchObject({ invariant: "I4" });
  });

  it("without the rule of the pending flush a caller returns while pages that it found unmapped are still written to", () => {
    expect(firstBreak(twoCallers(noPendingRule))).toMatchObject({ invariant: "I4" });
  });

  it.each([v61, asV61])("$name is clean", (protocol) => {
    expect(firstBreak(twoCallers(protocol))).toBeUndefined();
  });
});
