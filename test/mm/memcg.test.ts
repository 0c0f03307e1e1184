/** Memory groups: which pages are charged, to whom, for how long, and what a limit refuses. */

import { beforeEach, describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import { planMachine } from "../../src/machine/memory-map.ts";
import { TOY_SHAPE } from "../../src/machine/shape.ts";
import { createMemcg, Memcg, type MemcgSpec, PAGE_COUNTER_MAX, pageCounterUncharge } from "../../src/mm/memcg.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { munmap } from "../../src/mm/munmap.ts";
import { dropCaches } from "../../src/mm/page-cache.ts";
import { drainPages } from "../../src/mm/pcp.ts";
import { faultIn } from "../../src/mm/user-fault.ts";
import { FAULT_FLAG_WRITE, VM_FAULT_DONE, VM_FAULT_OOM } from "../../src/mm/vm-fault.ts";
import { VM_HUGEPAGE, VM_READ, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { doExit } from "../../src/task/exit.ts";
import { copyProcess } from "../../src/task/fork.ts";
import { switchTo, Task } from "../../src/task/task.ts";
import { burstScheduler, OomLab, type Process } from "../oom/lab.ts";

const RW = VM_READ | VM_WRITE;
const START = 0x10;
const SHAPE = { protocol: "v6.1", mms: 3, memcgs: 3, files: 2, filePages: 8, swapSlots: 4 } as const;

let lab: OomLab;

beforeEach(() => {
  lab = new OomLab(SHAPE);
});

function group(spec: MemcgSpec = {}): number {
  return lab.alone(0, (cpu) => createMemcg(cpu, spec));
}

function usage(memcg: number): number {
  return lab.word(memcg + Memcg.usage);
}

function mapping(pages: number, more: Partial<Mapping> = {}): Mapping {
  return { startVpn: START, pages, flags: RW, present: "all", ...more };
}

function fault(id: number, { mm }: Process, vpn: number, flags = FAULT_FLAG_WRITE): number {
  return lab.alone(id, (cpu) => faultIn(cpu, mm, vpn, flags));
}

function exit(id: number, { task }: Process): void {
  lab.alone(id, (cpu) => doExit(cpu, task));
}

describe("what is charged", () => {
  it.each<[string, Mapping[], number]>([
    ["anonymous pages", [mapping(5)], 5],
    ["folios, page for page", [mapping(16, { folioOrder: 3 })], 16],
    ["page cache", [mapping(4, { filePages: [1, 2], present: [] })], 2],
    ["shared memory", [mapping(4, { filePages: [0, 3], present: [], flags: RW | VM_SHARED, shmem: true })], 3],
    ["no swap entries", [mapping(4, { swapped: [0, 2], present: [2, 2] })], 2],
  ])("%s", (_what, mappings, pages) => {
    const memcg = group();
    const process = lab.spawn(0, mappings, { memcg });
    expect(usage(memcg)).toBe(pages);
    exit(0, process);
    lab.alone(0, (cpu) => dropCaches(cpu));
    expect(usage(memcg)).toBe(0);
    lab.alone(0, (cpu) => drainPages(cpu));
    expect(lab.broken()).toEqual([]);
  });

  it("huge pages, and small ones where the limit has no room for one", () => {
    lab = new OomLab({ ...SHAPE, frames: 2049 });
    const [wide, narrow] = [group({ max: 512 }), group({ max: 20 })];
    const huge = mapping(512, { startVpn: 0x200, flags: RW | VM_HUGEPAGE, present: [] });
    const [rich, poor] = [lab.spawn(0, [huge], { memcg: wide }), lab.spawn(1, [huge], { memcg: narrow })];
    expect([fault(0, rich, 0x210), fault(1, poor, 0x210)]).toEqual([VM_FAULT_DONE, VM_FAULT_DONE]);
    expect([usage(wide), usage(narrow)]).toEqual([512, 1]);
    exit(0, rich);
    exit(1, poor);
    expect([usage(wide), usage(narrow)]).toEqual([0, 0]);
  });

  it("the copy that a write makes of a file's page, beside the page, and what comes back from swap", () => {
    const memcg = group();
    const process = lab.spawn(0, [mapping(4, { filePages: [0, 1], present: [] })], { memcg });
    expect(fault(0, process, START)).toBe(VM_FAULT_DONE);
    expect(usage(memcg)).toBe(2);
    const other = lab.spawn(1, [mapping(2, { swapped: [0, 1], present: [] })], { memcg });
    expect(usage(memcg)).toBe(2);
    expect(fault(1, other, START)).toBe(VM_FAULT_DONE);
    expect(usage(memcg)).toBe(3);
  });

  it("nothing of a process in the root, nor of the kernel's", () => {
    const memcg = group();
    lab.spawn(0, [mapping(5)]);
    expect(usage(memcg)).toBe(0);
  });
});

describe("for how long", () => {
  it("until the page is free: unmapping gives anonymous pages back, and keeps those in the page cache", () => {
    const memcg = group();
    const file = mapping(4, { startVpn: 0x400, filePages: [0, 2], present: [] });
    const { mm } = lab.spawn(0, [mapping(5), file], { memcg });
    expect(usage(memcg)).toBe(7);
    lab.alone(0, (cpu) => munmap(cpu, mm, START, 3));
    expect(usage(memcg)).toBe(4);
    lab.alone(0, (cpu) => munmap(cpu, mm, 0x400, 4));
    expect(usage(memcg)).toBe(4);
    lab.alone(0, (cpu) => dropCaches(cpu));
    expect(usage(memcg)).toBe(2);
  });

  it("a page that fork shares is charged once, until the last of both is gone; the child's own are the group's, too", () => {
    const memcg = group();
    const parent = lab.spawn(0, [mapping(5)], { memcg });
    const task = lab.alone(0, (cpu) => copyProcess(cpu, 0));
    const child = { task, mm: lab.word(task + Task.mm) };
    lab.alone(1, function* (cpu: Cpu): Steps<void> {
      switchTo(cpu, task);
    });
    expect([usage(memcg), lab.word(child.mm + Mm.memcg)]).toEqual([5, memcg]);
    expect(fault(1, child, START)).toBe(VM_FAULT_DONE);
    expect(usage(memcg)).toBe(6);
    exit(0, parent);
    expect(usage(memcg), "the parent's copy of the written page is gone").toBe(5);
    exit(1, child);
    expect(usage(memcg)).toBe(0);
  });
});

describe("limits", () => {
  it("hold in every group above; a charge that fails leaves no trace but an event", () => {
    const top = group({ max: 4 });
    const [left, right] = [group({ parent: top, max: 3 }), group({ parent: top })];
    const [a, b] = [
      lab.spawn(0, [mapping(9, { present: [] })], { memcg: left }),
      lab.spawn(1, [mapping(9, { present: [] })], { memcg: right }),
    ];
    expect([0, 1, 2, 3].map((page) => fault(0, a, START + page))).toEqual([0, 0, 0, VM_FAULT_OOM]);
    expect([0, 1].map((page) => fault(1, b, START + page))).toEqual([0, VM_FAULT_OOM]);
    expect([usage(top), usage(left), usage(right)]).toEqual([4, 3, 1]);
    const events = [top, left, right].map((memcg) => lab.word(memcg + Memcg.eventsMax));
    expect(events, "memory.events counts what happened below, too").toEqual([2, 1, 0]);
    exit(0, a);
    expect([usage(top), usage(left), usage(right)]).toEqual([1, 0, 1]);
    expect(fault(1, b, START + 1)).toBe(VM_FAULT_DONE);
  });

  it("end with the slots of the machine, and are none by default", () => {
    expect(lab.word(group() + Memcg.max)).toBe(PAGE_COUNTER_MAX);
    expect([group(), group(), group()].map((memcg) => memcg !== 0)).toEqual([true, true, false]);
  });

  it("more given back than charged is a finding", () => {
    const memcg = group();
    lab.spawn(0, [mapping(2)], { memcg });
    expect(() => lab.alone(0, (cpu) => pageCounterUncharge(cpu, memcg, 3))).toThrow("I2: pageCounterUncharge: 3 of 2");
  });
});

it("a machine without groups keeps no word of them per page", () => {
  const names = (memcgs?: number): string[] =>
    planMachine({ ...TOY_SHAPE, ...(memcgs && { memcgs }) }).memory.regions.map(({ name }) => name);
  expect(names(2).filter((name) => !names().includes(name))).toEqual(["memcgs", "pageMemcgs"]);
});

it("two that fault and exit in one group never exceed its limit, and leave nothing charged (1000 seeds)", () => {
  const MAX = 6;
  const memcg = group({ max: MAX });
  const processes = [0, 1].map((slot) => lab.spawn(slot, [mapping(5, { present: [] })], { memcg }));
  lab.keep();
  const program = ({ task, mm }: Process) =>
    function* (cpu: Cpu): Steps<number> {
      let got = 0;
      for (let page = 0; page < 5; page++) {
        if ((yield* faultIn(cpu, mm, START + page, FAULT_FLAG_WRITE)) === VM_FAULT_DONE) got++;
      }
      yield* doExit(cpu, task);
      return got;
    };
  const refused = new Set<number>();
  for (let seed = 1; seed <= 1000; seed++) {
    let charged = 0;
    // Both add before they look, so that each may be over for a moment.
    const look = (): void => {
      charged = Math.max(charged, usage(memcg));
    };
    const got = lab.finish(processes.map(program), burstScheduler(seed), look) as number[];
    refused.add(10 - (got[0] as number) - (got[1] as number));
    expect(charged, `seed ${seed}`).toBeLessThanOrEqual(MAX + 2);
    expect([usage(memcg), ...lab.broken()], `seed ${seed}`).toEqual([0]);
  }
  expect([...refused].sort()).toEqual([0, 1, 2, 3, 4]);
});
