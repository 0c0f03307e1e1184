/** The order in which a task dies (kernel/exit.c: do_exit, exit_mm), as other CPUs can see it. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { mmput } from "../../src/mm/mm.ts";
import { MMF_OOM_SKIP, Mm } from "../../src/mm/mm-struct.ts";
import { mmapWriteLock, mmapWriteUnlock } from "../../src/mm/mmap-lock.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { sleepUs } from "../../src/sync/sleep.ts";
import { doExit } from "../../src/task/exit.ts";
import { currentTask, findLockTaskMm, PF_EXITING, Task, taskUnlock } from "../../src/task/task.ts";
import { putOomMm } from "../../src/task/tasklist.ts";
import { TOY_MAPPINGS, TOY_PAGES } from "../helpers/race.ts";
import { asleep, burstScheduler, OomLab, type Process, recordingScheduler, stagedScheduler } from "../oom/lab.ts";

function oomVictim(protocol: string, cpus = 1): { lab: OomLab; victim: Process } {
  const lab = new OomLab({ protocol, cpus });
  const victim = lab.spawn(0);
  lab.alone(0, (cpu) => markOomVictim(cpu, victim.task));
  lab.keep();
  return { lab, victim };
}

const exit =
  ({ task }: Process) =>
  (cpu: Cpu): Steps<void> =>
    doExit(cpu, task);

const READER = 256;
/** What the shared operations of an exiting CPU 0 mean; the rest is of no interest here. */
const MEANING: Readonly<Record<string, string>> = {
  [`or tasks[0].flags ${PF_EXITING}`]: "PF_EXITING",
  [`add mms[0].mmapLock[0] ${READER}`]: "down_read(mmap_lock)",
  [`add mms[0].mmapLock[0] ${-READER}`]: "up_read(mmap_lock)",
  "cmpxchg mms[0].mmapLock[0] 0": "down_write(mmap_lock)",
  "add mms[0].mmapLock[0] -1": "up_write(mmap_lock)",
  "cmpxchg machine[0].oomLock[0] 0": "mutex_lock(oom_lock)",
  "cmpxchg machine[0].oomLock[0] 8": "mutex_unlock(oom_lock)",
  "add mms[0].mmCount 1": "mmgrab",
  "add mms[0].mmCount -1": "mmdrop",
  "cmpxchg tasks[0].allocLock 0": "task_lock",
  "cmpxchg tasks[0].allocLock 1": "task_unlock",
  "store tasks[0].mm 0": "mm = NULL",
  "add mms[0].mmUsers -1": "mmput",
  "add mms[0].tlbFlushPending 1": "tlb_gather_mmu",
  "add mms[0].tlbFlushPending -1": "tlb_finish_mmu",
  "add mms[0].pgtablesBytes -4096": "free_pgtables",
  [`or mms[0].flags ${MMF_OOM_SKIP}`]: "MMF_OOM_SKIP",
  "store tasks[0].tifMemdie 0": "exit_oom_victim",
};

/** A log of `recordingScheduler` in the kernel's words, repetitions left out. */
function story(log: readonly string[]): string[] {
  const told = log.flatMap((line) => {
    const operation = line.replace("CPU 0 ", "");
    const meaning = /^add mms\[0\]\.rss\[1\] -/.test(operation) ? "unmap_vmas" : MEANING[operation];
    return meaning ? [meaning] : [];
  });
  return told.filter((step, at) => step !== told[at - 1]);
}

const BEFORE_MMPUT = [
  "PF_EXITING",
  "down_read(mmap_lock)",
  "mmgrab",
  "task_lock",
  "mm = NULL",
  "task_unlock",
  "up_read(mmap_lock)",
  "mmput",
];
/** mmput's own reference, TIF_MEMDIE, and then the lazy TLB's reference. */
const AFTER_EXIT_MMAP = ["mmdrop", "exit_oom_victim", "mmdrop"];
const V61 = [
  "down_read(mmap_lock)",
  "tlb_gather_mmu",
  "unmap_vmas",
  "up_read(mmap_lock)",
  "MMF_OOM_SKIP",
  "down_write(mmap_lock)",
  "free_pgtables",
  "tlb_finish_mmu",
  "up_write(mmap_lock)",
];
/** This OOM victim takes the lock in both versions. */
const HOCKO = [
  "tlb_gather_mmu",
  "unmap_vmas",
  "down_write(mmap_lock)",
  "free_pgtables",
  "tlb_finish_mmu",
  "up_write(mmap_lock)",
  "MMF_OOM_SKIP",
];
/** The victim as its own reaper: one gather per VMA. */
const REAP_MYSELF = Array(TOY_MAPPINGS.length).fill(["tlb_gather_mmu", "unmap_vmas", "tlb_finish_mmu"]).flat();
const EXIT_MMAP: Readonly<Record<string, readonly string[]>> = {
  "v4.13": ["tlb_gather_mmu", "unmap_vmas", "free_pgtables", "tlb_finish_mmu", "MMF_OOM_SKIP"],
  "hocko-v1": HOCKO,
  "hocko-v2": HOCKO,
  "v4.14": [
    "tlb_gather_mmu",
    "unmap_vmas",
    "MMF_OOM_SKIP",
    "down_write(mmap_lock)",
    "up_write(mmap_lock)",
    "free_pgtables",
    "tlb_finish_mmu",
  ],
  "v4.17": [
    "mutex_lock(oom_lock)",
    ...REAP_MYSELF,
    "mutex_unlock(oom_lock)",
    "MMF_OOM_SKIP",
    "down_write(mmap_lock)",
    "up_write(mmap_lock)",
    "tlb_gather_mmu",
    "free_pgtables",
    "tlb_finish_mmu",
  ],
  "v5.17": [
    ...REAP_MYSELF,
    "MMF_OOM_SKIP",
    "down_write(mmap_lock)",
    "tlb_gather_mmu",
    "free_pgtables",
    "tlb_finish_mmu",
    "up_write(mmap_lock)",
  ],
  "v6.1": V61,
  "v6.18": V61,
};

describe.each(Object.entries(EXIT_MMAP))("%s", (name, exitMmap) => {
  it("goes through exit_mm, exit_mmap and what follows in the kernel's order", () => {
    const { lab, victim } = oomVictim(name);
    const log: string[] = [];
    lab.finish([exit(victim)], recordingScheduler(lab, randomScheduler(1), log));
    expect(story(log)).toEqual([...BEFORE_MMPUT, ...exitMmap, ...AFTER_EXIT_MMAP]);
    lab.alone(0, (cpu) => putOomMm(cpu, victim.task));
    expect(lab.broken()).toEqual([]);
  });
});

describe("exit_mm", () => {
  it("clears task->mm under task_lock: who holds that lock keeps a live mm", () => {
    const { lab, victim } = oomVictim("v6.1", 2);
    let seen = 0;
    let gone = 0;
    /** As a caller of find_lock_task_mm: while it holds the lock, the mm has a user and all its pages. */
    function* look(cpu: Cpu): Steps<void> {
      const mm = yield* findLockTaskMm(cpu, victim.task);
      if (mm === 0) {
        gone++;
        return;
      }
      seen++;
      yield* sleepUs(cpu, 1);
      expect([lab.word(mm + Mm.mmUsers), lab.rss(mm)]).toEqual([1, TOY_PAGES]);
      yield* taskUnlock(cpu, victim.task);
    }
    for (let seed = 1; seed <= 1000; seed++) {
      lab.finish([exit(victim), look], burstScheduler(seed));
      lab.alone(0, (cpu) => putOomMm(cpu, victim.task));
    }
    expect(Math.min(seen, gone)).toBeGreaterThan(20);
  });

  it("waits for a writer of mmap_lock before it lets go of anything", () => {
    const { lab, victim } = oomVictim("v6.1", 2);
    function* writer(cpu: Cpu): Steps<void> {
      yield* mmapWriteLock(cpu, victim.mm);
      yield* sleepUs(cpu, 1000);
      expect(lab.word(victim.task + Task.mm)).toBe(victim.mm);
      expect(lab.word(victim.mm + Mm.mmUsers)).toBe(1);
      yield* mmapWriteUnlock(cpu, victim.mm);
    }
    const stages = [
      { cpu: 1, until: asleep(1) },
      { cpu: 0, until: asleep(0) },
    ];
    lab.finish([exit(victim), writer], stagedScheduler(stages, randomScheduler(1)));
    expect(lab.word(victim.task + Task.mm)).toBe(0);
  });

  it("leaves the teardown to a user that is left, and TIF_MEMDIE goes all the same (B13's ground)", () => {
    const { lab, victim } = oomVictim("v6.1", 2);
    lab.words[victim.mm + Mm.mmUsers] = 2;
    lab.alone(0, exit(victim));
    expect(lab.word(victim.task + Task.tifMemdie)).toBe(0);
    expect(lab.rss(victim.mm)).toBe(TOY_PAGES);
    lab.alone(1, (cpu) => mmput(cpu, victim.mm));
    lab.alone(0, (cpu) => putOomMm(cpu, victim.task));
    expect(lab.broken()).toEqual([]);
  });

  it("of a task without an mm, as a kthread, touches none", () => {
    const { lab, victim } = oomVictim("v6.1");
    lab.words[victim.task + Task.mm] = 0;
    lab.alone(0, exit(victim));
    expect([lab.word(victim.mm + Mm.mmUsers), lab.rss(victim.mm)]).toEqual([1, TOY_PAGES]);
    expect(lab.alone(0, currentTaskOf)).toBe(0);
  });

  it("is done once per task", () => {
    const { lab, victim } = oomVictim("v6.1");
    lab.alone(0, exit(victim));
    expect(() => lab.alone(0, exit(victim))).toThrow("doExit: the task is exiting already");
  });
});

function* currentTaskOf(cpu: Cpu): Steps<number> {
  return currentTask(cpu);
}
