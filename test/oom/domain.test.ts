/** What a shortage is limited to, who is of that domain, and what a memory group does at its limit. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { load } from "../../src/arena/mem.ts";
import { findProtocol } from "../../src/machine/roles.ts";
import type { MachineShape } from "../../src/machine/shape.ts";
import { createMemcg, type MemcgSpec } from "../../src/mm/memcg.ts";
import { MPOL_BIND, MPOL_INTERLEAVE, MPOL_PREFERRED, policyNodemask } from "../../src/mm/mempolicy.ts";
import {
  CONSTRAINT_CPUSET,
  CONSTRAINT_MEMCG,
  CONSTRAINT_MEMORY_POLICY,
  CONSTRAINT_NONE,
} from "../../src/oom/constraint.ts";
import { constrainedAlloc, inOomDomain } from "../../src/oom/domain.ts";
import { KILLER_V5_1, KILLER_V5_3, KILLER_V5_9, KILLER_V5_14, type KillerRules } from "../../src/oom/killer-rules.ts";
import { OomControl } from "../../src/oom/oom-control.ts";
import { memcgOomControl, oomControl, outOfMemory } from "../../src/oom/out-of-memory.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { attachToCpuset, createCpuset, setMempolicy } from "../../src/task/cpuset.ts";
import { Signal } from "../../src/task/signal.ts";
import { createTask, Task } from "../../src/task/task.ts";
import { OomLab, type Process } from "./lab.ts";

/** Nodes 0 and 1 of 99 and 200 pages, 11 swap slots. */
const NUMA: Partial<MachineShape> = {
  cpus: 4,
  mms: 4,
  frames: 300,
  zones: [
    { node: 0, start: 1, end: 50 },
    { node: 0, start: 50, end: 100 },
    { node: 1, start: 100, end: 300 },
  ],
  cpuNodes: [0, 1, 0, 1],
  swapSlots: 11,
  cpusets: 3,
  memcgs: 4,
  oomKiller: true,
};
const SWAP = 11;
const NODE0 = 99;
const NODE1 = 200;

function numaLab(change: Partial<MachineShape> = {}): OomLab {
  return new OomLab({ protocol: "v6.1", ...NUMA, ...change });
}

function bind(lab: OomLab, cpu: number, mode: number, nodes: number): void {
  lab.alone(cpu, (c) => setMempolicy(c, mode, nodes));
}

function intoCpuset(lab: OomLab, { task }: Process, mems: number): void {
  lab.alone(3, function* (cpu: Cpu): Steps<void> {
    yield* attachToCpuset(cpu, task, yield* createCpuset(cpu, mems));
  });
}

function newMemcg(lab: OomLab, spec: MemcgSpec): number {
  return lab.alone(3, (cpu) => createMemcg(cpu, spec));
}

function putInto(lab: OomLab, { task }: Process, memcg: number): void {
  lab.words[lab.word(task + Task.signal) + Signal.memcg] = memcg;
}

function isVictim(lab: OomLab, { task }: Process): boolean {
  return lab.word(lab.word(task + Task.signal) + Signal.oomMm) !== 0;
}

/** What CPU 0's allocation would be limited to: constraint, totalpages, nodemask. */
function constraint(lab: OomLab, change: (cpu: Cpu, oc: number) => void = () => {}): number[] {
  return lab.alone(0, function* (cpu: Cpu): Steps<number[]> {
    const oc = oomControl(cpu, 0, 0);
    cpu.words[oc + OomControl.nodemask] = yield* policyNodemask(cpu);
    change(cpu, oc);
    yield* constrainedAlloc(cpu, oc);
    return [OomControl.constraint, OomControl.totalpages, OomControl.nodemask].map((field) => load(cpu, oc + field));
  });
}

describe("constrainedAlloc", () => {
  it("nothing says otherwise: all memory, and swap", () => {
    const lab = numaLab();
    lab.spawn(0);
    expect(constraint(lab)).toEqual([CONSTRAINT_NONE, NODE0 + NODE1 + SWAP, 0]);
  });

  it("MPOL_BIND to some nodes: their pages, all zones of them, and swap", () => {
    const lab = numaLab();
    lab.spawn(0);
    bind(lab, 0, MPOL_BIND, 0b01);
    expect(constraint(lab)).toEqual([CONSTRAINT_MEMORY_POLICY, NODE0 + SWAP, 0b01]);
    bind(lab, 0, MPOL_BIND, 0b11);
    expect(constraint(lab), "to all").toEqual([CONSTRAINT_NONE, NODE0 + NODE1 + SWAP, 0]);
    bind(lab, 0, MPOL_PREFERRED, 0b01);
    expect(constraint(lab), "not bound").toEqual([CONSTRAINT_NONE, NODE0 + NODE1 + SWAP, 0]);
  });

  it("a cpuset without some node; the policy comes first", () => {
    const lab = numaLab();
    const process = lab.spawn(0);
    intoCpuset(lab, process, 0b10);
    expect(constraint(lab)).toEqual([CONSTRAINT_CPUSET, NODE1 + SWAP, 0]);
    bind(lab, 0, MPOL_BIND, 0b10);
    expect(constraint(lab)).toEqual([CONSTRAINT_MEMORY_POLICY, NODE1 + SWAP, 0b10]);
    bind(lab, 0, MPOL_BIND, 0b01);
    expect(constraint(lab), "a policy that the cpuset makes void").toEqual([CONSTRAINT_CPUSET, NODE1 + SWAP, 0]);
  });

  it("not so for a victim, nor where no zones are known", () => {
    const lab = numaLab();
    const process = lab.spawn(0);
    intoCpuset(lab, process, 0b10);
    const blind = (cpu: Cpu, oc: number): void => {
      cpu.words[oc + OomControl.zonelist] = 0;
    };
    expect(constraint(lab, blind)).toEqual([CONSTRAINT_NONE, NODE0 + NODE1 + SWAP, 0]);
    lab.alone(0, (cpu) => markOomVictim(cpu, process.task));
    expect(constraint(lab)).toEqual([CONSTRAINT_NONE, NODE0 + NODE1 + SWAP, 0]);
  });

  it("a memory group: its limit and the swap it may have, one page at least", () => {
    const lab = numaLab();
    lab.spawn(0);
    bind(lab, 0, MPOL_BIND, 0b01);
    const domain = (spec: MemcgSpec): number[] => {
      const memcg = newMemcg(lab, spec);
      return lab.alone(0, function* (cpu: Cpu): Steps<number[]> {
        const oc = memcgOomControl(cpu, memcg, 0);
        yield* constrainedAlloc(cpu, oc);
        return [load(cpu, oc + OomControl.constraint), load(cpu, oc + OomControl.totalpages)];
      });
    };
    expect(domain({ max: 40 })).toEqual([CONSTRAINT_MEMCG, 40 + SWAP]);
    expect(domain({ max: 40, swapMax: 5 })).toEqual([CONSTRAINT_MEMCG, 45]);
    expect(domain({ max: 0, swapMax: 0 })).toEqual([CONSTRAINT_MEMCG, 1]);
  });
});

describe("who is of the domain", () => {
  /** Of a shortage that CPU 0's task met, with this nodemask or in this group. */
  function eligible(lab: OomLab, { task }: Process, rules: KillerRules, nodemask: number, memcg = 0): boolean {
    return lab.alone(0, function* (cpu: Cpu): Steps<boolean> {
      const oc = oomControl(cpu, 0, 0);
      cpu.words[oc + OomControl.nodemask] = nodemask;
      cpu.words[oc + OomControl.memcg] = memcg;
      return yield* inOomDomain(cpu, oc, task, rules);
    });
  }

  it("of a nodemask: who is not bound elsewhere; until v5.13 interleaving binds, too", () => {
    const lab = numaLab();
    lab.spawn(0);
    const other = lab.spawn(1);
    const both = (): boolean[] => [KILLER_V5_9, KILLER_V5_14].map((rules) => eligible(lab, other, rules, 0b01));
    expect(both()).toEqual([true, true]);
    for (const [mode, expected] of [
      [MPOL_BIND, [false, false]],
      [MPOL_INTERLEAVE, [false, true]],
      [MPOL_PREFERRED, [true, true]],
    ] as const) {
      bind(lab, 1, mode, 0b10);
      expect(both(), `mode ${mode}`).toEqual(expected);
    }
    bind(lab, 1, MPOL_BIND, 0b11);
    expect(both()).toEqual([true, true]);
    intoCpuset(lab, other, 0b10);
    expect(both(), "cpusets do not matter then").toEqual([true, true]);
  });

  it("without a mask: whose cpuset shares a node with the caller's", () => {
    const lab = numaLab();
    const [caller, other] = [lab.spawn(0), lab.spawn(1)];
    intoCpuset(lab, other, 0b10);
    expect(eligible(lab, other, KILLER_V5_9, 0)).toBe(true);
    intoCpuset(lab, caller, 0b01);
    expect(eligible(lab, other, KILLER_V5_9, 0)).toBe(false);
  });

  it("of one of its threads it is enough", () => {
    const lab = numaLab();
    const [caller, other] = [lab.spawn(0), lab.spawn(1)];
    intoCpuset(lab, caller, 0b01);
    intoCpuset(lab, other, 0b10);
    lab.alone(2, function* (cpu: Cpu): Steps<void> {
      createTask(cpu, 2, { pid: 1002, mm: other.mm, threadOf: other.task });
    });
    expect(eligible(lab, other, KILLER_V5_9, 0)).toBe(true);
  });

  it("of a memory group: who is in it or below; until v5.2 cpusets count there, too", () => {
    const lab = numaLab();
    const [caller, other] = [lab.spawn(0), lab.spawn(1)];
    const top = newMemcg(lab, {});
    const inner = newMemcg(lab, { parent: top });
    const beside = newMemcg(lab, {});
    const memberOf = (memcg: number): boolean[] => {
      putInto(lab, other, memcg);
      return [top, inner, beside].map((domain) => eligible(lab, other, KILLER_V5_9, 0, domain));
    };
    expect(memberOf(0)).toEqual([false, false, false]);
    expect(memberOf(top)).toEqual([true, false, false]);
    expect(memberOf(inner)).toEqual([true, true, false]);
    intoCpuset(lab, caller, 0b01);
    intoCpuset(lab, other, 0b10);
    expect(eligible(lab, other, KILLER_V5_1, 0, top)).toBe(false);
    expect(eligible(lab, other, KILLER_V5_3, 0, top)).toBe(true);
  });
});

describe("a kill", () => {
  const span = (pages: number) => [{ startVpn: 0x10, pages, flags: 2, present: "all" }] as const;

  it("is that of the worst of the domain, and does not wait for victims outside of it", () => {
    const lab = numaLab();
    const [caller, large, small] = [lab.spawn(0, span(2)), lab.spawn(1, span(9)), lab.spawn(2, span(4))];
    bind(lab, 1, MPOL_BIND, 0b10);
    bind(lab, 0, MPOL_BIND, 0b01);
    lab.alone(3, (cpu) => markOomVictim(cpu, large.task));
    const killed = lab.alone(0, function* (cpu: Cpu): Steps<boolean> {
      const oc = oomControl(cpu, 0, 0);
      cpu.words[oc + OomControl.nodemask] = yield* policyNodemask(cpu);
      return yield* outOfMemory(cpu, oc, findProtocol("v6.1"));
    });
    expect(killed).toBe(true);
    expect([isVictim(lab, caller), isVictim(lab, small)]).toEqual([false, true]);
  });

  it("panic_on_oom 1 panics for all memory only, 2 for any domain", () => {
    for (const [panicOnOom, message] of [
      [1, undefined],
      [2, "compulsory panic_on_oom is enabled"],
    ] as const) {
      const lab = numaLab({ panicOnOom });
      const process = lab.spawn(0);
      intoCpuset(lab, process, 0b01);
      const kill = (): boolean => lab.alone(0, (cpu) => outOfMemory(cpu, oomControl(cpu, 0, 0), findProtocol("v6.1")));
      if (message) expect(kill).toThrow(message);
      else expect(kill()).toBe(true);
    }
  });

  it("spares an allocating task that oom_kill_allocating_task would take in its memory group", () => {
    const lab = numaLab({ oomKillAllocatingTask: true });
    const [caller, other] = [lab.spawn(0, span(2)), lab.spawn(1, span(9))];
    const memcg = newMemcg(lab, { max: 9 });
    putInto(lab, caller, memcg);
    putInto(lab, other, memcg);
    lab.alone(0, (cpu) => outOfMemory(cpu, memcgOomControl(cpu, memcg, 0), findProtocol("v6.1")));
    expect([isVictim(lab, caller), isVictim(lab, other)]).toEqual([false, true]);
  });

  it("finds nobody in an empty group, and does not panic for that", () => {
    const lab = numaLab();
    lab.spawn(0);
    const memcg = newMemcg(lab, { max: 9 });
    expect(lab.alone(0, (cpu) => outOfMemory(cpu, memcgOomControl(cpu, memcg, 0), findProtocol("v6.1")))).toBe(false);
  });

  it("takes the whole group with memory.oom.group, up to the one that is short, but not who is exempt", () => {
    for (const [domain, expected] of [
      ["inner", [false, true, true, false]],
      ["top", [true, true, true, false]],
    ] as const) {
      const lab = numaLab({ tasks: 4 });
      const processes = [2, 9, 4, 1].map((pages, slot) => lab.spawn(slot, span(pages)));
      const top = newMemcg(lab, { oomGroup: true });
      const inner = newMemcg(lab, { parent: top, oomGroup: true });
      for (const [i, memcg] of [top, inner, inner, inner].entries()) putInto(lab, processes[i] as Process, memcg);
      lab.words[lab.word((processes[3] as Process).task + Task.signal) + Signal.oomScoreAdj] = -1000;
      const short = domain === "top" ? top : inner;
      lab.alone(0, (cpu) => outOfMemory(cpu, memcgOomControl(cpu, short, 0), findProtocol("v6.1")));
      expect(
        processes.map((process) => isVictim(lab, process)),
        domain,
      ).toEqual(expected);
    }
  });
});
