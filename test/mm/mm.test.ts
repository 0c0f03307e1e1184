import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { fetchAdd, runToEnd } from "../../src/arena/mem.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { addMmCounter, mmAlloc, mmdrop, mmFlagSet, mmgetNotZero, mmgrab, mmput, setMmFlag } from "../../src/mm/mm.ts";
import { MM_COUNTER_NAMES, MM_SWAPENTS, MMF_OOM_SKIP, MMF_UNSTABLE, Mm } from "../../src/mm/mm-struct.ts";
import { RULES_MODERN } from "../../src/sync/rwsem.ts";
import {
  balances,
  buildMm,
  emptyMm,
  everySeed,
  faultsOf,
  firstViolation,
  full,
  inUse,
  type MmMachine,
  mmMachine,
  takeAllPages,
} from "./mm-machine.ts";

const SEEDS = 1000;

const users = (m: MmMachine, mm: number): number => m.words[mm + Mm.mmUsers] as number;
const count = (m: MmMachine, mm: number): number => m.words[mm + Mm.mmCount] as number;

/** The CPU with an exitMmap that only counts its calls. */
function counting(cpu: Cpu): { cpu: Cpu; calls: () => number } {
  let calls = 0;
  const upcalls = {
    ...cpu.upcalls,
    *exitMmap(): Steps<void> {
      calls++;
    },
  };
  return { cpu: { ...cpu, upcalls }, calls: () => calls };
}

describe("mmAlloc", () => {
  it("makes an mm with one user, one reference, no VMA, and a top level that is not accounted", () => {
    const m = mmMachine();
    const mm = emptyMm(m, 3);
    expect([users(m, mm), count(m, mm), m.words[mm + Mm.number]]).toEqual([1, 1, 3]);
    expect([m.words[mm + Mm.mapCount], m.words[mm + Mm.pgtablesBytes], m.words[mm + Mm.mmap]]).toEqual([0, 0, 0]);
    expect(balances(m)).toMatchObject({ mms: 1, tables: 1, pages: 1 });
    runToEnd(mmput(m.cpu, mm));
    expect(faultsOf(m)).toEqual([]);
  });

  it("answers 0 without an mm, a table or a frame, and keeps nothing", () => {
    const full = mmMachine({ mms: 1 });
    emptyMm(full);
    expect(runToEnd(mmAlloc(full.cpu, 2, RULES_MODERN))).toBe(0);
    const noTable = mmMachine({ tables: 1, mms: 2 });
    emptyMm(noTable);
    expect(runToEnd(mmAlloc(noTable.cpu, 2, RULES_MODERN))).toBe(0);
    expect(balances(noTable)).toMatchObject({ mms: 1, tables: 1, pages: 1 });
    const noFrame = mmMachine();
    takeAllPages(noFrame.cpu);
    expect(runToEnd(mmAlloc(noFrame.cpu, 1, RULES_MODERN))).toBe(0);
    expect([inUse(noFrame, MmGlobals.mms), inUse(noFrame, MmGlobals.tables)]).toEqual([0, 0]);
  });
});

describe("users and references", () => {
  it("mmput tears down at the last user only, and drops the users' shared reference once", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    const { cpu, calls } = counting(m.cpu);
    expect(runToEnd(mmgetNotZero(cpu, mm))).toBe(true);
    runToEnd(mmgrab(cpu, mm));
    expect([users(m, mm), count(m, mm)]).toEqual([2, 2]);
    runToEnd(mmput(cpu, mm));
    expect([users(m, mm), count(m, mm), calls()]).toEqual([1, 2, 0]);
    runToEnd(mmput(cpu, mm));
    expect([users(m, mm), count(m, mm), calls()]).toEqual([0, 1, 1]);
    expect(runToEnd(mmgetNotZero(cpu, mm))).toBe(false);
    expect(users(m, mm)).toBe(0);
    runToEnd(mmdrop(cpu, mm));
    expect([calls(), inUse(m, MmGlobals.mms), inUse(m, MmGlobals.tables)]).toEqual([1, 0, 0]);
    expect(faultsOf(m)).toEqual([]);
  });

  it("one mmput or mmdrop too many is a violation, also while the struct is pinned", () => {
    const m = mmMachine();
    const mm = emptyMm(m, 7);
    runToEnd(mmgrab(m.cpu, mm));
    runToEnd(mmput(m.cpu, mm));
    expect(() => runToEnd(mmput(m.cpu, mm))).toThrow("I2: mmput: mm 7 had 0 users");
    const other = mmMachine();
    const second = emptyMm(other, 8);
    other.words[second + Mm.mmCount] = 0;
    expect(() => runToEnd(mmdrop(other.cpu, second))).toThrow("I2: mmdrop: mm 8 had 0 references");
  });

  it("a freed mm is not touched again", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    runToEnd(mmput(m.cpu, mm));
    expect(() => runToEnd(mmgetNotZero(m.cpu, mm))).toThrow(/^I1: use after free by CPU 0: mms\[0\]\.mmUsers/);
  });

  it("mmgetNotZero never succeeds after the last mmput, and teardown happens once", () => {
    const m = mmMachine({ cpus: 3 });
    const mm = buildMm(m, [full(0x10, 2)]);
    runToEnd(mmgrab(m.cpu, mm));
    runToEnd(mmgrab(m.cpu, mm));
    let late = 0;
    function* borrow(cpu: Cpu): Steps<boolean> {
      const got = yield* mmgetNotZero(cpu, mm);
      if (got) yield* mmput(cpu, mm);
      yield* mmdrop(cpu, mm);
      return got;
    }
    everySeed(m, {
      programs: [(cpu) => mmput(cpu, mm), borrow, borrow],
      seeds: SEEDS,
      look: (outcome) => {
        if (outcome.state === "finished" && outcome.results.includes(false)) late++;
        // Had it been torn down twice, tables and pages would have been freed twice.
        expect(faultsOf(m)).toEqual([]);
      },
    });
    expect(late).toBeGreaterThan(SEEDS / 20);
  });

  it("a borrower who does not look for zero is caught", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    runToEnd(mmgrab(m.cpu, mm));
    function* borrowBlindly(cpu: Cpu): Steps<void> {
      yield* fetchAdd(cpu, mm + Mm.mmUsers, 1);
      yield* mmput(cpu, mm);
      yield* mmdrop(cpu, mm);
    }
    expect(firstViolation(m, { programs: [(cpu) => mmput(cpu, mm), borrowBlindly], seeds: SEEDS })).toMatch(/^I\d+: /);
  });
});

describe("mmdrop at the last reference", () => {
  function ready(): { m: MmMachine; mm: number; cpu: Cpu } {
    const m = mmMachine();
    const mm = emptyMm(m);
    return { m, mm, cpu: counting(m.cpu).cpu };
  }

  it("refuses an mm that owns a page of any kind, in the kernel's words", () => {
    for (const [kind, name] of MM_COUNTER_NAMES.entries()) {
      const { mm, cpu } = ready();
      runToEnd(addMmCounter(cpu, mm, kind, 2));
      expect(() => runToEnd(mmput(cpu, mm))).toThrow(`I3: Bad rss-counter state type:${name} val:2`);
    }
    const { mm, cpu } = ready();
    runToEnd(addMmCounter(cpu, mm, MM_SWAPENTS, -1));
    expect(() => runToEnd(mmput(cpu, mm))).toThrow("I3: Bad rss-counter state type:MM_SWAPENTS val:-1");
  });

  it("refuses one with page tables or VMAs", () => {
    const tables = ready();
    tables.m.words[tables.mm + Mm.pgtablesBytes] = 4096;
    expect(() => runToEnd(mmput(tables.cpu, tables.mm))).toThrow("I3: non-zero pgtables_bytes on freeing mm: 4096");
    const vmas = ready();
    vmas.m.words[vmas.mm + Mm.mapCount] = 1;
    expect(() => runToEnd(mmput(vmas.cpu, vmas.mm))).toThrow("mmdrop: VMAs are left");
  });
});

it("flags are set one by one and stay", () => {
  const m = mmMachine();
  const mm = emptyMm(m);
  runToEnd(setMmFlag(m.cpu, mm, MMF_UNSTABLE));
  expect([MMF_OOM_SKIP, MMF_UNSTABLE].map((flag) => runToEnd(mmFlagSet(m.cpu, mm, flag)))).toEqual([false, true]);
  runToEnd(setMmFlag(m.cpu, mm, MMF_OOM_SKIP));
  expect([MMF_OOM_SKIP, MMF_UNSTABLE].map((flag) => runToEnd(mmFlagSet(m.cpu, mm, flag)))).toEqual([true, true]);
});
