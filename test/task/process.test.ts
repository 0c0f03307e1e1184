/** Processes of several threads under a kill: dumps, frozen threads, kernel threads, and who else holds the mm. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad } from "../../src/arena/mem.ts";
import { EINVAL } from "../../src/base/errno.ts";
import { findOrder } from "../../src/machine/roles.ts";
import { taskRoles } from "../../src/machine/task-roles.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { v61 } from "../../src/oom/protocols/v6.1.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { freezeTask, thawProcess, thawTask } from "../../src/task/freezer.ts";
import { setOomScoreAdj } from "../../src/task/oom-score-adj.ts";
import { SIGNAL_GROUP_COREDUMP, SIGNAL_GROUP_EXIT, Signal } from "../../src/task/signal.ts";
import {
  createTask,
  findLockTaskMm,
  GLOBAL_INIT_PID,
  killTask,
  PF_KTHREAD,
  switchTo,
  Task,
  TaskGlobals,
  taskUnlock,
  taskWillFreeMem,
} from "../../src/task/task.ts";
import { TOY_PAGES } from "../helpers/race.ts";
import { asleep, burstScheduler, OomLab, type Process, stagedScheduler } from "../oom/lab.ts";
import { addThread, endOom, exitCurrent, touching } from "./lab.ts";

const CPUS = 4;
const forward = findOrder("forward");

/** A process whose threads run on CPU 0, 1, ... */
function newProcess(threads: number): { lab: OomLab; threads: Process[] } {
  const lab = new OomLab({ protocol: "v6.1", cpus: CPUS });
  const leader = lab.spawn(0);
  const others = Array.from({ length: threads - 1 }, (_, i) => addThread(lab, i + 1, leader));
  return { lab, threads: [leader, ...others] };
}

const kill = (task: number) => (cpu: Cpu) => killTask(cpu, task);

/** Kills as the OOM killer does: marked first. */
const oomKill = (task: number) =>
  function* (cpu: Cpu): Steps<void> {
    yield* markOomVictim(cpu, task);
    yield* killTask(cpu, task);
  };

describe("threads that touch memory", () => {
  it("exit when they are killed, with a reaper at work, and the last one tears the mm down", () => {
    const { lab, threads } = newProcess(2);
    const { task, mm } = threads[0] as Process;
    lab.keep();
    const oom = function* (cpu: Cpu): Steps<void> {
      yield* oomKill(task)(cpu);
      yield* v61.oomReapTaskMm(cpu, mm, forward);
    };
    for (let seed = 1; seed <= 1000; seed++) {
      lab.finish([touching(0x10, 3), touching(0x20, 2), oom], burstScheduler(seed));
      endOom(lab, task);
      expect(lab.word(lab.map.root + TaskGlobals.oomVictims)).toBe(0);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });

  it("end the whole process when one of them touches nothing that is mapped", () => {
    const { lab, threads } = newProcess(2);
    lab.keep();
    for (let seed = 1; seed <= 1000; seed++) {
      lab.finish([touching(0x10, 3), touching(0x700, 1)], burstScheduler(seed));
      const signal = lab.word((threads[0] as Process).task + Task.signal);
      expect(lab.word(signal + Signal.live)).toBe(0);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });
});

describe("others who hold the mm", () => {
  it.each(["procReader", "borrowingKthread"] as const)("%s: the teardown may be left to it (B3's ground)", (role) => {
    const { lab, threads } = newProcess(1);
    const { task, mm } = threads[0] as Process;
    if (role === "borrowingKthread") {
      lab.alone(1, function* (cpu): Steps<void> {
        switchTo(cpu, createTask(cpu, 1, { pid: 50, flags: PF_KTHREAD }));
      });
    }
    lab.alone(2, oomKill(task));
    lab.keep();
    const who = new Set<string>();
    for (let seed = 1; seed <= 1000; seed++) {
      const victim = function* (cpu: Cpu): Steps<boolean> {
        yield* exitCurrent(cpu);
        return lab.word(mm + Mm.mmUsers) > 0 || lab.word(lab.map.root + TaskGlobals.oomVictims) === 0;
      };
      const held = (cpu: Cpu): Steps<{ held: number }> => taskRoles[role](cpu, { mm, us: 10 });
      const [gone, result] = lab.finish([victim, held], burstScheduler(seed));
      expect(gone, "TIF_MEMDIE goes with the victim").toBe(true);
      who.add(String((result as { held: number }).held));
      endOom(lab, task);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
    expect([...who].sort()).toEqual(["0", "1"]);
  });
});

describe("exit_aio", () => {
  it("sleeps with mm_users at 0 and all memory still there (B1's ground)", () => {
    const { lab, threads } = newProcess(1);
    const { mm } = threads[0] as Process;
    lab.words[mm + Mm.aioUs] = 5_000;
    lab.keep();
    const look = function* (cpu: Cpu): Steps<number[]> {
      return [yield* atomicLoad(cpu, mm + Mm.mmUsers), lab.rss(mm)];
    };
    const scheduler = stagedScheduler([{ cpu: 0, until: asleep(0) }], burstScheduler(1));
    expect(lab.finish([exitCurrent, look], scheduler)[1]).toEqual([0, TOY_PAGES]);
    expect(lab.broken()).toEqual([]);
  });
});

describe("a core dump", () => {
  it("keeps the other threads, and hides the process from task_will_free_mem, until it is written", () => {
    const { lab, threads } = newProcess(3);
    const [first, second] = threads as [Process, Process];
    lab.keep();
    for (let seed = 1; seed <= 1000; seed++) {
      const dump = (cpu: Cpu): Steps<{ dumped: number }> => taskRoles.dumper(cpu, { us: 2_000 });
      const look = function* (cpu: Cpu): Steps<boolean> {
        const flags = lab.word(lab.word(first.task + Task.signal) + Signal.flags);
        const mm = yield* findLockTaskMm(cpu, first.task);
        const frees = mm === 0 || (yield* taskWillFreeMem(cpu, first.task, mm));
        if (mm !== 0) yield* taskUnlock(cpu, first.task);
        return (flags & SIGNAL_GROUP_COREDUMP) !== 0 && frees;
      };
      const results = lab.finish([dump, touching(0x10, 3), touching(0x20, 2), look], burstScheduler(seed));
      expect((results[0] as { dumped: number }).dumped).toBe(1);
      expect(lab.word(lab.word(second.task + Task.signal) + Signal.flags)).toBe(SIGNAL_GROUP_EXIT);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });

  it("is no reason to free memory, ends with a kill, and is not begun after one", () => {
    const { lab, threads } = newProcess(1);
    const { task, mm } = threads[0] as Process;
    lab.keep();
    const dumps = new Set<number>();
    for (let seed = 1; seed <= 1000; seed++) {
      const dump = (cpu: Cpu): Steps<{ dumped: number }> => taskRoles.dumper(cpu, { us: 1_000_000_000 });
      const [result] = lab.finish([dump, kill(task)], burstScheduler(seed));
      dumps.add((result as { dumped: number }).dumped);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
    expect(dumps.size).toBe(2);
    lab.reset();
    lab.words[lab.word(task + Task.signal) + Signal.flags] = SIGNAL_GROUP_EXIT | SIGNAL_GROUP_COREDUMP;
    expect(lab.alone(2, (cpu) => taskWillFreeMem(cpu, task, mm))).toBe(false);
  });
});

describe("frozen threads", () => {
  const frozen = (): ReturnType<typeof newProcess> => {
    const made = newProcess(2);
    for (const { task } of made.threads) made.lab.alone(3, (cpu) => freezeTask(cpu, task));
    made.lab.keep();
    return made;
  };

  it("hold the mm although they are killed: thawing the victim's thread alone is not enough (B19)", () => {
    const { lab, threads } = frozen();
    const { task, mm } = threads[0] as Process;
    for (let seed = 1; seed <= 1000; seed++) {
      lab.reset();
      const oom = function* (cpu: Cpu): Steps<void> {
        yield* oomKill(task)(cpu);
        yield* thawTask(cpu, task);
      };
      const outcome = lab.run([touching(0x10, 3), touching(0x20, 2), oom], burstScheduler(seed));
      const left = outcome.state === "deadlock" ? 1 : 0;
      expect([outcome.state === "finished" || left === 1, lab.rss(mm) > 0], `seed ${seed}`).toEqual([true, left === 1]);
    }
  });

  it("all exit where the whole process is thawed (v6.18)", () => {
    const { lab, threads } = frozen();
    const { task } = threads[0] as Process;
    for (let seed = 1; seed <= 1000; seed++) {
      const oom = function* (cpu: Cpu): Steps<void> {
        yield* oomKill(task)(cpu);
        yield* thawProcess(cpu, task);
        yield* freezeTask(cpu, task);
      };
      lab.finish([touching(0x10, 3), touching(0x20, 2), oom], burstScheduler(seed));
      endOom(lab, task);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });
});

describe("oom_score_adj", () => {
  it("goes to all that share the mm, but not to kthreads, init, and children in vfork", () => {
    const lab = new OomLab({ protocol: "v6.1", cpus: CPUS, tasks: 6 });
    const first = lab.spawn(0);
    const sharer = lab.share(1, first);
    const stranger = lab.spawn(2);
    const rest = lab.alone(3, function* (cpu): Steps<number[]> {
      const kthread = createTask(cpu, 3, { pid: 50, mm: first.mm, flags: PF_KTHREAD });
      const init = createTask(cpu, 4, { pid: GLOBAL_INIT_PID, mm: first.mm });
      const vfork = createTask(cpu, 5, { pid: 51, mm: first.mm });
      cpu.words[vfork + Task.vforkDone] = first.task + Task.vforkWait;
      return [kthread, init, vfork];
    });
    const set = (adj: number): number => lab.alone(3, (cpu) => setOomScoreAdj(cpu, first.task, adj));
    expect([set(300), set(-1001), set(1001), set(Number.NaN)]).toEqual([0, -EINVAL, -EINVAL, -EINVAL]);
    const adjOf = (task: number): number => lab.word(lab.word(task + Task.signal) + Signal.oomScoreAdj);
    expect([first.task, sharer.task, stranger.task, ...rest].map(adjOf)).toEqual([300, 300, 0, 0, 0, 0]);
  });
});

it("the global init ignores SIGKILL", () => {
  const { lab } = newProcess(1);
  const init = lab.alone(1, function* (cpu): Steps<number> {
    return createTask(cpu, 1, { pid: GLOBAL_INIT_PID });
  });
  const flags = lab.word(init + Task.signal) + Signal.flags;
  const before = lab.word(flags);
  lab.alone(2, kill(init));
  expect([lab.word(flags), before & SIGNAL_GROUP_EXIT]).toEqual([before, 0]);
});
