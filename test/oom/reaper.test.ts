/** The kthread: its tries, its delay, and what MMF_OOM_SKIP promises (mm/oom_kill.c: oom_reap_task). */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { POISON } from "../../src/arena/mem.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { findOrder } from "../../src/machine/roles.ts";
import { MMF_OOM_SKIP, MMF_OOM_VICTIM, MMF_UNSTABLE, Mm } from "../../src/mm/mm-struct.ts";
import { mmapWriteLock, mmapWriteUnlock } from "../../src/mm/mmap-lock.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import type { Protocol } from "../../src/oom/protocols/protocol.ts";
import { v413 } from "../../src/oom/protocols/v4.13.ts";
import { MAX_OOM_REAP_RETRIES, oomReapTask, REAP_RETRY_US } from "../../src/oom/reaper.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { sleepUs } from "../../src/sync/sleep.ts";
import { doExit } from "../../src/task/exit.ts";
import { killTask } from "../../src/task/task.ts";
import { putOomMm } from "../../src/task/tasklist.ts";
import { TOY_PAGES } from "../helpers/race.ts";
import {
  asleep,
  ended,
  OomLab,
  type Process,
  type Program,
  patientScheduler,
  type Stage,
  stagedScheduler,
} from "./lab.ts";

const forward = findOrder("forward");
const VICTIM = 0;
const REAPER = 1;
const WRITER = 2;
const SECOND_NS = 1e9;

/** A killed and marked victim, still on its CPU. */
function victimMachine(protocol: string): { lab: OomLab; victim: Process } {
  const lab = new OomLab({ protocol, cpus: 3 });
  const victim = lab.spawn(VICTIM);
  lab.alone(VICTIM, (cpu) => killTask(cpu, victim.task));
  lab.alone(VICTIM, (cpu) => markOomVictim(cpu, victim.task));
  lab.words[lab.sync(VICTIM)] = 0;
  lab.keep();
  return { lab, victim };
}

const reap =
  ({ task }: Process, protocol: Protocol): Program =>
  (cpu) =>
    oomReapTask(cpu, task, protocol, forward);

const exit =
  ({ task }: Process): Program =>
  (cpu) =>
    doExit(cpu, task);

/** Holds mmap_lock for writing, `us` emulated microseconds long. */
const write = ({ mm }: Process, us: number): Program =>
  function* (cpu: Cpu): Steps<void> {
    yield* mmapWriteLock(cpu, mm);
    yield* sleepUs(cpu, us);
    yield* mmapWriteUnlock(cpu, mm);
  };

function* idle(): Steps<void> {}

function isSkipped(lab: OomLab, { mm }: Process): boolean {
  return (lab.word(mm + Mm.flags) & MMF_OOM_SKIP) !== 0;
}

/** The rest of the victim's life; nothing may be left on the machine. */
function bury(lab: OomLab, { task }: Process): void {
  lab.alone(VICTIM, (cpu) => putOomMm(cpu, task));
  expect(lab.broken()).toEqual([]);
}

/** True from the step on in which the OOM killer is told to look elsewhere although pages are still mapped. */
function skippedTooEarly(lab: OomLab, { mm }: Process): boolean {
  return isSkipped(lab, { mm, task: 0 }) && lab.word(mm + Mm.flags) !== POISON && lab.rss(mm) > 0;
}

describe.each(PROTOCOLS.map((protocol) => ({ name: protocol.name, protocol })))("$name", ({ name, protocol }) => {
  const { lab, victim } = victimMachine(name);
  const delayNs = protocol.reaperDelayUs * 1000;

  interface Reaped {
    readonly tries: number;
    /** Virtual time when the reaper was done. */
    readonly doneNs: number;
  }

  /** Runs the reaper with others under stages, then in order of time. */
  function reapBeside(victimRuns: Program, writerRuns: Program, stages: readonly Stage[]): Reaped {
    let doneNs = 0;
    function* reaper(cpu: Cpu): Steps<number> {
      const tries = yield* oomReapTask(cpu, victim.task, protocol, forward);
      doneNs = cpu.port.nowNs();
      return tries;
    }
    const scheduler = stagedScheduler(stages, patientScheduler(1));
    const results = lab.finish([victimRuns, reaper, writerRuns], scheduler);
    return { tries: results[REAPER] as number, doneNs };
  }

  function reapAgainstWriter(us: number): Reaped {
    return reapBeside(idle, write(victim, us), [{ cpu: WRITER, until: asleep(WRITER) }]);
  }

  it("tries ten times, HZ/10 apart, then gives up after a second and sets MMF_OOM_SKIP", () => {
    expect(reapAgainstWriter(60_000_000)).toEqual({ tries: 10, doneNs: delayNs + 1.0 * SECOND_NS });
    expect(isSkipped(lab, victim)).toBe(true);
    expect(lab.rss(victim.mm)).toBe(TOY_PAGES);
    lab.alone(VICTIM, exit(victim));
    bury(lab, victim);
  });

  it.each([1, 2, 5, 9])("gets through after %i failed tries", (failures) => {
    const released = delayNs / 1000 + failures * REAP_RETRY_US;
    expect(reapAgainstWriter(released - 1)).toEqual({ tries: failures + 1, doneNs: released * 1000 });
    expect(lab.rss(victim.mm)).toBe(0);
    expect(lab.word(victim.mm + Mm.flags)).toBe(MMF_OOM_SKIP | MMF_UNSTABLE | MMF_OOM_VICTIM);
    lab.alone(VICTIM, exit(victim));
    bury(lab, victim);
  });

  it(`leaves an undisturbed victim alone for ${protocol.reaperDelayUs / 1e6} s, then reaps it at the first try`, () => {
    let before = 0;
    function* watch(cpu: Cpu): Steps<void> {
      if (delayNs > 0) yield* sleepUs(cpu, protocol.reaperDelayUs - 1);
      before = lab.rss(victim.mm);
    }
    expect(reapBeside(idle, watch, [])).toEqual({ tries: 1, doneNs: delayNs });
    expect(before).toBe(TOY_PAGES);
    expect(lab.rss(victim.mm)).toBe(0);
    expect(isSkipped(lab, victim)).toBe(true);
    lab.alone(VICTIM, exit(victim));
    bury(lab, victim);
  });

  it("has nothing to do for a victim that was done before", () => {
    const { tries, doneNs } = reapBeside(exit(victim), idle, [{ cpu: VICTIM, until: ended(VICTIM) }]);
    // Where there is a delay, the timer sees MMF_OOM_SKIP and the kthread is not woken at all.
    expect({ tries, doneNs }).toEqual({ tries: delayNs > 0 ? 0 : 1, doneNs: delayNs });
    bury(lab, victim);
  });
});

it("has its delay of two seconds since v5.18, and none before", () => {
  const delays = PROTOCOLS.map(({ name, reaperDelayUs }) => [name, reaperDelayUs / 1e6]);
  const delayed = delays.filter(([, seconds]) => seconds !== 0);
  expect(delayed).toEqual([
    ["v6.1", 2],
    ["v6.18", 2],
  ]);
});

describe("B1, the second victim that v4.13 killed too early", () => {
  const SEEDS = 1000;

  /** Seeds in which MMF_OOM_SKIP was seen although pages were still mapped and the reaper had not given up. */
  function earlySkips(name: string, protocol: Protocol): number {
    const { lab, victim } = victimMachine(name);
    let early = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      let seen = false;
      const look = (): void => {
        seen ||= skippedTooEarly(lab, victim);
      };
      const results = lab.finish([exit(victim), reap(victim, protocol)], randomScheduler(seed), look);
      if (seen && (results[REAPER] as number) < MAX_OOM_REAP_RETRIES) early++;
      lab.alone(VICTIM, (cpu) => putOomMm(cpu, victim.task));
    }
    return early;
  }

  it("v4.13 sets MMF_OOM_SKIP over mapped pages in many seeds", () => {
    expect(earlySkips("v4.13", v413)).toBeGreaterThan(SEEDS / 20);
  });

  it.each(PROTOCOLS.filter(({ bugs }) => !bugs.includes("B1")))("$name never does", (protocol) => {
    expect(earlySkips(protocol.name, protocol)).toBe(0);
  });

  it("because the last mmput shuts the reaper out, and it calls that done", () => {
    const { lab, victim } = victimMachine("v4.13");
    const usersGone = (): boolean => lab.word(victim.mm + Mm.mmUsers) === 0;
    const stages = [
      { cpu: VICTIM, until: usersGone },
      { cpu: REAPER, until: ended(REAPER) },
    ];
    let atSkip = -1;
    const look = (): void => {
      if (atSkip < 0 && isSkipped(lab, victim)) atSkip = lab.rss(victim.mm);
    };
    const scheduler = stagedScheduler(stages, randomScheduler(1));
    const results = lab.finish([exit(victim), reap(victim, v413)], scheduler, look);
    expect(results[REAPER], "tries").toBe(1);
    expect(atSkip, "pages still mapped").toBe(TOY_PAGES);
    bury(lab, victim);
  });
});
