/** task_will_free_mem and the signals that lead to it (mm/oom_kill.c, v6.18). */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { EINVAL } from "../../src/base/errno.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { findOrder } from "../../src/machine/roles.ts";
import { mmgetNotZero, setMmFlag } from "../../src/mm/mm.ts";
import { MMF_OOM_SKIP, MMF_UNSTABLE } from "../../src/mm/mm-struct.ts";
import { mreleaseFind, processMrelease } from "../../src/oom/process-mrelease.ts";
import { v61 } from "../../src/oom/protocols/v6.1.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { CpuSync, SIGKILL_BIT } from "../../src/sync/cpu-sync.ts";
import { doExit } from "../../src/task/exit.ts";
import { SIGNAL_GROUP_EXIT, Signal } from "../../src/task/signal.ts";
import {
  createTask,
  findLockTaskMm,
  killTask,
  PF_EXITING,
  switchTo,
  Task,
  taskAt,
  taskComm,
  taskUnlock,
  taskWillFreeMem,
  tskIsOomVictim,
} from "../../src/task/task.ts";
import { putOomMm } from "../../src/task/tasklist.ts";
import { OomLab, type Process } from "../oom/lab.ts";

const forward = findOrder("forward");
const CPUS = 4;

function machine(): { lab: OomLab; first: Process } {
  const lab = new OomLab({ protocol: "v6.1", cpus: CPUS });
  return { lab, first: lab.spawn(0) };
}

/** task_will_free_mem as its callers do it: with task_lock held. */
function willFree(lab: OomLab, { task, mm }: Process): boolean {
  return lab.alone(3, function* (cpu): Steps<boolean> {
    const found = yield* findLockTaskMm(cpu, task);
    const answer = yield* taskWillFreeMem(cpu, task, mm);
    if (found !== 0) yield* taskUnlock(cpu, task);
    return answer;
  });
}

function* second(cpu: Cpu): Steps<number> {
  return createTask(cpu, 1, { pid: 8 });
}

const kill = (lab: OomLab, { task }: Process): void => lab.alone(3, (cpu) => killTask(cpu, task));
const exit = (lab: OomLab, cpu: number, { task }: Process): void => lab.alone(cpu, (own) => doExit(own, task));

describe("taskWillFreeMem", () => {
  it("of a process that owns its mm alone: once it is killed or exits", () => {
    const { lab, first } = machine();
    expect(willFree(lab, first)).toBe(false);
    kill(lab, first);
    expect(lab.word(lab.word(first.task + Task.signal) + Signal.flags)).toBe(SIGNAL_GROUP_EXIT);
    expect(willFree(lab, first)).toBe(true);
  });

  it("of a process that exits by itself, without a signal", () => {
    const { lab, first } = machine();
    lab.words[first.task + Task.flags] = PF_EXITING;
    expect(willFree(lab, first)).toBe(true);
  });

  it("not once MMF_OOM_SKIP gave its memory up; MMF_UNSTABLE does not matter", () => {
    const { lab, first } = machine();
    kill(lab, first);
    lab.alone(3, (cpu) => setMmFlag(cpu, first.mm, MMF_UNSTABLE));
    expect(willFree(lab, first)).toBe(true);
    lab.alone(3, (cpu) => setMmFlag(cpu, first.mm, MMF_OOM_SKIP));
    expect(willFree(lab, first)).toBe(false);
  });

  it("not while another process that shares the mm lives on", () => {
    const { lab, first } = machine();
    const second = lab.share(1, first);
    kill(lab, first);
    expect(willFree(lab, first)).toBe(false);
    expect(lab.alone(3, (cpu) => mreleaseFind(cpu, 0, 0))).toBe(-EINVAL);
    kill(lab, second);
    expect(willFree(lab, first)).toBe(true);
    exit(lab, 0, first);
    exit(lab, 1, second);
    expect(lab.broken()).toEqual([]);
  });

  it("asks every sharer, also one that has exited and one behind a stranger", () => {
    const { lab, first } = machine();
    const stranger = lab.spawn(1);
    const third = lab.share(2, first);
    kill(lab, first);
    expect(willFree(lab, first), "the third lives").toBe(false);
    exit(lab, 2, third);
    expect(willFree(lab, first), "the third is gone").toBe(true);
    exit(lab, 0, first);
    exit(lab, 1, stranger);
    expect(lab.broken()).toEqual([]);
  });

  it("is not misled by users of the mm that are no process", () => {
    const { lab, first } = machine();
    lab.alone(3, (cpu) => mmgetNotZero(cpu, first.mm));
    kill(lab, first);
    // B24 left the answer open here.
    expect(willFree(lab, first)).toBe(true);
  });

  it("takes no second task_lock: callers on both of two sharers do not wait for each other", () => {
    const { lab, first } = machine();
    const second = lab.share(1, first);
    kill(lab, first);
    kill(lab, second);
    lab.keep();
    const release = (pidfd: number) => (cpu: Cpu) => processMrelease(cpu, pidfd, 0, v61, forward);
    for (let seed = 1; seed <= 1000; seed++) {
      expect(lab.finish([release(0), release(1)], randomScheduler(seed)), `seed ${seed}`).toEqual([0, 0]);
      exit(lab, 0, first);
      exit(lab, 1, second);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });
});

describe("a task", () => {
  it("gets SIGKILL on the CPU it runs on, and nobody else does", () => {
    const { lab, first } = machine();
    lab.spawn(1);
    kill(lab, first);
    const signals = [0, 1, 2, 3].map((id) => lab.word(lab.sync(id) + CpuSync.signal));
    expect(signals).toEqual([SIGKILL_BIT, 0, 0, 0]);
  });

  it("gets it together with its process's other threads, wherever they run", () => {
    const { lab, first } = machine();
    lab.alone(2, function* (cpu): Steps<void> {
      switchTo(cpu, createTask(cpu, 2, { pid: 1002, mm: first.mm, threadOf: first.task }));
      createTask(cpu, 3, { pid: 1003, mm: first.mm, threadOf: first.task });
    });
    kill(lab, first);
    expect([0, 1, 2, 3].map((id) => lab.word(lab.sync(id) + CpuSync.signal))).toEqual([SIGKILL_BIT, 0, SIGKILL_BIT, 0]);
    expect(lab.word(lab.word(first.task + Task.signal) + Signal.live)).toBe(3);
  });

  it("has a name of at most 15 characters", () => {
    const { lab } = machine();
    const named = (comm: string): string =>
      lab.alone(1, function* (cpu): Steps<string> {
        cpu.words[taskAt(cpu, 1) + Task.pid] = 0;
        return taskComm(cpu.words, createTask(cpu, 1, { pid: 7, comm }));
      });
    expect(["", "sh", "node", "a-very-long-name"].map(named)).toEqual(["", "sh", "node", "a-very-long-nam"]);
    expect(() => lab.alone(1, (cpu) => second(cpu))).toThrow("createTask: slot 1 is in use");
  });

  it("that does not exist cannot be killed", () => {
    const { lab } = machine();
    const nobody = lab.alone(0, function* (cpu): Steps<number> {
      return taskAt(cpu, 2);
    });
    expect(() => lab.alone(0, (cpu) => killTask(cpu, nobody))).toThrow("killTask: no such task");
  });

  it("stays an OOM victim after its mm is gone, until its signal_struct goes", () => {
    const { lab, first } = machine();
    const isVictim = (): boolean => lab.alone(3, (cpu) => tskIsOomVictim(cpu, first.task));
    expect(isVictim()).toBe(false);
    lab.alone(3, (cpu) => markOomVictim(cpu, first.task));
    lab.alone(3, (cpu) => markOomVictim(cpu, first.task));
    exit(lab, 0, first);
    expect(isVictim()).toBe(true);
    lab.alone(3, (cpu) => putOomMm(cpu, first.task));
    expect(isVictim()).toBe(false);
    expect(lab.broken(), "marked twice, pinned once").toEqual([]);
    expect(
      lab.alone(3, (cpu) => tskIsOomVictim(cpu, 0)),
      "no task at all",
    ).toBe(false);
  });

  it("has an mm for find_lock_task_mm until it lets go of it; without one no lock is held", () => {
    const { lab, first } = machine();
    expect(lab.alone(3, (cpu) => findLockTaskMm(cpu, first.task))).toBe(first.mm);
    lab.alone(3, (cpu) => taskUnlock(cpu, first.task));
    exit(lab, 0, first);
    expect(lab.alone(3, (cpu) => findLockTaskMm(cpu, first.task))).toBe(0);
    expect(lab.broken()).toEqual([]);
  });
});
