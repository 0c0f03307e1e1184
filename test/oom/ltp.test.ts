/**
 * LTP's oom01 to oom05 (testcases/kernel/mem/oom): a child maps and touches memory until it is killed or told ENOMEM; its
 * parent, which has oom_score_adj -1000, lives on. Each runs beside a bystander who has nothing to do with the
 * shortage; where the shortage has a domain he is outside of it, and larger than the child.
 *
 * KSM is left out: there is no ksmd, and mergeable pages that it has not merged are pages like any. So is
 * cpuset.memory_migrate: a child that is forked into its cpuset has nothing to move. Of memory.swap.max the domain's size
 * is what is left, since nothing is swapped out here.
 */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad } from "../../src/arena/mem.ts";
import { ENOMEM } from "../../src/base/errno.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import { findOrder, findProtocol } from "../../src/machine/roles.ts";
import type { MachineShape } from "../../src/machine/shape.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { createMemcg, Memcg } from "../../src/mm/memcg.ts";
import { MPOL_BIND, MPOL_DEFAULT, MPOL_INTERLEAVE, MPOL_PREFERRED } from "../../src/mm/mempolicy.ts";
import { mlock } from "../../src/mm/mlock.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { mmapWriteLock, mmapWriteUnlock } from "../../src/mm/mmap-lock.ts";
import { faultIn, putUser } from "../../src/mm/user-fault.ts";
import { FAULT_FLAG_WRITE, VM_FAULT_DONE, VM_FAULT_OOM } from "../../src/mm/vm-fault.ts";
import { VM_ACCOUNT, VM_READ, VM_WRITE } from "../../src/mm/vma.ts";
import { OomGlobals } from "../../src/oom/globals.ts";
import { oomReaper, stopOomReaper } from "../../src/oom/reaper-queue.ts";
import { CpuSync, SIGKILL_BIT } from "../../src/sync/cpu-sync.ts";
import { fatalSignalPending } from "../../src/sync/park.ts";
import { sleepUs } from "../../src/sync/sleep.ts";
import { attachToCpuset, createCpuset, setMempolicy } from "../../src/task/cpuset.ts";
import { doExit } from "../../src/task/exit.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../../src/task/signal.ts";
import { currentTask, Task } from "../../src/task/task.ts";
import { putOomMm } from "../../src/task/tasklist.ts";
import { burstScheduler, OomLab, type Process } from "./lab.ts";

const SEEDS = 500;
const RW = VM_READ | VM_WRITE | VM_ACCOUNT;
const START = 0x10;
/** More than there is, whatever the domain. */
const LENGTH = 400;
/** Nodes and their pages. */
const NODE_PAGES = 60;
const NODES = [0, 1, 2];
const CHILD = 0;
const PARENT = 1;
const BYSTANDER = 2;
const REAPER = 3;

/** Pages that the bystander holds: more than a child can have in a domain, less than one that has the machine. */
const LARGE = 50;
const SMALL = 4;

interface Case {
  readonly name: string;
  /** memory.max of parent and child. */
  readonly max?: number;
  readonly swapMax?: number;
  readonly mode?: number;
  /** Nodes that the policy names, and those that the cpuset allows, one bit each. */
  readonly nodes?: number;
  readonly mems?: number;
  readonly bystander: number;
  /** Pages that the child has before the race begins: nearly all that it can get. */
  readonly filled: number;
}

const ALL_FILLED = 162;
const NODE_FILLED = 48;

const CASES: readonly Case[] = [
  { name: "oom01: nothing but memory is short", bystander: SMALL, filled: ALL_FILLED },
  { name: "oom02: MPOL_BIND", mode: MPOL_BIND, nodes: 0b010, bystander: LARGE, filled: NODE_FILLED },
  { name: "oom02: MPOL_INTERLEAVE", mode: MPOL_INTERLEAVE, nodes: 0b110, bystander: SMALL, filled: ALL_FILLED },
  { name: "oom02: MPOL_PREFERRED", mode: MPOL_PREFERRED, nodes: 0b110, bystander: SMALL, filled: ALL_FILLED },
  { name: "oom03: a memory group", max: 24, bystander: LARGE, filled: 20 },
  { name: "oom03: with memory.swap.max", max: 24, swapMax: 1, bystander: LARGE, filled: 20 },
  { name: "oom03: with MPOL_BIND", max: 24, mode: MPOL_BIND, nodes: 0b010, bystander: LARGE, filled: 20 },
  { name: "oom04: a cpuset", mems: 0b010, bystander: LARGE, filled: NODE_FILLED },
  { name: "oom05: cpuset and memory group", max: 24, mems: 0b010, bystander: LARGE, filled: 20 },
];

function mapping(pages: number, present: Mapping["present"]): Mapping[] {
  return [{ startVpn: START, pages, flags: RW, present }];
}

interface Stage {
  readonly lab: OomLab;
  readonly child: Process;
  readonly parent: Process;
  readonly bystander: Process;
  readonly memcg: number;
}

/** Parent and child within the limits of the case, the bystander on nodes 0 and 2, all but full. */
function stage(protocol: string, what: Case, change: Partial<MachineShape> = {}): Stage {
  const lab = new OomLab({
    protocol,
    cpus: 4,
    mms: 3,
    frames: 1 + NODES.length * NODE_PAGES,
    zones: NODES.map((node) => ({ node, start: 1 + node * NODE_PAGES, end: 1 + (node + 1) * NODE_PAGES })),
    cpuNodes: [1, 1, 0, 0],
    cpusets: 2,
    memcgs: 1,
    swapSlots: 8,
    oomKiller: true,
    ...change,
  });
  const { max, swapMax, mode = MPOL_DEFAULT, nodes = 0, mems } = what;
  const memcg =
    max === undefined ? 0 : lab.alone(REAPER, (cpu) => createMemcg(cpu, { max, ...(swapMax && { swapMax }) }));
  const bystander = lab.spawn(BYSTANDER, mapping(what.bystander, []), { oomScoreAdj: 0 });
  const apart = what.bystander === LARGE && max === undefined;
  if (apart) restrict(lab, BYSTANDER, bystander, MPOL_BIND, 0b101, 0b101);
  touch(lab, BYSTANDER, bystander, what.bystander);
  const parent = lab.spawn(PARENT, mapping(2, []), { memcg, oomScoreAdj: OOM_SCORE_ADJ_MIN });
  restrict(lab, PARENT, parent, mode, nodes, mems);
  touch(lab, PARENT, parent, 2);
  const child = lab.spawn(CHILD, mapping(LENGTH, []), { memcg });
  lab.words[child.task + Task.realParent] = parent.task;
  restrict(lab, CHILD, child, mode, nodes, mems);
  touch(lab, CHILD, child, what.filled);
  lab.keep();
  return { lab, child, parent, bystander, memcg };
}

function restrict(lab: OomLab, id: number, { task }: Process, mode: number, nodes: number, mems?: number): void {
  lab.alone(id, function* (cpu: Cpu): Steps<void> {
    yield* setMempolicy(cpu, mode, nodes);
    if (mems !== undefined) yield* attachToCpuset(cpu, task, yield* createCpuset(cpu, mems));
  });
}

function touch(lab: OomLab, id: number, { mm }: Process, pages: number): void {
  lab.alone(id, function* (cpu: Cpu): Steps<void> {
    for (let page = 0; page < pages; page++) {
      const result = yield* faultIn(cpu, mm, START + page, FAULT_FLAG_WRITE);
      expect(result, `page ${page} of CPU ${id}`).toBe(VM_FAULT_DONE);
    }
  });
}

/** Touches page after page, from the first that is missing on, until it is killed. */
const touchAll = (first: number) =>
  function* (cpu: Cpu): Steps<string> {
    const mm = yield* atomicLoad(cpu, currentTask(cpu) + Task.mm);
    for (let page = first; page < LENGTH && !(yield* fatalSignalPending(cpu)); ) {
      const result = yield* putUser(cpu, mm, START + page, page);
      if (result === VM_FAULT_DONE) page++;
      // With a SIGKILL on its way it may also be SIGBUS: its pages are reaped already.
      else if (result !== VM_FAULT_OOM && !(yield* fatalSignalPending(cpu))) throw new Error(`fault ${result}`);
    }
    yield* doExit(cpu, currentTask(cpu));
    return "killed";
  };

/** The same through mlock. */
function* lockAll(cpu: Cpu): Steps<string> {
  const mm = yield* atomicLoad(cpu, currentTask(cpu) + Task.mm);
  const errno = yield* mlock(cpu, mm, START, LENGTH);
  const killed = yield* fatalSignalPending(cpu);
  yield* doExit(cpu, currentTask(cpu));
  return killed ? "killed" : errno === -ENOMEM ? "ENOMEM" : `errno ${errno}`;
}

/** waitpid, by looking at whether the child has left its mm. */
const waits = (child: Process) =>
  function* (cpu: Cpu): Steps<void> {
    while ((yield* atomicLoad(cpu, child.task + Task.mm)) !== 0) yield* sleepUs(cpu, 1000);
    yield* stopOomReaper(cpu);
  };

function* works(cpu: Cpu): Steps<number> {
  const mm = yield* atomicLoad(cpu, currentTask(cpu) + Task.mm);
  let done = 0;
  for (let round = 0; round < 5; round++) {
    if ((yield* putUser(cpu, mm, START + (round % SMALL), round)) === VM_FAULT_DONE) done++;
  }
  return done;
}

const isVictim = ({ lab }: Stage, { task }: Process): boolean =>
  lab.word(lab.word(task + Task.signal) + Signal.oomMm) !== 0;

const signalled = ({ lab }: Stage, id: number): boolean =>
  (lab.word(lab.sync(id) + CpuSync.signal) & SIGKILL_BIT) !== 0;

/** Runs child, parent, bystander and reaper; then holds what LTP does, and that the bystander noticed nothing. */
function runOom(at: Stage, what: Case, protocolName: string, child: (cpu: Cpu) => Steps<string>, seed: number): void {
  const { lab } = at;
  const protocol = findProtocol(protocolName);
  const reaper = (cpu: Cpu): Steps<number> => oomReaper(cpu, protocol, findOrder(protocol.order));
  const results = lab.finish([child, waits(at.child), works, reaper], burstScheduler(seed));
  const why = `${what.name}, ${protocolName}, seed ${seed}`;
  expect(results[CHILD], why).toBe("killed");
  expect(isVictim(at, at.child), why).toBe(true);
  expect([isVictim(at, at.parent), signalled(at, PARENT)], why).toEqual([false, false]);
  expect([isVictim(at, at.bystander), signalled(at, BYSTANDER), results[BYSTANDER]], why).toEqual([false, false, 5]);
  expect(lab.word(lab.map.root + OomGlobals.oomKills), why).toBe(1);
  expect([lab.rss(at.parent.mm), lab.rss(at.bystander.mm)], why).toEqual([2, what.bystander]);
  expect([lab.rss(at.child.mm), lab.word(at.child.mm + Mm.mapCount)], why).toEqual([0, 0]);
  if (at.memcg !== 0) {
    expect(lab.word(at.memcg + Memcg.usage), `${why}: what is left is the parent's`).toBe(2);
    expect(lab.word(at.memcg + Memcg.eventsOomKill), why).toBe(1);
  }
  for (const [id, { task }] of [[PARENT, at.parent] as const, [BYSTANDER, at.bystander] as const]) {
    lab.alone(id, (cpu) => doExit(cpu, task));
  }
  lab.alone(CHILD, (cpu) => putOomMm(cpu, at.child.task));
  expect(lab.broken(), why).toEqual([]);
}

describe.each(["v4.14", "v6.18"])("%s", (protocol) => {
  it.each(CASES)(`$name (${SEEDS} seeds)`, (what) => {
    const at = stage(protocol, what);
    for (let seed = 1; seed <= SEEDS; seed++) runOom(at, what, protocol, touchAll(what.filled), seed);
  });

  it.each(CASES.filter(({ mode = MPOL_BIND }) => mode === MPOL_BIND))("$name, by mlock (100 seeds)", (what) => {
    const at = stage(protocol, what);
    for (let seed = 1; seed <= 100; seed++) runOom(at, what, protocol, lockAll, seed);
  });
});

describe("vm.overcommit_memory", () => {
  /** What mappings of 50 pages each, touched as they come, end with. */
  function* mapAndTouch(cpu: Cpu): Steps<number> {
    const mm = yield* atomicLoad(cpu, currentTask(cpu) + Task.mm);
    for (let mapped = 0; mapped < LENGTH; mapped += 50) {
      yield* mmapWriteLock(cpu, mm);
      const vma = yield* mmapRegion(cpu, mm, 0x1000 + mapped, 50, RW);
      yield* mmapWriteUnlock(cpu, mm);
      if (vma === 0) return mapped;
      for (let page = 0; page < 50; page++) yield* putUser(cpu, mm, 0x1000 + mapped + page, 1);
    }
    return LENGTH;
  }
  const child = (lab: OomLab): number => {
    lab.spawn(CHILD, mapping(5, []));
    return lab.alone(CHILD, mapAndTouch);
  };
  const machine = (overcommitMemory: 0 | 1 | 2): OomLab =>
    new OomLab({ protocol: "v6.18", frames: 301, swapSlots: 10, overcommitMemory, oomKiller: true });

  it("2: mmap says ENOMEM before memory is short, and nobody is killed (oom01)", () => {
    const lab = machine(2);
    // Half of 300 pages, and the swap: below 160 with the 5 that the child has.
    expect(child(lab)).toBe(150);
    expect(lab.word(lab.map.root + OomGlobals.oomKills)).toBe(0);
    expect(lab.word(lab.map.root + MmGlobals.committed)).toBe(155);
  });

  it("0: refuses only what could never be had; 1: nothing", () => {
    for (const [mode, mapped] of [
      [0, [true, false]],
      [1, [true, true]],
    ] as const) {
      const lab = machine(mode);
      const { mm } = lab.spawn(CHILD, mapping(5, []));
      const map = (start: number, pages: number): boolean =>
        lab.alone(CHILD, (cpu) => mmapRegion(cpu, mm, start, pages, RW)) !== 0;
      expect([map(0x1000, 310), map(0x2000, 311)], `mode ${mode}`).toEqual(mapped);
    }
  });
});
