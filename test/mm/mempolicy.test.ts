/** Which node an allocation comes from: policies, cpusets, and who is above them. */

import { beforeEach, describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { UsageError } from "../../src/base/errors.ts";
import { planMachine } from "../../src/machine/memory-map.ts";
import { type MachineShape, TOY_SHAPE } from "../../src/machine/shape.ts";
import { allocPagesBulk } from "../../src/mm/alloc-bulk.ts";
import { MPOL_BIND, MPOL_DEFAULT, MPOL_INTERLEAVE, MPOL_PREFERRED } from "../../src/mm/mempolicy.ts";
import { allocPages, GFP_ATOMIC, GFP_NOWAIT, GFP_OOM_VICTIM, putPage } from "../../src/mm/page-alloc.ts";
import { attachToCpuset, createCpuset, setCpusetMems, setMempolicy } from "../../src/task/cpuset.ts";
import { switchTo } from "../../src/task/task.ts";
import { OomLab, type Process } from "../oom/lab.ts";

/** Frames of node 0, node 1 and node 2 begin here; 100 each. */
const STARTS = [1, 101, 201];
const SHAPE: Partial<MachineShape> = {
  cpus: 3,
  frames: 301,
  zones: STARTS.map((start, node) => ({ node, start, end: start + 100 })),
  cpuNodes: [0, 1, 0],
  cpusets: 2,
};

function nodeOf(pfn: number): number {
  return pfn === 0 ? -1 : STARTS.filter((start) => start <= pfn).length - 1;
}

let lab: OomLab;
let process: Process;

beforeEach(() => {
  lab = new OomLab({ protocol: "v6.1", ...SHAPE });
  process = lab.spawn(0);
});

function set(mode: number, ...nodes: number[]): void {
  lab.alone(0, (cpu) =>
    setMempolicy(
      cpu,
      mode,
      nodes.reduce((mask, node) => mask | (1 << node), 0),
    ),
  );
}

/** Nodes of the next `pages` allocations of CPU `id`; -1 for one that failed. */
function take(pages: number, gfp = GFP_NOWAIT, id = 0): number[] {
  return lab.alone(id, function* (cpu: Cpu): Steps<number[]> {
    const nodes: number[] = [];
    for (let i = 0; i < pages; i++) nodes.push(nodeOf(yield* allocPages(cpu, 0, gfp)));
    return nodes;
  });
}

/** The nodes that `take` meets until memory is gone, each once, in the order of their first page. */
function exhaust(gfp = GFP_NOWAIT): number[] {
  const nodes = take(300, gfp);
  expect(nodes.at(-1)).toBe(-1);
  return [...new Set(nodes)].filter((node) => node >= 0);
}

describe("policies", () => {
  it("without one: the CPU's own node first, then the others", () => {
    expect([take(1), take(1, GFP_NOWAIT, 1)]).toEqual([[0], [1]]);
    expect(exhaust()).toEqual([0, 2, 1]);
  });

  it("MPOL_BIND: these nodes and no other", () => {
    set(MPOL_BIND, 1);
    expect(exhaust()).toEqual([1]);
    expect(take(1, GFP_NOWAIT, 1), "another CPU's task is not bound").toEqual([2]);
  });

  it("MPOL_PREFERRED: one node first", () => {
    set(MPOL_PREFERRED, 1);
    expect(exhaust()).toEqual([1, 2, 0]);
  });

  it("MPOL_INTERLEAVE: in turn, and anywhere when one is full", () => {
    set(MPOL_INTERLEAVE, 0, 2);
    expect(take(5)).toEqual([2, 0, 2, 0, 2]);
    expect(exhaust().sort()).toEqual([0, 1, 2]);
  });

  it("MPOL_DEFAULT takes a policy away", () => {
    set(MPOL_BIND, 1);
    set(MPOL_DEFAULT);
    expect(take(1)).toEqual([0]);
  });

  it("go with the task, not with the CPU", () => {
    set(MPOL_BIND, 1);
    lab.alone(0, function* (cpu: Cpu): Steps<void> {
      switchTo(cpu, 0);
    });
    expect(take(1)).toEqual([0]);
    lab.alone(0, function* (cpu: Cpu): Steps<void> {
      switchTo(cpu, process.task);
    });
    expect(take(1)).toEqual([1]);
  });

  it("are obeyed by bulk allocation, which hands nothing out", () => {
    const bulk = (): number => lab.alone(0, (cpu) => allocPagesBulk(cpu, new Int32Array(4), 0, 4));
    lab.alone(0, function* (cpu: Cpu): Steps<void> {
      yield* putPage(cpu, yield* allocPages(cpu, 0, GFP_NOWAIT));
    });
    expect(bulk()).toBe(1);
    lab.alone(0, function* (cpu: Cpu): Steps<void> {
      yield* putPage(cpu, yield* allocPages(cpu, 0, GFP_NOWAIT));
    });
    set(MPOL_BIND, 1);
    expect(bulk()).toBe(0);
  });
});

describe("cpusets", () => {
  const attach = (mems: number): number =>
    lab.alone(0, function* (cpu: Cpu): Steps<number> {
      const cpuset = yield* createCpuset(cpu, mems);
      yield* attachToCpuset(cpu, process.task, cpuset);
      return cpuset;
    });

  it("bound what policies choose from; a policy of forbidden nodes alone says nothing", () => {
    attach(0b110);
    expect(take(1)).toEqual([2]);
    set(MPOL_BIND, 0, 1);
    expect(take(1)).toEqual([1]);
    set(MPOL_BIND, 0);
    expect(exhaust()).toEqual([2, 1]);
  });

  it("change for the tasks in them, and leave others alone", () => {
    const cpuset = attach(0b010);
    const other = lab.spawn(2);
    expect([take(1), take(1, GFP_NOWAIT, 2)]).toEqual([[1], [0]]);
    lab.alone(1, (cpu) => setCpusetMems(cpu, cpuset, 0b100));
    expect([take(1), take(1, GFP_NOWAIT, 2)]).toEqual([[2], [0]]);
    lab.alone(1, (cpu) => attachToCpuset(cpu, other.task, cpuset));
    lab.alone(1, (cpu) => attachToCpuset(cpu, process.task, 0));
    expect([take(1), take(1, GFP_NOWAIT, 2)]).toEqual([[0], [2]]);
  });

  it("do not hold victims of the OOM killer, nor atomic allocations that are short", () => {
    attach(0b010);
    expect(exhaust()).toEqual([1]);
    expect(take(1, GFP_ATOMIC)).toEqual([0]);
    expect(take(1, GFP_OOM_VICTIM)).toEqual([0]);
  });

  it("end when the machine has no more of them", () => {
    attach(1);
    attach(1);
    expect(lab.alone(0, (cpu) => createCpuset(cpu, 1))).toBe(0);
  });
});

it.each<[Partial<MachineShape>, string]>([
  [{ zones: [] }, "machine: 0 zones, expected 1 to 4"],
  [{ zones: [{ node: 8, start: 1, end: 301 }] }, "machine: zone of node 8, expected 0 to 7"],
  [{ zones: [{ node: 0, start: 1, end: 302 }] }, "machine: zone of frames 1 to 302, expected some between 1 and 301"],
  [{ zones: [{ node: 0, start: 0, end: 9 }] }, "machine: zone of frames 0 to 9, expected some between 1 and 301"],
  [{ cpuNodes: [0, 0] }, "machine: nodes of 2 CPUs, expected 3"],
  [{ cpuNodes: [0, -1, 0] }, "machine: CPU on node -1, expected 0 to 7"],
])("a machine of %j is refused", (change, message) => {
  const plan = (): unknown => planMachine({ ...TOY_SHAPE, ...SHAPE, ...change });
  expect(plan).toThrow(UsageError);
  expect(plan).toThrow(message);
});
