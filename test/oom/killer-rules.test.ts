/** What distinguishes the OOM killers of kernel versions: whom they pass over, whom they spare, whom they thaw. */

import { beforeEach, describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicStore, load, store } from "../../src/arena/mem.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import { findProtocol } from "../../src/machine/roles.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_OOM_REAP_QUEUED, MMF_OOM_SKIP, Mm } from "../../src/mm/mm-struct.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { INELIGIBLE, oomBadness } from "../../src/oom/badness.ts";
import * as killers from "../../src/oom/killer-rules.ts";
import { CHOSEN_ABORT, OomControl, ORDER_SYSRQ } from "../../src/oom/oom-control.ts";
import { oomControl, outOfMemory } from "../../src/oom/out-of-memory.ts";
import { selectBadProcess } from "../../src/oom/select.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { CpuSync, SIGKILL_BIT } from "../../src/sync/cpu-sync.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { freezeTask } from "../../src/task/freezer.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../../src/task/signal.ts";
import { PF_KTHREAD, Task } from "../../src/task/task.ts";
import { addThread } from "../task/lab.ts";
import { OomLab, type Process, patientScheduler } from "./lab.ts";

const ERAS = Object.entries(killers).map(([name, rules]) => ({ name, rules }));
const CALLER = 3;

let lab: OomLab;

beforeEach(() => {
  lab = new OomLab({ protocol: "v4.14", cpus: 4, mms: 4, oomKiller: true });
});

function spawn(slot: number, pages: number): Process {
  return lab.spawn(slot, [{ startVpn: 0x10, pages, flags: VM_WRITE, present: "all" }]);
}

function poke(at: number, value: number): void {
  lab.alone(CALLER, function* (cpu: Cpu): Steps<void> {
    store(cpu, at, value);
  });
}

function signalWord({ task }: Process, field: number): number {
  return lab.word(task + Task.signal) + field;
}

function isVictim(process: Process): boolean {
  return lab.word(signalWord(process, Signal.oomMm)) !== 0;
}

function signalled(cpu: number): boolean {
  return (lab.word(lab.sync(cpu) + CpuSync.signal) & SIGKILL_BIT) !== 0;
}

/** Who is chosen: a task, 0 or CHOSEN_ABORT. */
function choose(rules: killers.KillerRules, order = 0): number {
  return lab.alone(CALLER, function* (cpu: Cpu): Steps<number> {
    const oc = oomControl(cpu, order, 0);
    yield* selectBadProcess(cpu, oc, rules);
    return load(cpu, oc + OomControl.chosen);
  });
}

/** `outOfMemory` as called by a CPU, while the others stand still. */
function kill(rules: killers.KillerRules, id = CALLER): boolean {
  const protocol = { ...findProtocol("v4.14"), killer: rules };
  function* idle(): Steps<void> {}
  const call = (cpu: Cpu): Steps<boolean> => outOfMemory(cpu, oomControl(cpu, 0, 0), protocol);
  const outcome = lab.run(
    [0, 1, 2, 3].map((each) => (each === id ? call : idle)),
    patientScheduler(1),
  );
  if (outcome.state !== "finished") throw new Error(describeOutcome(outcome));
  return outcome.results[id] as boolean;
}

/** The eras for which something holds, each tried from the state that there is, which is left as it was. */
function erasWhere(holds: (rules: killers.KillerRules) => boolean): string[] {
  const snapshot = lab.words.slice();
  return ERAS.filter(({ rules }) => {
    const held = holds(rules);
    lab.words.set(snapshot);
    return held;
  }).map(({ name }) => name.slice("KILLER_".length));
}

const ALL = ERAS.map(({ name }) => name.slice("KILLER_".length));
const since = (era: string): string[] => ALL.slice(ALL.indexOf(era));
const until = (era: string): string[] => ALL.slice(0, ALL.indexOf(era));

describe("the scan", () => {
  it("until v4.8 waits for TIF_MEMDIE, since v4.9 for the victim's mm", () => {
    const [victim, other] = [spawn(0, 9), spawn(1, 3)];
    lab.alone(CALLER, (cpu) => markOomVictim(cpu, victim.task));
    expect(erasWhere((rules) => choose(rules) === CHOSEN_ABORT)).toEqual(ALL);
    poke(victim.task + Task.tifMemdie, 0);
    expect(
      erasWhere((rules) => choose(rules) === CHOSEN_ABORT),
      "flag gone, mm left",
    ).toEqual(since("V4_9"));
    expect(
      erasWhere((rules) => choose(rules) === victim.task),
      "chosen again",
    ).toEqual(until("V4_9"));
    poke(victim.task + Task.tifMemdie, 1);
    lab.alone(CALLER, (cpu) => setMmFlag(cpu, victim.mm, MMF_OOM_SKIP));
    expect(
      erasWhere((rules) => choose(rules) === CHOSEN_ABORT),
      "hidden",
    ).toEqual(until("V4_8"));
    expect(erasWhere((rules) => choose(rules) === other.task)).toEqual(since("V4_8"));
    expect(
      erasWhere((rules) => choose(rules, ORDER_SYSRQ) === CHOSEN_ABORT),
      "sysrq",
    ).toEqual([]);
  });

  it("finds TIF_MEMDIE on any thread; a victim that has let go of its mm keeps v4.8 waiting", () => {
    const victim = spawn(0, 9);
    spawn(1, 3);
    const thread = addThread(lab, 2, victim);
    poke(thread.task + Task.tifMemdie, 1);
    expect(erasWhere((rules) => choose(rules) === CHOSEN_ABORT)).toEqual(until("V4_9"));
    lab.alone(CALLER, (cpu) => setMmFlag(cpu, victim.mm, MMF_OOM_SKIP));
    poke(victim.task + Task.mm, 0);
    expect(
      erasWhere((rules) => choose(rules) === CHOSEN_ABORT),
      "one thread has it",
    ).toEqual(until("V4_8"));
    poke(thread.task + Task.mm, 0);
    expect(
      erasWhere((rules) => choose(rules) === CHOSEN_ABORT),
      "none",
    ).toEqual(until("V4_9"));
  });

  it("of equal points takes the later in v4.7, v4.8 and since v5.9", () => {
    spawn(0, 5);
    const later = spawn(1, 5);
    expect(erasWhere((rules) => choose(rules) === later.task)).toEqual(["V4_7", "V4_8", ...since("V5_9")]);
  });

  it("takes who makes memory short on purpose first", () => {
    const [small] = [spawn(0, 1), spawn(1, 9)];
    lab.alone(CALLER, (cpu) => atomicStore(cpu, signalWord(small, Signal.oomFlagOrigin), 1));
    expect(erasWhere((rules) => choose(rules) === small.task)).toEqual(ALL);
  });
});

describe("points", () => {
  const badness = (process: Process, rules: killers.KillerRules): number =>
    lab.alone(CALLER, (cpu) => oomBadness(cpu, process.task, 1000, rules));

  it("none for a hidden mm since v4.7", () => {
    const process = spawn(0, 5);
    lab.alone(CALLER, (cpu) => setMmFlag(cpu, process.mm, MMF_OOM_SKIP));
    expect(erasWhere((rules) => badness(process, rules) === INELIGIBLE)).toEqual(since("V4_7"));
  });

  it("none for a child in vfork since v4.8; one whose parent has another mm is as any", () => {
    const parent = spawn(0, 5);
    const child = lab.share(1, parent);
    poke(child.task + Task.realParent, parent.task);
    poke(child.task + Task.vforkDone, parent.task + Task.vforkWait);
    expect(erasWhere((rules) => badness(child, rules) === INELIGIBLE)).toEqual(since("V4_8"));
    poke(child.task + Task.realParent, spawn(2, 1).task);
    expect(erasWhere((rules) => badness(child, rules) === INELIGIBLE)).toEqual([]);
  });

  it("3 % less for CAP_SYS_ADMIN until v4.16, rounded down, before oom_score_adj counts", () => {
    const process = spawn(0, 97);
    const own = 97 + 3;
    poke(signalWord(process, Signal.oomScoreAdj), 10);
    expect(erasWhere((rules) => badness(process, rules) === own + 10)).toEqual(ALL);
    poke(signalWord(process, Signal.capSysAdmin), 1);
    expect(erasWhere((rules) => badness(process, rules) === own - 3 + 10)).toEqual(until("V4_17"));
    expect(erasWhere((rules) => badness(process, rules) === own + 10)).toEqual(since("V4_17"));
  });
});

describe("a sacrificed child (until v5.0)", () => {
  const [PARENT, SMALL, LARGE] = [0, 1, 2];
  let processes: Process[];

  beforeEach(() => {
    processes = [spawn(PARENT, 20), spawn(SMALL, 3), spawn(LARGE, 7)];
    for (const slot of [SMALL, LARGE]) poke((processes[slot] as Process).task + Task.realParent, processes[0]!.task);
  });

  const killed = (slot: number) => (rules: killers.KillerRules) => {
    kill(rules);
    const victims = processes.filter(isVictim);
    return victims.length === 1 && victims[0] === processes[slot] && signalled(slot);
  };

  it("is the worst of them, and dies in its parent's place", () => {
    expect(erasWhere(killed(LARGE))).toEqual(until("V5_1"));
    expect(erasWhere(killed(PARENT))).toEqual(since("V5_1"));
  });

  it("may be a child of any thread", () => {
    const thread = addThread(lab, 3, processes[PARENT] as Process);
    poke((processes[LARGE] as Process).task + Task.realParent, thread.task);
    expect(erasWhere(killed(LARGE))).toEqual(until("V5_1"));
  });

  it("is not who may not be killed, nor who shares the parent's mm", () => {
    poke(signalWord(processes[LARGE] as Process, Signal.oomScoreAdj), OOM_SCORE_ADJ_MIN);
    expect(erasWhere(killed(SMALL))).toEqual(until("V5_1"));
    poke((processes[SMALL] as Process).task + Task.mm, (processes[PARENT] as Process).mm);
    const parentDies = (rules: killers.KillerRules): boolean => {
      kill(rules);
      return isVictim(processes[PARENT] as Process) && signalled(PARENT);
    };
    // Where equal points pick the later one, the scan itself takes the child.
    const scanTakesParent = ERAS.filter(({ rules }) => !rules.equalPicksLater);
    expect(erasWhere(parentDies)).toEqual(scanTakesParent.map(({ name }) => name.slice("KILLER_".length)));
  });

  it("leaves the parent's task struct and its own with the references they had, but for the reaper's on the victim", () => {
    const usage = (): number[] => processes.map(({ task }) => lab.word(task + Task.usage));
    const had = usage();
    const queued = (i: number): number => (isVictim(processes[i] as Process) ? 1 : 0);
    const asBefore = (count: number, i: number): boolean => count === (had[i] as number) + queued(i);
    expect(erasWhere((rules) => kill(rules) && usage().every(asBefore))).toEqual(ALL);
  });
});

describe("who shares the victim's mm", () => {
  const [VICTIM, OTHER] = [0, 1];
  let victim: Process;
  let other: Process;

  beforeEach(() => {
    victim = spawn(VICTIM, 9);
    other = lab.share(OTHER, victim);
  });

  /** What a kill came to: is the other one signalled, the mm hidden, the victim queued for the reaper? */
  const outcome = (rules: killers.KillerRules): string => {
    kill(rules);
    expect(signalled(VICTIM)).toBe(true);
    const flags = lab.word(victim.mm + Mm.flags);
    const hidden = (flags & MMF_OOM_SKIP) !== 0 ? "hidden" : "seen";
    return [
      signalled(OTHER) ? "dies" : "lives",
      hidden,
      (flags & MMF_OOM_REAP_QUEUED) !== 0 ? "reaped" : "kept",
    ].join();
  };
  const erasOf = (expected: string): string[] => erasWhere((rules) => outcome(rules) === expected);

  it("dies with it", () => {
    expect(erasOf("dies,seen,reaped")).toEqual(ALL);
  });

  it("with oom_score_adj -1000: lives until v4.7, and keeps the mm from being reaped", () => {
    poke(signalWord(other, Signal.oomScoreAdj), OOM_SCORE_ADJ_MIN);
    expect(erasOf("lives,seen,kept")).toEqual(until("V4_8"));
    expect(erasOf("dies,seen,reaped")).toEqual(since("V4_8"));
  });

  it("as a kernel thread: lives, unreaped until v4.8, hidden in v4.8, and without effect since", () => {
    poke(other.task + Task.flags, PF_KTHREAD);
    expect(erasOf("lives,seen,kept")).toEqual(until("V4_8"));
    expect(erasOf("lives,hidden,kept")).toEqual(["V4_8"]);
    expect(erasOf("lives,seen,reaped")).toEqual(since("V4_9"));
  });

  it("as the global init: lives, and hides the mm since v4.8", () => {
    poke(other.task + Task.pid, 1);
    poke(signalWord(other, Signal.tgid), 1);
    expect(erasOf("lives,seen,kept")).toEqual(until("V4_8"));
    expect(erasOf("lives,hidden,kept")).toEqual(since("V4_8"));
  });
});

describe("a caller that is dying", () => {
  it("is marked and not reaped in v4.6", () => {
    const caller = spawn(0, 3);
    poke(signalWord(caller, Signal.flags), 0x4);
    const queued = (rules: killers.KillerRules): boolean => {
      kill(rules, 0);
      expect(isVictim(caller)).toBe(true);
      return (lab.word(caller.mm + Mm.flags) & MMF_OOM_REAP_QUEUED) !== 0;
    };
    expect(erasWhere(queued)).toEqual(since("V4_7"));
  });

  it("with a fatal signal alone goes on until v4.7, although its mm is shared by somebody who lives", () => {
    const caller = spawn(0, 3);
    lab.share(1, caller);
    const large = spawn(2, 9);
    poke(signalWord(caller, Signal.flags), 0x4);
    lab.alone(CALLER, (cpu) => sendSigkill(cpu, 0));
    const goesOn = (rules: killers.KillerRules): boolean => kill(rules, 0) && isVictim(caller) && !isVictim(large);
    expect(erasWhere(goesOn)).toEqual(until("V4_8"));
  });
});

describe("a frozen victim", () => {
  it("is thawed by its killer: the marked thread until v6.17, the whole process since", () => {
    const victim = spawn(0, 9);
    const thread = addThread(lab, 1, victim);
    const other = spawn(2, 1);
    for (const { task } of [victim, thread, other]) lab.alone(CALLER, (cpu) => freezeTask(cpu, task));
    const frozen = (): number[] => [victim, thread, other].map(({ task }) => lab.word(task + Task.frozen));
    const leaves = (expected: number[]) => (rules: killers.KillerRules) =>
      kill(rules) && frozen().join() === expected.join();
    expect(erasWhere(leaves([0, 1, 1]))).toEqual(until("V6_18"));
    expect(erasWhere(leaves([0, 0, 1]))).toEqual(["V6_18"]);
  });
});
