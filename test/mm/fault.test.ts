import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { load, runToEnd, store } from "../../src/arena/mem.ts";
import { doAnonymousPage, mapAnonymousFolio, userStore } from "../../src/mm/fault.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { addMmCounter, mmFlagSet, setMmFlag } from "../../src/mm/mm.ts";
import { MM_ANONPAGES, MMF_UNSTABLE, Mm } from "../../src/mm/mm-struct.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { Frame, folioAddRmap, linkOwner, linkType, PAGE_TYPE_ANON } from "../../src/mm/page.ts";
import { allocPages, GFP_KERNEL, putPage } from "../../src/mm/page-alloc.ts";
import {
  findPteTable,
  PageTable,
  PTE_LOCK,
  PTE_PRESENT,
  PTE_SHIFT,
  PTE_WRITE,
  pteAlloc,
  pteLockOf,
} from "../../src/mm/page-table.ts";
import { slabAlloc } from "../../src/mm/slab.ts";
import { VM_FAULT_DONE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from "../../src/mm/vm-fault.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import {
  balances,
  emptyMm,
  endMm,
  everySeed,
  faultsOf,
  frameOf,
  inUse,
  type MmMachine,
  mappedPages,
  mmMachine,
  pagesInUse,
  readPtes,
  refs,
  rmaps,
  rss,
  takeAllPages,
  whileShort,
  zap,
} from "./mm-machine.ts";

const SEEDS = 1000;
/** One seed in so many is torn down and looked at by every invariant. */
const THOROUGH = 4;

/** An mm with one VMA of pages [start, start + 16) and no page in it. */
function stage(m: MmMachine, start = 0x40): { mm: number; vma: number; start: number } {
  const mm = emptyMm(m, 5);
  return { mm, vma: runToEnd(mmapRegion(m.cpu, mm, start, 16, VM_WRITE)), start };
}

/** The same with its tables and anon_vma there, as after a first fault next door. */
function stageWarm(m: MmMachine): { mm: number; vma: number; start: number } {
  const staged = stage(m);
  expect(runToEnd(doAnonymousPage(m.cpu, staged.mm, staged.vma, staged.start + 15))).toBe(VM_FAULT_DONE);
  return staged;
}

describe("doAnonymousPage", () => {
  it("maps a page: one reference, one mapping, owned by the mm, counted", () => {
    for (const levels of [4, 5] as const) {
      const m = mmMachine({ levels });
      const start = (levels === 4 ? 2 ** 35 : 2 ** 44) - 16;
      const { mm, vma } = stage(m, start);
      expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, start + 15))).toBe(VM_FAULT_DONE);
      const [[vpn, pfn]] = [...readPtes(m, mm)] as [[number, number]];
      expect(vpn).toBe(start + 15);
      expect([refs(m, pfn), rmaps(m, pfn), rss(m, mm)]).toEqual([1, 1, 1]);
      const link = m.words[frameOf(m, pfn) + Frame.link] as number;
      expect([linkType(link), linkOwner(link)]).toEqual([PAGE_TYPE_ANON, 5]);
      const table = runToEnd(findPteTable(m.cpu, mm, vpn));
      expect(m.words[table + PageTable.entries + 511]).toBe((pfn << PTE_SHIFT) | PTE_PRESENT | PTE_WRITE);
      expect(m.words[mm + Mm.pgtablesBytes]).toBe((levels - 1) * 4096);
      expect(pagesInUse(m)).toBe(levels + 1);
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });

  it("answers SIGBUS once the mm is unstable, and gives the page back", () => {
    const m = mmMachine();
    const { mm, vma, start } = stageWarm(m);
    const before = balances(m);
    runToEnd(setMmFlag(m.cpu, mm, MMF_UNSTABLE));
    expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, start))).toBe(VM_FAULT_SIGBUS);
    expect(mappedPages(m, mm)).toEqual([start + 15]);
    expect([balances(m), rss(m, mm)]).toEqual([before, 1]);
  });

  it("is content with a page that is there already, also in an unstable mm", () => {
    const m = mmMachine();
    const { mm, vma, start } = stageWarm(m);
    const [before, ptes] = [balances(m), readPtes(m, mm)];
    expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, start + 15))).toBe(VM_FAULT_DONE);
    runToEnd(setMmFlag(m.cpu, mm, MMF_UNSTABLE));
    expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, start + 15))).toBe(VM_FAULT_DONE);
    expect([balances(m), readPtes(m, mm), rss(m, mm)]).toEqual([before, ptes, 1]);
  });

  it("maps one page when two CPUs fault on the same one, cold tables and all", () => {
    for (const lockGranularity of ["mm", "table", "pte"] as const) {
      const m = mmMachine({ lockGranularity });
      const { mm, vma, start } = stage(m);
      const fault = (cpu: Cpu): Steps<number> => doAnonymousPage(cpu, mm, vma, start);
      everySeed(m, {
        programs: [fault, fault],
        seeds: SEEDS,
        look: (outcome, seed) => {
          expect(outcome.state === "finished" && outcome.results).toEqual([VM_FAULT_DONE, VM_FAULT_DONE]);
          expect([mappedPages(m, mm), rss(m, mm)]).toEqual([[start], 1]);
          expect(m.words[mm + Mm.pgtablesBytes]).toBe(3 * 4096);
          expect([inUse(m, MmGlobals.tables), inUse(m, MmGlobals.anonVmas)]).toEqual([4, 1]);
          if (seed % THOROUGH !== 0) return;
          endMm(m, mm);
          expect(faultsOf(m)).toEqual([]);
        },
      });
    }
  });
});

describe("mapAnonymousFolio", () => {
  it("takes a reference and a mapping per page of the folio", () => {
    const m = mmMachine();
    const { mm, vma, start } = stage(m);
    const pfn = runToEnd(allocPages(m.cpu, 3, GFP_KERNEL));
    expect(runToEnd(mapAnonymousFolio(m.cpu, mm, vma, start + 8, pfn, 3))).toBe(VM_FAULT_DONE);
    expect([...readPtes(m, mm)]).toEqual(Array.from({ length: 8 }, (_, i) => [start + 8 + i, pfn + i]));
    expect([refs(m, pfn), rmaps(m, pfn), rss(m, mm)]).toEqual([8, 8, 8]);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("refuses a folio that reaches into the next table", () => {
    const m = mmMachine();
    const { mm, vma } = stage(m, 0x1f8);
    const pfn = runToEnd(allocPages(m.cpu, 2, GFP_KERNEL));
    expect(() => runToEnd(mapAnonymousFolio(m.cpu, mm, vma, 0x1fe, pfn, 2))).toThrow(
      "mapAnonymousFolio: the folio reaches beyond its table",
    );
    expect(runToEnd(mapAnonymousFolio(m.cpu, mm, vma, 0x1fc, pfn, 2))).toBe(VM_FAULT_DONE);
  });

  it("gives the folio back whole where one of its pages is mapped", () => {
    const m = mmMachine();
    const { mm, vma, start } = stage(m);
    runToEnd(doAnonymousPage(m.cpu, mm, vma, start + 3));
    const before = balances(m);
    const pfn = runToEnd(allocPages(m.cpu, 2, GFP_KERNEL));
    expect(runToEnd(mapAnonymousFolio(m.cpu, mm, vma, start, pfn, 2))).toBe(VM_FAULT_DONE);
    expect(mappedPages(m, mm)).toEqual([start + 3]);
    expect([balances(m), rss(m, mm)]).toEqual([before, 1]);
  });
});

describe("out of memory", () => {
  it("for the page: nothing has changed", () => {
    const m = mmMachine();
    const { mm, vma, start } = stage(m);
    whileShort(m, () => {
      const before = balances(m);
      expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, start))).toBe(VM_FAULT_OOM);
      expect(balances(m)).toEqual(before);
    });
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("for the anon_vma: the page is given back", () => {
    const m = mmMachine({ vmas: 1 });
    const { mm, vma, start } = stage(m);
    const hog = runToEnd(slabAlloc(m.cpu, m.map.root + MmGlobals.anonVmas));
    expect(hog).not.toBe(0);
    const before = balances(m);
    expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, start))).toBe(VM_FAULT_OOM);
    expect(balances(m)).toEqual(before);
    expect(m.words[mm + Mm.pgtablesBytes]).toBe(0);
  });

  it("for a table at any level: the page is given back, upper tables stay and are accounted for", () => {
    for (let room = 0; room < 3; room++) {
      const m = mmMachine({ tables: 1 + room });
      const { mm, vma, start } = stage(m);
      expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, start))).toBe(VM_FAULT_OOM);
      expect(balances(m)).toMatchObject({ pages: 1 + room, tables: 1 + room });
      expect([m.words[mm + Mm.pgtablesBytes], rss(m, mm)]).toEqual([room * 4096, 0]);
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });

  it("for the frame of a table: likewise", () => {
    for (let room = 0; room < 3; room++) {
      const m = mmMachine();
      const { mm, vma, start } = stage(m);
      const hoard = takeAllPages(m.cpu);
      // Pages for the faulting page itself and for some of its tables.
      for (const pfn of hoard.splice(0, 1 + room)) runToEnd(putPage(m.cpu, pfn));
      const before = pagesInUse(m);
      expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, start))).toBe(VM_FAULT_OOM);
      expect(pagesInUse(m)).toBe(before + room);
      expect([m.words[mm + Mm.pgtablesBytes], rss(m, mm)]).toEqual([room * 4096, 0]);
      for (const pfn of hoard) runToEnd(putPage(m.cpu, pfn));
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });
});

/** What a reaper does, after it was busy elsewhere for a while. */
function* reap(cpu: Cpu, mm: number, start: number): Steps<void> {
  yield* zap(cpu, mm, start + 1, start + 2);
  yield* setMmFlag(cpu, mm, MMF_UNSTABLE);
  yield* zap(cpu, mm, start, start + 1);
}

/** A fault that looks at MMF_UNSTABLE before it takes the lock (B7b): as it must not be. */
function* faultCheckingEarly(cpu: Cpu, mm: number, start: number): Steps<number> {
  const unstable = yield* mmFlagSet(cpu, mm, MMF_UNSTABLE);
  const pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
  const table = yield* pteAlloc(cpu, mm, start);
  const entry = table + PageTable.entries + (start % 512);
  const lock = pteLockOf(cpu, mm, table, start % 512);
  yield* spinLock(cpu, lock, PTE_LOCK);
  if (!unstable && load(cpu, entry) === 0) {
    yield* folioAddRmap(cpu, pfn, 1);
    yield* addMmCounter(cpu, mm, MM_ANONPAGES, 1);
    store(cpu, entry, (pfn << PTE_SHIFT) | PTE_PRESENT);
  }
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  return unstable ? VM_FAULT_SIGBUS : VM_FAULT_DONE;
}

describe("a fault against the reaper", () => {
  it("leaves no page behind the reaper, and gets SIGBUS or had its page zapped", () => {
    const m = mmMachine();
    const { mm, vma, start } = stageWarm(m);
    const results = [0, 0, 0];
    everySeed(m, {
      programs: [(cpu) => doAnonymousPage(cpu, mm, vma, start), (cpu) => reap(cpu, mm, start)],
      seeds: SEEDS,
      look: (outcome, seed) => {
        if (outcome.state === "finished") results[outcome.results[0] as number]!++;
        expect([mappedPages(m, mm), rss(m, mm)]).toEqual([[start + 15], 1]);
        if (seed % THOROUGH !== 0) return;
        endMm(m, mm);
        expect(faultsOf(m)).toEqual([]);
      },
    });
    expect(results[VM_FAULT_DONE]).toBeGreaterThan(SEEDS / 20);
    expect(results[VM_FAULT_SIGBUS]).toBeGreaterThan(SEEDS / 20);
  });

  it("would bring a page back if it looked at the flag outside the lock", () => {
    const m = mmMachine();
    const { mm, start } = stageWarm(m);
    const left = new Set<number>();
    everySeed(m, {
      programs: [(cpu) => faultCheckingEarly(cpu, mm, start), (cpu) => reap(cpu, mm, start)],
      seeds: SEEDS,
      look: () => left.add(mappedPages(m, mm).length),
    });
    expect([...left].sort()).toEqual([1, 2]);
  });
});

describe("userStore", () => {
  it("writes to the page and says so; says false where nothing is mapped", () => {
    const m = mmMachine();
    const { mm, start } = stageWarm(m);
    const pfn = readPtes(m, mm).get(start + 15) as number;
    expect(runToEnd(userStore(m.cpu, mm, start + 15, 1234))).toBe(true);
    expect(m.words[frameOf(m, pfn) + Frame.data]).toBe(1234);
    // A table that is not there, and an empty entry of one that is.
    expect(runToEnd(userStore(m.cpu, mm, start + 0x4000, 1))).toBe(false);
    expect(runToEnd(userStore(m.cpu, mm, start, 1))).toBe(false);
  });
});
