/** process_mrelease by its errno values: the vectors of tools/testing/selftests/mm/mrelease_test.c and of the manual. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { EAGAIN, EBADF, EINTR, EINVAL, ESRCH, errnoName } from "../../src/base/errno.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { findOrder } from "../../src/machine/roles.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_OOM_SKIP, MMF_UNSTABLE, Mm } from "../../src/mm/mm-struct.ts";
import { mmapWriteLock, mmapWriteUnlock } from "../../src/mm/mmap-lock.ts";
import { mreleaseFind, mreleaseReap, processMrelease } from "../../src/oom/process-mrelease.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { v61 } from "../../src/oom/protocols/v6.1.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { sleepUs } from "../../src/sync/sleep.ts";
import { doExit } from "../../src/task/exit.ts";
import { killTask } from "../../src/task/task.ts";
import { TOY_PAGES } from "../helpers/race.ts";
import { asleep, ended, OomLab, type Process, stagedScheduler } from "./lab.ts";

const forward = findOrder("forward");
/** Slots and CPUs: the child, and who calls. */
const CHILD = 0;
const CALLER = 1;
const WRITER = 2;
/** Runs while the child does not. */
const KILLER = 0;

function machine(protocol = "v6.1", cpus = 3): { lab: OomLab; child: Process } {
  const lab = new OomLab({ protocol, cpus });
  return { lab, child: lab.spawn(CHILD) };
}

function call(lab: OomLab, pidfd: number, flags = 0): number {
  return lab.alone(CALLER, (cpu) => processMrelease(cpu, pidfd, flags, v61, forward));
}

/** The child's exit; every test ends with a machine on which nothing is left. */
function exitChild(lab: OomLab, { task }: Process): void {
  lab.alone(CHILD, (cpu) => doExit(cpu, task));
  expect(lab.broken()).toEqual([]);
}

describe("without a race", () => {
  it("-EBADF for pidfd -1 and for one that is none", () => {
    const { lab, child } = machine();
    expect(call(lab, -1)).toBe(-EBADF);
    expect(call(lab, lab.map.tasks.count)).toBe(-EBADF);
    exitChild(lab, child);
  });

  it("-EINVAL for flags, before it looks at anything else", () => {
    const { lab, child } = machine();
    expect(call(lab, CHILD, 0xffffffff)).toBe(-EINVAL);
    expect(call(lab, -1, 1)).toBe(-EINVAL);
    lab.alone(CALLER, (cpu) => killTask(cpu, child.task));
    expect(call(lab, CHILD, 0xffffffff)).toBe(-EINVAL);
    expect(lab.rss(child.mm)).toBe(TOY_PAGES);
    exitChild(lab, child);
  });

  it("-EINVAL for a live child, which keeps its pages", () => {
    const { lab, child } = machine();
    expect(call(lab, CHILD)).toBe(-EINVAL);
    expect(lab.rss(child.mm)).toBe(TOY_PAGES);
    expect(lab.word(child.mm + Mm.flags)).toBe(0);
    expect(lab.word(child.mm + Mm.mmCount), "mm_count").toBe(1);
    exitChild(lab, child);
  });

  it("0 after SIGKILL: the pages are gone, tables and VMAs are left to the child", () => {
    const { lab, child } = machine();
    lab.alone(CALLER, (cpu) => killTask(cpu, child.task));
    expect(call(lab, CHILD)).toBe(0);
    expect(lab.rss(child.mm)).toBe(0);
    expect(lab.word(child.mm + Mm.mapCount)).toBe(4);
    expect(lab.word(child.mm + Mm.pgtablesBytes)).toBeGreaterThan(0);
    expect(lab.word(child.mm + Mm.flags), "refaults are refused, the OOM killer still waits").toBe(MMF_UNSTABLE);
    expect(lab.word(child.mm + Mm.mmCount), "mm_count").toBe(1);
    expect(call(lab, CHILD), "once more").toBe(0);
    exitChild(lab, child);
  });

  it("-ESRCH once the task has let go of its mm, and for a slot that nobody has", () => {
    const { lab, child } = machine();
    lab.alone(CALLER, (cpu) => killTask(cpu, child.task));
    lab.alone(CHILD, (cpu) => doExit(cpu, child.task));
    expect(call(lab, CHILD)).toBe(-ESRCH);
    expect(call(lab, CALLER)).toBe(-ESRCH);
    expect(lab.broken()).toEqual([]);
  });

  it("0 without touching a page when MMF_OOM_SKIP is set, killed or not", () => {
    const { lab, child } = machine();
    lab.alone(CALLER, (cpu) => setMmFlag(cpu, child.mm, MMF_OOM_SKIP));
    expect(call(lab, CHILD), "not dying").toBe(0);
    lab.alone(CALLER, (cpu) => killTask(cpu, child.task));
    expect(call(lab, CHILD), "dying").toBe(0);
    expect(lab.rss(child.mm)).toBe(TOY_PAGES);
    expect(lab.word(child.mm + Mm.flags)).toBe(MMF_OOM_SKIP);
    expect(lab.word(child.mm + Mm.mmCount), "mm_count").toBe(1);
    exitChild(lab, child);
  });

  it("names every value it may return", () => {
    const values = [0, -ESRCH, -EINTR, -EBADF, -EAGAIN, -EINVAL];
    expect(values.map(errnoName)).toEqual(["0", "-ESRCH", "-EINTR", "-EBADF", "-EAGAIN", "-EINVAL"]);
    expect(values).toEqual([0, -3, -4, -9, -11, -22]);
  });
});

describe.each(PROTOCOLS.map((protocol) => ({ name: protocol.name, protocol })))("$name", ({ name, protocol }) => {
  /** Killed child, pinned by a first half of the call; what is measured is the second half. */
  function pinned(): { lab: OomLab; child: Process } {
    const { lab, child } = machine(name);
    lab.alone(CALLER, (cpu) => killTask(cpu, child.task));
    expect(lab.alone(CALLER, (cpu) => mreleaseFind(cpu, CHILD, 0))).toBe(child.mm);
    lab.keep();
    return { lab, child };
  }

  /** Holds the write lock for a second. */
  function writer(mm: number) {
    return function* (cpu: Cpu): Steps<void> {
      yield* mmapWriteLock(cpu, mm);
      yield* sleepUs(cpu, 1_000_000);
      yield* mmapWriteUnlock(cpu, mm);
    };
  }
  const killer = (cpu: Cpu): Steps<void> => sendSigkill(cpu, CALLER);
  const caller = (mm: number) => (cpu: Cpu) => mreleaseReap(cpu, mm, protocol, forward);

  it("-EINTR when the caller is killed while a writer keeps it from the read lock", () => {
    const { lab, child } = pinned();
    const stages = [
      { cpu: WRITER, until: asleep(WRITER) },
      { cpu: CALLER, until: asleep(CALLER) },
      { cpu: KILLER, until: ended(KILLER) },
      { cpu: CALLER, until: ended(CALLER) },
    ];
    const scheduler = stagedScheduler(stages, randomScheduler(1));
    const results = lab.finish([killer, caller(child.mm), writer(child.mm)], scheduler);
    expect(errnoName(results[CALLER] as number)).toBe("-EINTR");
    expect(lab.rss(child.mm)).toBe(TOY_PAGES);
    expect([lab.word(child.mm + Mm.mmUsers), lab.word(child.mm + Mm.mmCount)], "users, count").toEqual([1, 1]);
    exitChild(lab, child);
  });

  /**
   * -EAGAIN is not among the results: the kernel returns it when a VMA's MMU notifier would have to block, and this
   * machine has no notifiers.
   */
  it("0 or -EINTR, whenever the signal comes, and never -EAGAIN", () => {
    const { lab, child } = pinned();
    const seen = new Set<string>();
    for (let seed = 1; seed <= 250; seed++) {
      const results = lab.finish([killer, caller(child.mm), writer(child.mm)], randomScheduler(seed));
      const errno = errnoName(results[CALLER] as number);
      seen.add(errno);
      expect(lab.rss(child.mm), `seed ${seed}: ${errno}`).toBe(errno === "0" ? 0 : TOY_PAGES);
      exitChild(lab, child);
    }
    expect(seen).toEqual(new Set(["0", "-EINTR"]));
  });
});
