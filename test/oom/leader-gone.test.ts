/** A process whose first thread has left its mm, while another one is still in it. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import { findProtocol } from "../../src/machine/roles.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { INELIGIBLE, oomBadness } from "../../src/oom/badness.ts";
import { KILLER_V5_9 } from "../../src/oom/killer-rules.ts";
import { oomControl, outOfMemory, sysrqOomKill } from "../../src/oom/out-of-memory.ts";
import { mreleaseFind } from "../../src/oom/process-mrelease.ts";
import { fatalSignalPending } from "../../src/sync/park.ts";
import { Signal } from "../../src/task/signal.ts";
import { findLockTaskMm, findLockThread, killTask, Task, taskUnlock } from "../../src/task/task.ts";
import { addThread, exitCurrent } from "../task/lab.ts";
import { burstScheduler, OomLab } from "./lab.ts";
import { sleepsUntilKilled } from "./shortage.ts";

const LEADER = 0;
const THREAD = 1;
const KILLER = 2;
const VICTIM = 3;

/** Killed, its first thread gone. */
function halfGone() {
  const lab = new OomLab({ protocol: "v6.1", cpus: 3, oomKiller: true });
  const leader = lab.spawn(LEADER, [{ startVpn: 0x10, pages: 9, flags: VM_WRITE, present: "all" }]);
  const thread = addThread(lab, THREAD, leader);
  lab.alone(KILLER, (cpu) => killTask(cpu, leader.task));
  lab.alone(LEADER, exitCurrent);
  return { lab, leader, thread };
}

describe("find_lock_task_mm", () => {
  it("finds the other thread, with its lock, where the first has no mm of its own any more", () => {
    const { lab, leader, thread } = halfGone();
    expect(lab.alone(KILLER, (cpu) => findLockTaskMm(cpu, leader.task))).toBe(0);
    const found = lab.alone(KILLER, function* (cpu): Steps<number> {
      const locked = yield* findLockThread(cpu, leader.task);
      yield* taskUnlock(cpu, locked);
      return locked;
    });
    expect(found).toBe(thread.task);
  });

  it("finds nobody once all have left", () => {
    const { lab, leader } = halfGone();
    lab.alone(THREAD, exitCurrent);
    expect(lab.alone(KILLER, (cpu) => findLockThread(cpu, leader.task))).toBe(0);
  });
});

it("still has its points, and process_mrelease its mm", () => {
  const { lab, leader } = halfGone();
  expect(lab.alone(KILLER, (cpu) => oomBadness(cpu, leader.task, 1000, KILLER_V5_9))).toBeGreaterThan(9);
  expect(lab.alone(KILLER, (cpu) => mreleaseFind(cpu, LEADER, 0))).toBe(leader.mm);
  lab.alone(THREAD, exitCurrent);
  expect(lab.alone(KILLER, (cpu) => oomBadness(cpu, leader.task, 1000, KILLER_V5_9))).toBe(INELIGIBLE);
});

it("is helped to die, so that nobody panics while its memory is on its way back", () => {
  const { lab, leader, thread } = halfGone();
  const kill = () => lab.alone(KILLER, (cpu) => outOfMemory(cpu, oomControl(cpu, 0, 0), findProtocol("v6.1")));
  expect(kill()).toBe(true);
  expect(lab.word(lab.word(leader.task + Task.signal) + Signal.oomMm)).toBe(leader.mm);
  expect([leader, thread].map(({ task }) => lab.word(task + Task.tifMemdie))).toEqual([0, 1]);
  expect(kill(), "the scan waits for it").toBe(true);
});

it("dies with the victim whose memory it shares, as sharers do", () => {
  const lab = new OomLab({ protocol: "v6.1", cpus: 4, oomKiller: true });
  const victim = lab.spawn(VICTIM, [{ startVpn: 0x10, pages: 9, flags: VM_WRITE, present: "all" }]);
  const sharer = lab.share(LEADER, victim);
  addThread(lab, THREAD, sharer);
  lab.words[lab.word(victim.task + Task.signal) + Signal.oomScoreAdj] = 500;
  lab.alone(LEADER, exitCurrent);
  expect(lab.word(sharer.task + Task.mm)).toBe(0);
  lab.alone(KILLER, (cpu) => sysrqOomKill(cpu, findProtocol("v6.1")));
  const killed = (slot: number): boolean => lab.alone(slot, fatalSignalPending);
  expect([VICTIM, THREAD].map(killed)).toEqual([true, true]);
});

it("whatever the order in which threads leave and the killer looks, it is never overlooked; 1000 seeds", () => {
  const lab = new OomLab({ protocol: "v6.1", cpus: 3, oomKiller: true });
  const leader = lab.spawn(LEADER, [{ startVpn: 0x10, pages: 9, flags: VM_WRITE, present: "all" }]);
  addThread(lab, THREAD, leader);
  lab.keep();
  function* killsAndLooks(cpu: Cpu): Steps<void> {
    yield* killTask(cpu, leader.task);
    if (lab.rss(leader.mm) > 0) yield* outOfMemory(cpu, oomControl(cpu, 0, 0), findProtocol("v6.1"));
  }
  let panics = 0;
  for (let seed = 1; seed <= 1000; seed++) {
    lab.reset();
    const outcome = lab.run([sleepsUntilKilled, sleepsUntilKilled, killsAndLooks], burstScheduler(seed));
    if (outcome.state === "finished") continue;
    // Once the last thread has let go of the mm there is nobody left, and never before.
    expect(describeOutcome(outcome)).toContain("deadlocked on memory");
    const tasks = [LEADER, THREAD].map((id) => lab.map.tasks.base + id * lab.map.tasks.struct.WORDS);
    expect(
      tasks.map((task) => lab.word(task + Task.mm)),
      `seed ${seed}`,
    ).toEqual([0, 0]);
    panics++;
  }
  expect(panics).toBeLessThan(1000);
});
