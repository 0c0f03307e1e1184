/** New processes and threads, and what a kill meets while they are made. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { EAGAIN, EINTR, EINVAL, ENOMEM } from "../../src/base/errno.ts";
import { putPageChain, takeAllPages } from "../../src/machine/page-chain.ts";
import type { MachineShape } from "../../src/machine/shape.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { Frame, frameAddress } from "../../src/mm/page.ts";
import { putPage } from "../../src/mm/page-alloc.ts";
import { putUser } from "../../src/mm/user-fault.ts";
import { CpuSync, SIGKILL_BIT } from "../../src/sync/cpu-sync.ts";
import { CLONE_THREAD, CLONE_VFORK, CLONE_VM, copyProcess, inVfork, waitForVforkDone } from "../../src/task/fork.ts";
import { cpuIdle, wakeUpNewTask } from "../../src/task/idle.ts";
import { Signal } from "../../src/task/signal.ts";
import { currentTask, killTask, Task } from "../../src/task/task.ts";
import { getTaskStruct, putTaskStruct, releaseTask } from "../../src/task/tasklist.ts";
import { TOY_MAPPINGS, TOY_PAGES } from "../helpers/race.ts";
import { burstScheduler, OomLab, type Process } from "../oom/lab.ts";
import { exitCurrent, peek, poke, release, shareRunning } from "./lab.ts";

function machine(shape: Partial<MachineShape> = {}): { lab: OomLab; first: Process } {
  const lab = new OomLab({ protocol: "v6.1", cpus: 3, ...shape });
  return { lab, first: lab.spawn(0) };
}

/** Forks on CPU 0, runs the child on CPU 1; returns its address. */
function forked(lab: OomLab, flags: number): number {
  const child = lab.alone(0, (cpu) => copyProcess(cpu, flags));
  expect(child).toBeGreaterThan(0);
  lab.alone(0, (cpu) => wakeUpNewTask(cpu, child, 1));
  expect(lab.alone(1, cpuIdle)).toBe(child);
  return child;
}

describe("copy_process", () => {
  it("gives a child its own copy of the pages at the first write, on either side", () => {
    const { lab, first } = machine();
    poke(lab, 0, first.mm, { 16: 5, 17: 6 });
    const child = forked(lab, 0);
    const mm = lab.word(child + Task.mm);
    expect([mm === first.mm, lab.rss(mm)]).toEqual([false, TOY_PAGES]);
    poke(lab, 0, first.mm, { 16: 50 });
    poke(lab, 1, mm, { 17: 60 });
    const seen = [first.mm, mm].map((of, cpu) => [0x10, 0x11].map((vpn) => peek(lab, cpu, of, vpn)));
    expect(seen).toEqual([
      [50, 6],
      [5, 60],
    ]);
    lab.alone(0, exitCurrent);
    lab.alone(1, exitCurrent);
    release(lab, child);
    expect(lab.broken()).toEqual([]);
  });

  it.each(["mm", "table", "pte"] as const)("copies while the process's other user writes (%s lock)", (granularity) => {
    const lab = new OomLab({ protocol: "v6.1", cpus: 3, lockGranularity: granularity });
    const first = lab.spawn(0, TOY_MAPPINGS.slice(0, 2));
    shareRunning(lab, 1, first);
    lab.keep();
    const write = function* (cpu: Cpu): Steps<void> {
      for (let value = 1; value <= 4; value++) yield* putUser(cpu, first.mm, 0x10, value);
    };
    const copies = new Set<number | undefined>();
    for (let seed = 1; seed <= 1000; seed++) {
      const [child] = lab.finish([(cpu) => copyProcess(cpu, 0), write], burstScheduler(seed));
      lab.alone(0, (cpu) => wakeUpNewTask(cpu, child as number, 2));
      lab.alone(2, cpuIdle);
      expect(peek(lab, 1, first.mm, 0x10), `seed ${seed}`).toBe(4);
      const mm = lab.word((child as number) + Task.mm);
      const copy = peek(lab, 2, mm, 0x10);
      copies.add(copy);
      // Through a translation from before the fork this would reach the child's page.
      poke(lab, 1, first.mm, { 16: 99 });
      expect(peek(lab, 2, mm, 0x10), `seed ${seed}`).toBe(copy);
      for (const id of [0, 1, 2]) lab.alone(id, exitCurrent);
      release(lab, child as number);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
    expect(copies.size).toBeGreaterThan(1);
  });

  it("adds a thread to the process, which leaves by itself", () => {
    const { lab, first } = machine();
    const thread = forked(lab, CLONE_VM | CLONE_THREAD);
    const signal = lab.word(first.task + Task.signal);
    expect([lab.word(thread + Task.signal), lab.word(signal + Signal.nrThreads)]).toEqual([signal, 2]);
    expect(lab.word(first.mm + Mm.mmUsers)).toBe(2);
    lab.alone(1, exitCurrent);
    expect([lab.word(thread + Task.pid), lab.word(thread + Task.usage)]).toEqual([0, 0]);
    lab.alone(0, exitCurrent);
    expect(lab.broken()).toEqual([]);
  });

  it("refuses a thread without the address space, and a task too many", () => {
    const { lab, first } = machine({ tasks: 2 });
    expect(lab.alone(0, (cpu) => copyProcess(cpu, CLONE_THREAD))).toBe(-EINVAL);
    const child = forked(lab, CLONE_VM);
    expect(lab.alone(0, (cpu) => copyProcess(cpu, CLONE_VM))).toBe(-EAGAIN);
    expect(lab.word(first.mm + Mm.mmUsers)).toBe(2);
    lab.alone(1, exitCurrent);
    release(lab, child);
    const again = forked(lab, CLONE_VM);
    expect(again, "its slot is free again").toBe(child);
  });

  it("leaves nothing of a child that there is no memory for", () => {
    for (let free = 0; free < FORK_PAGES; free++) {
      const { lab, first } = machine();
      const hog = lab.alone(0, takeAllPages);
      const rest = lab.alone(0, (cpu) => giveBack(cpu, hog, free));
      expect(
        lab.alone(0, (cpu) => copyProcess(cpu, 0)),
        `${free} free pages`,
      ).toBe(-ENOMEM);
      expect(lab.rss(first.mm)).toBe(TOY_PAGES);
      lab.alone(0, (cpu) => putPageChain(cpu, rest));
      lab.alone(0, exitCurrent);
      expect(lab.broken(), `${free} free pages`).toEqual([]);
    }
  });

  it("and a kill: the child is made and lives, or nothing is left of it", () => {
    const { lab, first } = machine();
    lab.keep();
    const results = new Set<boolean>();
    for (let seed = 1; seed <= 1000; seed++) {
      const kill = (cpu: Cpu): Steps<void> => killTask(cpu, first.task);
      const [child] = lab.finish([(cpu) => copyProcess(cpu, 0), kill], burstScheduler(seed));
      results.add((child as number) > 0);
      if ((child as number) > 0) {
        lab.alone(0, (cpu) => wakeUpNewTask(cpu, child as number, 2));
        lab.alone(2, cpuIdle);
        lab.alone(2, exitCurrent);
        release(lab, child as number);
      } else expect(child).toBe(-EINTR);
      lab.alone(0, exitCurrent);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
    expect(results.size).toBe(2);
  });

  it("and a kill: no thread of the process escapes it", () => {
    const { lab, first } = machine();
    lab.keep();
    for (let seed = 1; seed <= 1000; seed++) {
      const parent = function* (cpu: Cpu): Steps<number> {
        const thread = yield* copyProcess(cpu, CLONE_VM | CLONE_THREAD);
        if (thread > 0) yield* wakeUpNewTask(cpu, thread, 2);
        yield* exitCurrent(cpu);
        return thread;
      };
      const kill = (cpu: Cpu): Steps<void> => killTask(cpu, first.task);
      const [thread] = lab.finish([parent, kill], burstScheduler(seed));
      if ((thread as number) > 0) {
        lab.alone(2, cpuIdle);
        expect(lab.word(lab.sync(2) + CpuSync.signal), `seed ${seed}`).toBe(SIGKILL_BIT);
        lab.alone(2, exitCurrent);
      }
      release(lab, first.task);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });
});

/** Pages of the child's own: its seven page tables. */
const FORK_PAGES = 7;

/** Gives `pages` pages of a chain back; returns what is left of it. */
function* giveBack(cpu: Cpu, chain: number, pages: number): Steps<number> {
  let left = chain;
  for (let i = 0; i < pages; i++) {
    const next = cpu.words[frameAddress(cpu, left) + Frame.data] as number;
    yield* putPage(cpu, left);
    left = next;
  }
  return left;
}

describe("vfork", () => {
  const vfork = function* (cpu: Cpu): Steps<{ child: number; done: boolean }> {
    const child = yield* copyProcess(cpu, CLONE_VM | CLONE_VFORK);
    if (child < 0) return { child, done: false };
    yield* getTaskStruct(cpu, child);
    yield* wakeUpNewTask(cpu, child, 1);
    return { child, done: yield* waitForVforkDone(cpu, child) };
  };
  const child = function* (cpu: Cpu): Steps<boolean> {
    yield* cpuIdle(cpu);
    const borrowed = yield* inVfork(cpu, currentTask(cpu));
    yield* exitCurrent(cpu);
    return borrowed;
  };

  it("the parent goes on once the child has let go of its mm", () => {
    const { lab, first } = machine();
    lab.keep();
    for (let seed = 1; seed <= 1000; seed++) {
      const [made, borrowed] = lab.finish([vfork, child], burstScheduler(seed));
      expect([(made as { done: boolean }).done, borrowed], `seed ${seed}`).toEqual([true, true]);
      release(lab, (made as { child: number }).child);
      lab.alone(0, exitCurrent);
      release(lab, first.task);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });

  it("a killed parent does not wait, and the child's exit completes nothing of it", () => {
    const { lab, first } = machine();
    lab.keep();
    const ends = new Set<boolean>();
    const killer = (cpu: Cpu): Steps<void> => killTask(cpu, first.task);
    const parent = function* (cpu: Cpu): Steps<{ child: number; done: boolean }> {
      const made = yield* vfork(cpu);
      yield* exitCurrent(cpu);
      return made;
    };
    for (let seed = 1; seed <= 1000; seed++) {
      lab.reset();
      const outcome = lab.run([parent, child, killer], burstScheduler(seed));
      // A parent killed before it forked has no child; the CPU that waits for one is then all that is left.
      if (outcome.state !== "finished") continue;
      const made = outcome.results[0] as { child: number; done: boolean };
      if (made.child < 0) continue;
      ends.add(made.done);
      release(lab, made.child);
      release(lab, first.task);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
    expect(ends.size).toBe(2);
  });
});

describe("a task struct", () => {
  it("stays for who holds a reference, and no new task takes its place", () => {
    const { lab } = machine({ tasks: 2 });
    const child = forked(lab, CLONE_VM);
    lab.alone(0, (cpu) => getTaskStruct(cpu, child));
    lab.alone(1, exitCurrent);
    release(lab, child);
    expect(lab.alone(0, (cpu) => copyProcess(cpu, CLONE_VM))).toBe(-EAGAIN);
    lab.alone(0, (cpu) => putTaskStruct(cpu, child));
    expect(lab.alone(0, (cpu) => copyProcess(cpu, CLONE_VM))).toBe(child);
    expect(() => lab.alone(0, (cpu) => releaseTask(cpu, child))).toThrow("releaseTask: the task has not exited");
  });
});
