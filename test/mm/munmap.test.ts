import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { EINTR, EINVAL, ENOMEM } from "../../src/base/errno.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { userStore } from "../../src/mm/fault.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { mapleCheck } from "../../src/mm/maple-tree/index.ts";
import { mlock, munlock, munlockVmas } from "../../src/mm/mlock.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { mmapReadLock, mmapReadUnlock } from "../../src/mm/mmap-lock.ts";
import { tlbFinishMmu, tlbGatherMmu } from "../../src/mm/mmu-gather.ts";
import { munmap } from "../../src/mm/munmap.ts";
import { PageTable } from "../../src/mm/page-table.ts";
import { tlbActivate } from "../../src/mm/tlb.ts";
import { unmapVmas } from "../../src/mm/unmap.ts";
import { getUser } from "../../src/mm/user-fault.ts";
import {
  VM_ACCOUNT,
  VM_HUGETLB,
  VM_LOCKED,
  VM_PFNMAP,
  VM_READ,
  VM_WRITE,
  Vma,
  vmaEnd,
  vmaStart,
} from "../../src/mm/vma.ts";
import { firstVma, nextVma } from "../../src/mm/vma-iter.ts";
import { checkVmaList } from "../../src/mm/vma-list.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { counters, endAll, hugeMachine, kindsMachine, readKinds } from "./kinds.ts";
import {
  balances,
  buildMm,
  everySeed,
  full,
  inUse,
  type MmMachine,
  mappedPages,
  tableAt,
  watchingPort,
  zap,
} from "./mm-machine.ts";

const T = 512;
const SEEDS = 1000;

/** VMAs as [start, end), both indexes checked on the way. */
function vmas(m: MmMachine, mm: number): [number, number][] {
  const walk = m.cpu.mm + CpuMm.walk;
  const all: [number, number][] = [];
  for (let vma = firstVma(m.cpu, mm, walk); vma !== 0; vma = nextVma(m.cpu, vma, walk)) {
    all.push([vmaStart(m.cpu, vma), vmaEnd(m.cpu, vma)]);
  }
  expect(mapleCheck(m.words, mm + Mm.tree)).toEqual([]);
  expect(checkVmaList(m.words, mm + Mm.mmap)).toEqual([]);
  expect(m.words[mm + Mm.mapCount]).toBe(all.length);
  expect(m.words[mm + Mm.totalVm]).toBe(all.reduce((sum, [start, end]) => sum + end - start, 0));
  return all;
}

describe("munmap", () => {
  it.each(["v4.14", "v6.1"])("cuts mappings at its ends, as %s finds them, and takes what lies between", (protocol) => {
    const m = kindsMachine({ protocol });
    const flags = VM_WRITE | VM_ACCOUNT;
    const mm = buildMm(m, [full(0x10, 8, { flags }), full(0x20, 4, { flags }), full(0x30, 8, { flags })]);
    expect(runToEnd(munmap(m.cpu, mm, 0x14, 0x20))).toBe(0);
    expect(vmas(m, mm)).toEqual([
      [0x10, 0x14],
      [0x34, 0x38],
    ]);
    expect(mappedPages(m, mm)).toEqual([0x10, 0x11, 0x12, 0x13, 0x34, 0x35, 0x36, 0x37]);
    expect(m.words[m.map.root + MmGlobals.committed]).toBe(8);
    expect(runToEnd(munmap(m.cpu, mm, 0x11, 2))).toBe(0);
    expect(vmas(m, mm)).toEqual([
      [0x10, 0x11],
      [0x13, 0x14],
      [0x34, 0x38],
    ]);
    expect(inUse(m, MmGlobals.anonVmas)).toBe(2);
    expect(runToEnd(munmap(m.cpu, mm, 0x14, 0x10))).toBe(0);
    expect(endAll(m, mm)).toEqual({});
  });

  it("frees the tables that nobody else needs, and no others", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0, 1), full(T - 2, 4), full(3 * T, 1), full(T * T, 1)]);
    const tables = (): number => inUse(m, MmGlobals.tables);
    expect(tables()).toBe(1 + 1 + 2 + 4);
    runToEnd(munmap(m.cpu, mm, T - 2, 4));
    expect([tables(), mappedPages(m, mm)]).toEqual([7, [0, 3 * T, T * T]]);
    runToEnd(munmap(m.cpu, mm, 0, 2 * T));
    expect(tables()).toBe(6);
    runToEnd(munmap(m.cpu, mm, T * T, 1));
    expect(tables()).toBe(4);
    expect(m.words[mm + Mm.pgtablesBytes]).toBe(3 * 4096);
    expect(endAll(m, mm)).toEqual({});
  });

  it("keeps the file's page where a mapping begins later", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 8, { present: [], filePages: [0, 8], flags: VM_READ })]);
    const content = runToEnd(getUser(m.cpu, mm, 0x16));
    runToEnd(munmap(m.cpu, mm, 0x10, 4));
    runToEnd(zap(m.cpu, mm, 0x14, 0x18));
    expect(runToEnd(getUser(m.cpu, mm, 0x16))).toBe(content);
    expect(counters(m, mm).file).toBe(1);
    expect(endAll(m, mm)).toEqual({});
  });

  it("does not cut hugetlb pages, nor take a range that cannot be", () => {
    const m = hugeMachine();
    const mm = buildMm(m, [full(T, 2 * T, { present: [], huge: [0, 2 * T], flags: VM_WRITE | VM_HUGETLB })]);
    expect(runToEnd(munmap(m.cpu, mm, T + 1, T))).toBe(-EINVAL);
    expect(runToEnd(munmap(m.cpu, mm, 0, T + 1))).toBe(-EINVAL);
    expect(runToEnd(munmap(m.cpu, mm, 0, 0))).toBe(-EINVAL);
    expect(runToEnd(munmap(m.cpu, mm, 2 ** 35 - 1, 2))).toBe(-EINVAL);
    expect(counters(m, mm).hugetlb).toBe(2 * T);
    expect(runToEnd(munmap(m.cpu, mm, 2 * T, T))).toBe(0);
    expect([vmas(m, mm), counters(m, mm).hugetlb]).toEqual([[[T, 2 * T]], T]);
    expect(endAll(m, mm)).toEqual({});
  });

  it("changes nothing without memory for a second half, or with a fatal signal while it waits", () => {
    const m = kindsMachine({ vmas: 1 });
    const mm = buildMm(m, [full(0x10, 8)]);
    const before = balances(m);
    expect(runToEnd(munmap(m.cpu, mm, 0x12, 2))).toBe(-ENOMEM);
    expect([vmas(m, mm), balances(m)]).toEqual([[[0x10, 0x18]], before]);
    const other = m.handle(1);
    runToEnd(mmapReadLock(other, mm));
    runToEnd(sendSigkill(other, 0));
    expect(runToEnd(munmap(m.cpu, mm, 0x10, 8))).toBe(-EINTR);
    runToEnd(mmapReadUnlock(other, mm));
    expect(mappedPages(m, mm)).toHaveLength(8);
  });

  it("waits for other CPUs that look translations up before it frees tables", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0, 1), full(T, 1)]);
    runToEnd(tlbActivate(m.handle(1), mm));
    const stores = new Set<unknown>();
    everySeed(m, {
      programs: [(cpu) => munmap(cpu, mm, T, 1), (cpu) => userStore(cpu, mm, T, 1)],
      seeds: SEEDS,
      look: (outcome, seed) => {
        stores.add(outcome.state === "finished" && outcome.results[1]);
        if (seed % 8 === 0) expect(endAll(m, mm)).toEqual({});
      },
    });
    expect([...stores].sort()).toEqual([false, true]);
  });

  it("frees tables under a CPU of which it does not know that it runs a thread of the mm", () => {
    const walk = (activate: boolean): void => {
      const m = kindsMachine();
      const mm = buildMm(m, [full(0, 1), full(T, 1)]);
      if (activate) runToEnd(tlbActivate(m.handle(1), mm));
      const lock = tableAt(m, mm, T) + PageTable.lock;
      let once = true;
      const port = watchingPort(({ word }) => {
        if (word === lock && once) runToEnd(munmap(m.cpu, mm, T, 1));
        once &&= word !== lock;
      });
      runToEnd(userStore(m.handle(1, port), mm, T, 1));
    };
    expect(() => walk(false)).toThrow(/^I1: use after free by CPU 1/);
    // Here it waits, for ever, as the walk is not gone on with.
    expect(() => walk(true)).toThrow(/sleep|park|wait/);
  });

  it("and a zapper under the read lock leave each page to one of them", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 3, { present: [0, 2], swapped: [2, 1] }), full(0x20, 2)]);
    everySeed(m, {
      programs: [(cpu) => munmap(cpu, mm, 0x11, 0x10), (cpu) => zapAll(cpu, mm)],
      seeds: SEEDS,
      look: (_outcome, seed) => {
        expect([readKinds(m, mm).size, counters(m, mm).anon, counters(m, mm).swap]).toEqual([0, 0, 0]);
        if (seed % 8 === 0) expect(endAll(m, mm)).toEqual({});
      },
    });
  });
});

function* zapAll(cpu: Cpu, mm: number): Steps<void> {
  yield* mmapReadLock(cpu, mm);
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  yield* tlbFinishMmu(cpu);
  yield* mmapReadUnlock(cpu, mm);
}

describe("mlock", () => {
  /** Ranges of VM_LOCKED; `account` pages are in locked_vm, by default as many as those have. */
  function lockedPages(m: MmMachine, mm: number, account?: number): [number, number][] {
    const walk = m.cpu.mm + CpuMm.walk;
    const all: [number, number][] = [];
    for (let vma = firstVma(m.cpu, mm, walk); vma !== 0; vma = nextVma(m.cpu, vma, walk)) {
      const locked = ((m.words[vma + Vma.flags] as number) & VM_LOCKED) !== 0;
      if (locked) all.push([vmaStart(m.cpu, vma), vmaEnd(m.cpu, vma)]);
    }
    const pages = all.reduce((sum, [start, end]) => sum + end - start, 0);
    expect(m.words[mm + Mm.lockedVm]).toBe(account ?? pages);
    return all;
  }

  it("marks the range, faults it in, and is taken back by munlock or munmap", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [
      full(0x10, 8, { present: [], swapped: [3, 1] }),
      full(0x18, 4, { present: [], filePages: [] }),
    ]);
    expect(runToEnd(mlock(m.cpu, mm, 0x12, 8))).toBe(0);
    expect(lockedPages(m, mm)).toEqual([
      [0x12, 0x18],
      [0x18, 0x1a],
    ]);
    // Private pages of the file are copied at once, as they would be later.
    expect(counters(m, mm)).toMatchObject({ anon: 8, file: 0, swap: 0 });
    expect(runToEnd(munlock(m.cpu, mm, 0x14, 2))).toBe(0);
    expect(runToEnd(munmap(m.cpu, mm, 0x17, 1))).toBe(0);
    expect(lockedPages(m, mm)).toEqual([
      [0x12, 0x14],
      [0x16, 0x17],
      [0x18, 0x1a],
    ]);
    expect(endAll(m, mm)).toEqual({});
  });

  it("answers -ENOMEM at a hole, with what lies below it marked", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 4), full(0x16, 4)]);
    expect(runToEnd(mlock(m.cpu, mm, 0x10, 8))).toBe(-ENOMEM);
    expect(lockedPages(m, mm)).toEqual([[0x10, 0x14]]);
  });

  it("is taken back everywhere at an exit; device memory never had it", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [
      full(0x10, 4, { flags: VM_WRITE | VM_LOCKED }),
      full(0x16, 4),
      full(0x20, 2, { flags: VM_WRITE | VM_PFNMAP | VM_LOCKED }),
      full(0x28, 3, { flags: VM_LOCKED }),
    ]);
    expect(lockedPages(m, mm)).toEqual([
      [0x10, 0x14],
      [0x28, 0x2b],
    ]);
    munlockVmas(m.cpu, mm);
    expect(lockedPages(m, mm, 7), "exit_mmap leaves the account alone").toEqual([]);
    expect(endAll(m, mm)).toEqual({});
  });

  it("ends with a fatal signal", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 4)]);
    const other = m.handle(1);
    runToEnd(mmapReadLock(other, mm));
    runToEnd(sendSigkill(other, 0));
    expect(runToEnd(mlock(m.cpu, mm, 0x10, 4))).toBe(-EINTR);
    runToEnd(mmapReadUnlock(other, mm));
    expect(lockedPages(m, mm)).toEqual([]);
  });
});
