import { describe, expect, it } from "vitest";
import { load, runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { attachCpu, bootMachine, cpuOf, rebootMachine } from "../../src/machine/boot.ts";
import { type MachineShape, TOY_SHAPE } from "../../src/machine/shape.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import {
  GRANULARITY_MM,
  GRANULARITY_PTE,
  MmGlobals,
  setting,
  VMAS_IN_LIST,
  VMAS_IN_TREE,
} from "../../src/mm/globals.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { nrFreePages } from "../../src/mm/zone.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { taskAt, taskCount } from "../../src/task/task.ts";
import { balances, buildMm, endMm, faultsOf, full, liveEntries, mmMachine, pagesInUse } from "../mm/mm-machine.ts";

describe("bootMachine", () => {
  it("comes up with all memory free, no object in use and nothing translated", () => {
    const m = mmMachine({ cpus: 3 });
    expect(Object.values(balances(m))).toEqual([0, 0, 0, 0, 0, 0, 0]);
    expect(runToEnd(nrFreePages(m.cpu))).toBe(TOY_SHAPE.frames - 1);
    expect([0, 1, 2].flatMap((id) => liveEntries(m, id))).toEqual([]);
    expect(faultsOf(m)).toEqual([]);
  });

  it("writes the shape's settings where the kernel looks for them", () => {
    const settings = (shape: Partial<MachineShape>): number[] => {
      const { cpu } = mmMachine(shape);
      const { lockGranularity, vmaStore, levels, reschedEvery } = MmGlobals;
      return [lockGranularity, vmaStore, levels, reschedEvery].map((field) => setting(cpu, field));
    };
    expect(settings({ lockGranularity: "mm", protocol: "v4.14" })).toEqual([GRANULARITY_MM, VMAS_IN_LIST, 4, 0]);
    expect(settings({ lockGranularity: "pte", levels: 5, reschedEvery: 77 })).toEqual([
      GRANULARITY_PTE,
      VMAS_IN_TREE,
      5,
      77,
    ]);
    const { cpu } = mmMachine({ tasks: 3, reschedEvery: 50 });
    expect([taskCount(cpu), load(cpu, cpu.mm + CpuMm.reschedIn)]).toEqual([3, 50]);
    expect(taskAt(cpu, 0)).toBe(mmMachine({ tasks: 3 }).map.tasks.base);
  });

  it("hands each CPU what is its own", () => {
    const { words, map } = bootMachine({ ...TOY_SHAPE, cpus: 3, traceEvents: 8 });
    const cpus = [0, 1, 2].map((id) => cpuOf(words, map, id, soloPort()));
    cpus.forEach((cpu, id) => {
      expect([cpu.sync, cpu.mm]).toEqual([cpu.syncBase + id * cpu.syncStride, map.cpuMm.base + id * cpu.mmStride]);
      expect([cpu.tlb - cpu.mm, cpu.gather - cpu.mm]).toEqual([CpuMm.tlb, CpuMm.gather]);
      expect(cpu.machine).toBe(map.root);
      expect(cpu.trace).toBe((map.rings?.base as number) + id * (map.rings?.struct.WORDS as number));
    });
    const quiet = mmMachine({ lockOrder: false });
    expect([quiet.cpu.trace, quiet.cpu.lockOrder]).toEqual([0, 0]);
    expect(() => cpuOf(words, map, 3, soloPort())).toThrow("of 3");
  });

  it("says of a freed object what became of it", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 1)]);
    endMm(m, mm);
    expect(() => load(m.cpu, mm + Mm.pgd)).toThrow(
      `I1: use after free by CPU 0: mms[0].pgd (object at word ${mm}, generation 1, freed by CPU 0)`,
    );
  });

  it.each(PROTOCOLS.map(({ name }) => name))("has the last mmput torn down as %s does", (protocol) => {
    const m = mmMachine({ protocol });
    const mm = buildMm(m, [full(0x10, 20), full(0x700, 600, { present: [0, 5, 500, 100] })]);
    expect(pagesInUse(m)).toBeGreaterThan(125);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });
});

describe("rebootMachine", () => {
  it("leaves the words that a first boot leaves", () => {
    const shape: MachineShape = { ...TOY_SHAPE, traceEvents: 16, reschedEvery: 5 };
    const m = mmMachine(shape);
    const fresh = bootMachine(shape).words;
    expect(Buffer.compare(Buffer.from(m.words.buffer), Buffer.from(fresh.buffer))).toBe(0);
    buildMm(m, [full(0, 20)]);
    expect(Buffer.compare(Buffer.from(m.words.buffer), Buffer.from(fresh.buffer))).not.toBe(0);
    rebootMachine(m.words, m.map);
    expect(Buffer.compare(Buffer.from(m.words.buffer), Buffer.from(fresh.buffer))).toBe(0);
  });
});

describe("attachCpu", () => {
  it("finds the machine in an arena that another thread booted", () => {
    const { words } = bootMachine(TOY_SHAPE);
    const cpu = attachCpu(words.buffer as SharedArrayBuffer, { ...TOY_SHAPE }, 1, soloPort());
    expect(cpu.id).toBe(1);
    expect(runToEnd(nrFreePages(cpu))).toBe(TOY_SHAPE.frames - 1);
  });

  it("refuses an arena of another shape, or of none", () => {
    const { words } = bootMachine(TOY_SHAPE);
    const attach = (buffer: SharedArrayBuffer, shape: MachineShape) => () => attachCpu(buffer, shape, 0, soloPort());
    const buffer = words.buffer as SharedArrayBuffer;
    expect(attach(buffer, { ...TOY_SHAPE, vmas: 17 })).toThrow("attachArena: layout hash: got");
    expect(attach(new SharedArrayBuffer(64), TOY_SHAPE)).toThrow("attachArena: magic: got 0x0, expected 0x6f6f6d72");
    expect(attach(new ArrayBuffer(64) as never, TOY_SHAPE)).toThrow("attachArena: expected a SharedArrayBuffer");
  });
});
