/** The OOM killer: whom it scores, whom it chooses, in which order it looks, and what becomes of the victim. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import { findOrder, findProtocol } from "../../src/machine/roles.ts";
import { type MachineShape, TOY_SHAPE } from "../../src/machine/shape.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_OOM_REAP_QUEUED, MMF_OOM_SKIP, MMF_OOM_VICTIM, Mm } from "../../src/mm/mm-struct.ts";
import { allocPages, GFP_KERNEL, putPage } from "../../src/mm/page-alloc.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { INELIGIBLE, oomBadness } from "../../src/oom/badness.ts";
import { OomGlobals } from "../../src/oom/globals.ts";
import { KILLER_V4_9, KILLER_V4_19, KILLER_V5_9, type KillerRules } from "../../src/oom/killer-rules.ts";
import { CHOSEN_ABORT, OomControl, ORDER_SYSRQ } from "../../src/oom/oom-control.ts";
import { oomControl, oomKillerDisable, outOfMemory, sysrqOomKill } from "../../src/oom/out-of-memory.ts";
import { oomReaper, queueOomReaper, stopOomReaper } from "../../src/oom/reaper-queue.ts";
import { selectBadProcess } from "../../src/oom/select.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { CpuSync, SIGKILL_BIT } from "../../src/sync/cpu-sync.ts";
import { doExit } from "../../src/task/exit.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../../src/task/signal.ts";
import { PF_KTHREAD, Task, TaskGlobals } from "../../src/task/task.ts";
import { putOomMm, releaseTask } from "../../src/task/tasklist.ts";
import { addThread } from "../task/lab.ts";
import { burstScheduler, OomLab, type Process, patientScheduler } from "./lab.ts";
import { sleepsUntilKilled, takesAllMemory } from "./shortage.ts";

/** Pages of page tables that `span` needs: one per level. */
const TABLES = 4;
const forward = findOrder("forward");

function span(pages: number): readonly Mapping[] {
  return [{ startVpn: 0x10, pages, flags: VM_WRITE, present: "all" }];
}

function killerLab(protocol = "v6.1", shape: Partial<MachineShape> = {}): OomLab {
  return new OomLab({ protocol, cpus: 4, mms: 4, oomKiller: true, ...shape });
}

function signalWord(lab: OomLab, { task }: Process, field: number): number {
  return lab.word(task + Task.signal) + field;
}

function setAdj(lab: OomLab, process: Process, adj: number): void {
  lab.words[signalWord(lab, process, Signal.oomScoreAdj)] = adj;
}

function makeInit(lab: OomLab, process: Process): void {
  lab.words[process.task + Task.pid] = 1;
  lab.words[signalWord(lab, process, Signal.tgid)] = 1;
}

function isVictim(lab: OomLab, process: Process): boolean {
  return lab.word(signalWord(lab, process, Signal.oomMm)) !== 0;
}

function signalled(lab: OomLab, cpu: number): boolean {
  return (lab.word(lab.sync(cpu) + CpuSync.signal) & SIGKILL_BIT) !== 0;
}

/** What the scan chooses: a task, 0 or CHOSEN_ABORT. */
function choose(lab: OomLab, rules: KillerRules, order = 0): number {
  return lab.alone(3, function* (cpu: Cpu): Steps<number> {
    const oc = oomControl(cpu, order, 0);
    yield* selectBadProcess(cpu, oc, rules);
    return lab.word(oc + OomControl.chosen);
  });
}

/** `outOfMemory` as called by CPU 3, which runs no task. */
function kill(lab: OomLab, protocol = "v6.1", order = 0): boolean {
  return lab.alone(3, (cpu) => outOfMemory(cpu, oomControl(cpu, order, 0), findProtocol(protocol)));
}

describe("oomBadness", () => {
  const lab = killerLab();
  const process = lab.spawn(0, span(5));
  lab.keep();
  const badness = (rules: KillerRules, totalpages = 2000): number =>
    lab.alone(3, (cpu) => oomBadness(cpu, process.task, totalpages, rules));

  it("is pages, swap and page tables, moved by oom_score_adj times a thousandth of the domain, rounded down first", () => {
    lab.reset();
    expect(lab.word(process.mm + Mm.pgtablesBytes)).toBe((TABLES - 1) * 4096);
    const own = 5 + TABLES - 1;
    expect(badness(KILLER_V5_9)).toBe(own);
    lab.words[process.mm + Mm.rss + 2] = 7;
    expect(badness(KILLER_V5_9), "swap entries").toBe(own + 7);
    setAdj(lab, process, 3);
    expect(badness(KILLER_V5_9, 2999)).toBe(own + 7 + 3 * 2);
    expect(badness(KILLER_V5_9, 999), "a domain below 1000 pages knows no adj").toBe(own + 7);
    setAdj(lab, process, -500);
    expect(badness(KILLER_V5_9)).toBe(own + 7 - 1000);
    expect([badness(KILLER_V4_9), badness(KILLER_V4_19)], "unsigned").toEqual([1, 1]);
  });

  it.each<[string, (p: Process) => void]>([
    ["oom_score_adj -1000", (p) => setAdj(lab, p, OOM_SCORE_ADJ_MIN)],
    ["MMF_OOM_SKIP", (p) => lab.alone(3, (cpu) => setMmFlag(cpu, p.mm, MMF_OOM_SKIP))],
    ["the global init", (p) => makeInit(lab, p)],
    ["a kthread", (p) => lab.words.fill(PF_KTHREAD, p.task + Task.flags, p.task + Task.flags + 1)],
    ["no mm", (p) => lab.words.fill(0, p.task + Task.mm, p.task + Task.mm + 1)],
  ])("leaves out: %s", (_what, change) => {
    lab.reset();
    change(process);
    expect([KILLER_V4_9, KILLER_V5_9].map((rules) => badness(rules))).toEqual([INELIGIBLE, INELIGIBLE]);
  });
});

describe("selectBadProcess", () => {
  const lab = killerLab();
  const [small, large, twin] = [lab.spawn(0, span(3)), lab.spawn(1, span(9)), lab.spawn(2, span(9))];
  lab.keep();
  const mark = (process: Process): void => lab.alone(3, (cpu) => markOomVictim(cpu, process.task));

  it("of equal points takes the later since v5.9, the earlier before", () => {
    lab.reset();
    expect(choose(lab, KILLER_V5_9)).toBe(twin.task);
    expect(choose(lab, KILLER_V4_19)).toBe(large.task);
    expect(choose(lab, KILLER_V4_9)).toBe(large.task);
  });

  it("waits for a victim without MMF_OOM_SKIP, wherever on the list; sysrq does not", () => {
    for (const victim of [small, twin]) {
      lab.reset();
      mark(victim);
      expect(choose(lab, KILLER_V5_9)).toBe(CHOSEN_ABORT);
    }
    expect(choose(lab, KILLER_V5_9, ORDER_SYSRQ)).toBe(twin.task);
  });

  it("passes over a victim with MMF_OOM_SKIP, and finds nobody when all are", () => {
    lab.reset();
    for (const [victim, next] of [
      [twin, large.task],
      [large, small.task],
      [small, 0],
    ] as const) {
      mark(victim);
      lab.alone(3, (cpu) => setMmFlag(cpu, victim.mm, MMF_OOM_SKIP));
      expect(choose(lab, KILLER_V5_9)).toBe(next);
    }
  });
});

describe("outOfMemory", () => {
  it("kills the worst, marks it before it is queued, and then waits for it", () => {
    const lab = killerLab();
    const [small, large] = [lab.spawn(0, span(3)), lab.spawn(1, span(9))];
    expect(kill(lab)).toBe(true);
    expect([signalled(lab, 0), signalled(lab, 1)]).toEqual([false, true]);
    expect(lab.word(large.mm + Mm.flags)).toBe(MMF_OOM_REAP_QUEUED | MMF_OOM_VICTIM);
    expect(lab.word(lab.map.root + OomGlobals.oomReaperTimers)).toBe(large.task);
    expect(lab.word(lab.map.root + TaskGlobals.oomVictims)).toBe(1);
    expect(kill(lab), "the victim is still there").toBe(true);
    expect(lab.word(lab.map.root + OomGlobals.oomKills)).toBe(1);
    expect(isVictim(lab, small)).toBe(false);
  });

  it("finds a process by its other threads once its first has exited", () => {
    const lab = killerLab();
    const large = lab.spawn(0, span(9));
    const [small, thread] = [lab.spawn(1, span(3)), addThread(lab, 2, large)];
    lab.alone(0, (cpu) => doExit(cpu, large.task));
    expect(lab.word(large.task + Task.mm)).toBe(0);
    expect(kill(lab)).toBe(true);
    expect([isVictim(lab, large), isVictim(lab, small)]).toEqual([true, false]);
    expect([signalled(lab, 1), signalled(lab, 2)]).toEqual([false, true]);
    expect([large, thread].map(({ task }) => lab.word(task + Task.tifMemdie))).toEqual([0, 1]);
    lab.alone(2, (cpu) => doExit(cpu, thread.task));
    expect(lab.word(lab.map.root + TaskGlobals.oomVictims)).toBe(0);
  });

  it("first lets a dying caller go on, and kills nobody", () => {
    const lab = killerLab();
    const [small] = [lab.spawn(0, span(3)), lab.spawn(1, span(9))];
    lab.words[signalWord(lab, small, Signal.flags)] = 0x4;
    expect(lab.alone(0, (cpu) => outOfMemory(cpu, oomControl(cpu, 0, 0), findProtocol("v6.1")))).toBe(true);
    expect(isVictim(lab, small)).toBe(true);
    expect([signalled(lab, 0), signalled(lab, 1)]).toEqual([false, false]);
    expect(lab.word(lab.map.root + OomGlobals.oomKills)).toBe(0);
  });

  it("does nothing while it is disabled, before anything else", () => {
    const lab = killerLab();
    const victim = lab.spawn(0, span(3));
    expect(lab.alone(3, (cpu) => oomKillerDisable(cpu, 1000))).toBe(true);
    expect(kill(lab)).toBe(false);
    expect(isVictim(lab, victim)).toBe(false);
  });

  it("kills the allocating task where oom_kill_allocating_task says so, unless that one is exempt", () => {
    const lab = killerLab("v6.1", { oomKillAllocatingTask: true });
    const [small, large] = [lab.spawn(0, span(3)), lab.spawn(1, span(9))];
    lab.keep();
    const bySmall = (): boolean => lab.alone(0, (cpu) => outOfMemory(cpu, oomControl(cpu, 0, 0), findProtocol("v6.1")));
    expect(bySmall()).toBe(true);
    expect([isVictim(lab, small), isVictim(lab, large)]).toEqual([true, false]);
    lab.reset();
    setAdj(lab, small, OOM_SCORE_ADJ_MIN);
    expect(bySmall()).toBe(true);
    expect([isVictim(lab, small), isVictim(lab, large)]).toEqual([false, true]);
  });

  it("panics when nobody is left or panic_on_oom is set; sysrq never does", () => {
    const empty = killerLab();
    expect(() => kill(empty)).toThrow("System is deadlocked on memory");
    expect(empty.word(empty.map.root + OomGlobals.panicked)).toBe(1);
    expect(empty.alone(3, (cpu) => sysrqOomKill(cpu, findProtocol("v6.1")))).toBe(false);

    const strict = killerLab("v6.1", { panicOnOom: 1 });
    const victim = strict.spawn(0, span(3));
    expect(() => kill(strict)).toThrow("panic_on_oom");
    expect(strict.alone(3, (cpu) => sysrqOomKill(cpu, findProtocol("v6.1")))).toBe(true);
    expect(isVictim(strict, victim)).toBe(true);
  });

  it("kills who shares the mm; with the global init it spares init, hides the mm and does not reap", () => {
    const lab = killerLab();
    const victim = lab.spawn(0, span(9));
    lab.share(1, victim);
    const init = lab.share(2, victim);
    lab.keep();
    kill(lab);
    expect([signalled(lab, 0), signalled(lab, 1), signalled(lab, 2)]).toEqual([true, true, true]);
    lab.reset();
    makeInit(lab, init);
    kill(lab);
    expect([signalled(lab, 0), signalled(lab, 1), signalled(lab, 2)]).toEqual([true, true, false]);
    expect(lab.word(victim.mm + Mm.flags)).toBe(MMF_OOM_SKIP | MMF_OOM_VICTIM);
  });
});

describe("the reaper's queue", () => {
  it.each(["v4.14", "v6.1"])("takes the last victim first, each mm once (%s)", (name) => {
    const protocol = findProtocol(name);
    const lab = killerLab(name);
    const victims = [0, 1, 2].map((slot) => lab.spawn(slot, span(3)));
    for (const { task } of [...victims, ...victims]) {
      lab.alone(3, (cpu) => markOomVictim(cpu, task));
      lab.alone(3, (cpu) => queueOomReaper(cpu, task, protocol));
    }
    lab.alone(3, (cpu) => stopOomReaper(cpu));
    lab.keep();
    const order: number[] = [];
    const look = (): void => {
      victims.forEach(({ mm }, index) => {
        if ((lab.word(mm + Mm.flags) & MMF_OOM_SKIP) !== 0 && !order.includes(index)) order.push(index);
      });
    };
    function* idle(): Steps<void> {}
    const reaper = (cpu: Cpu): Steps<number> => oomReaper(cpu, protocol, forward);
    const results = lab.finish([idle, idle, idle, reaper], burstScheduler(1), look);
    expect(results[3]).toBe(3);
    expect(order).toEqual([2, 1, 0]);
    expect(victims.map(({ mm }) => lab.rss(mm))).toEqual([0, 0, 0]);
  });

  it.each(["v4.14", "v6.1"])("keeps a victim's struct although the process is released meanwhile (%s)", (name) => {
    const SEEDS = 1000;
    const protocol = findProtocol(name);
    const lab = killerLab(name, { cpus: 2 });
    const { task } = lab.spawn(0, span(3));
    lab.alone(1, (cpu) => markOomVictim(cpu, task));
    lab.alone(1, (cpu) => queueOomReaper(cpu, task, protocol));
    lab.alone(1, (cpu) => stopOomReaper(cpu));
    lab.keep();
    const exit = function* (cpu: Cpu): Steps<void> {
      yield* doExit(cpu, task);
      yield* releaseTask(cpu, task);
    };
    const heads = [OomGlobals.oomReaperList, OomGlobals.oomReaperTimers].map((at) => lab.map.root + at);
    let early = 0;
    const ends = new Set<unknown>();
    for (let seed = 1; seed <= SEEDS; seed++) {
      let released = false;
      const look = (): void => {
        released ||= lab.word(task + Task.pid) === 0 && heads.some((head) => lab.word(head) !== 0);
      };
      const results = lab.finish([exit, (cpu) => oomReaper(cpu, protocol, forward)], burstScheduler(seed), look);
      ends.add(results[1]);
      if (released) early++;
      expect(lab.word(task + Task.usage), `seed ${seed}`).toBe(0);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
    expect(early, "seeds in which it was released while queued").toBeGreaterThan(SEEDS / 20);
    // A timer finds a victim that is through by itself, and does not queue it.
    expect([...ends].sort()).toEqual(protocol.reaperDelayUs > 0 ? [0, 1] : [1]);
  });
});

describe.each(["v4.13", "v4.14", "v6.1", "v6.18"])("a parent that allocates beside its child (%s)", (name) => {
  const SEEDS = 1000;
  const CHILD = 0;
  const PARENT = 1;
  const REAPER = 2;
  /** Sleeps all the time; who kills it kills for nothing. */
  const SPARE = 3;
  const WANTED = 6;
  const protocol = findProtocol(name);
  const lab = new OomLab({ protocol: name, cpus: 4, mms: 3, frames: 65, oomKiller: true, tables: TOY_SHAPE.tables });
  const child = lab.spawn(CHILD, span(40));
  const parent = lab.spawn(PARENT, span(2));
  lab.spawn(SPARE, span(1));
  // As LTP protects the process that looks after its children.
  setAdj(lab, parent, OOM_SCORE_ADJ_MIN);
  // A task without a CPU holds what is left.
  lab.alone(REAPER, takesAllMemory);
  lab.keep();

  function* parentAllocates(cpu: Cpu): Steps<number> {
    const pages: number[] = [];
    for (let i = 0; i < WANTED; i++) pages.push(yield* allocPages(cpu, 0, GFP_KERNEL));
    for (const pfn of pages) if (pfn !== 0) yield* putPage(cpu, pfn);
    yield* stopOomReaper(cpu);
    return pages.filter((pfn) => pfn !== 0).length;
  }

  const programs = [
    sleepsUntilKilled,
    parentAllocates,
    (cpu: Cpu): Steps<number> => oomReaper(cpu, protocol, forward),
  ] as const;

  it(`has it killed, lives on and gets its pages (LTP oom01; ${SEEDS} seeds)`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const results = lab.finish(programs, patientScheduler(seed));
      expect(results[PARENT], `seed ${seed}`).toBe(WANTED);
      expect([isVictim(lab, child), isVictim(lab, parent)], `seed ${seed}`).toEqual([true, false]);
      expect(lab.rss(parent.mm), `seed ${seed}`).toBe(2);
      expect(lab.word(child.mm + Mm.mapCount), `seed ${seed}`).toBe(0);
      lab.alone(CHILD, (cpu) => putOomMm(cpu, child.task));
      const victims = lab.broken().filter((fault) => /^I(9|12):/.test(fault));
      expect(victims, `seed ${seed}`).toEqual([]);
    }
  });
});
