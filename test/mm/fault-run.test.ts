import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, runToEnd } from "../../src/arena/mem.ts";
import { resetFigures } from "../../src/machine/race.ts";
import { allocPagesBulk } from "../../src/mm/alloc-bulk.ts";
import { doAnonymousPage, mapAnonymousFolio } from "../../src/mm/fault.ts";
import { faultAround, mapAround } from "../../src/mm/fault-run.ts";
import { GRANULARITY_MM, GRANULARITY_TABLE, MmGlobals } from "../../src/mm/globals.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_UNSTABLE, Mm } from "../../src/mm/mm-struct.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { getPage } from "../../src/mm/page.ts";
import { allocPages, GFP_KERNEL, putPage } from "../../src/mm/page-alloc.ts";
import { PTRS_PER_TABLE } from "../../src/mm/page-table.ts";
import { VM_FAULT_DONE } from "../../src/mm/vm-fault.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import {
  acquired,
  emptyMm,
  endMm,
  everySeed,
  faultsOf,
  type MmMachine,
  mappedPages,
  mmMachine,
  pagesInUse,
  refs,
  rmaps,
  rss,
  whileShort,
  zap,
} from "./mm-machine.ts";

const SEEDS = 1000;

/** An mm with one VMA from page 0 on, in which page `at` is present. */
function stage(m: MmMachine, at: number, pages = 4 * PTRS_PER_TABLE): { mm: number; vma: number } {
  const mm = emptyMm(m, 5);
  const vma = runToEnd(mmapRegion(m.cpu, mm, 0, pages, VM_WRITE));
  expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, at))).toBe(VM_FAULT_DONE);
  return { mm, vma };
}

function scratch(): Int32Array {
  return new Int32Array(PTRS_PER_TABLE);
}

/** Leaves the CPU's list, its free factor and the buddy as a process that came and went does. */
function disturb(m: MmMachine, pages: number): void {
  const held = Array.from({ length: pages }, () => runToEnd(allocPages(m.cpu, 0, GFP_KERNEL)));
  for (const pfn of held) if (pfn !== 0) runToEnd(putPage(m.cpu, pfn));
}

/** Pages [vpn, end): each faulted in by itself, or with what can be mapped behind it. */
function* faultAll(cpu: Cpu, mm: number, vma: number, vpn: number, end: number, together: boolean): Steps<void> {
  const room = scratch();
  for (let at = vpn; at < end; ) {
    const result = yield* doAnonymousPage(cpu, mm, vma, at);
    if (result !== VM_FAULT_DONE) throw new Error(`page ${at}: ${result}`);
    at++;
    if (together && at < end) at += yield* faultAround(cpu, mm, at, end, room);
  }
}

/** The same with frames that were taken before; they are used from the last to the first. */
function* mapAll(cpu: Cpu, mm: number, vma: number, vpn: number, end: number, together: boolean): Steps<void> {
  const pfns = new Int32Array(end - vpn);
  for (let i = 0; i < pfns.length; ) {
    pfns[i++] = yield* allocPages(cpu, 0, GFP_KERNEL);
    if (together) i += yield* allocPagesBulk(cpu, pfns, i, pfns.length - i);
  }
  pfns.reverse();
  for (let at = vpn; at < end; ) {
    const result = yield* mapAnonymousFolio(cpu, mm, vma, at, pfns[at - vpn] as number, 0);
    if (result !== VM_FAULT_DONE) throw new Error(`page ${at}: ${result}`);
    at++;
    if (together && at < end) at += yield* mapAround(cpu, mm, at, end, pfns, at - vpn);
  }
}

const runs = fc.array(fc.tuple(fc.nat(1500), fc.integer({ min: 1, max: 1200 })), { minLength: 1, maxLength: 3 });

/** Large enough for lists that are refilled by 15 pages at once. */
const FRAMES = 2 ** 16;

describe("faultAround and mapAround", () => {
  it.each([
    ["faultAround", faultAll],
    ["mapAround", mapAll],
  ])("%s leaves the words that faults of single pages leave", (_, fill) => {
    const m = mmMachine({ frames: FRAMES, minFreePages: 40, lockOrder: false });
    const fresh = m.words.slice();
    const filled = (pieces: [number, number][], disturbed: number, granularity: number, together: boolean) => {
      m.words.set(fresh);
      m.words[m.map.root + MmGlobals.lockGranularity] = granularity;
      disturb(m, disturbed);
      const mm = emptyMm(m, 3);
      let at = 0;
      for (const [gap, pages] of pieces) {
        const vma = runToEnd(mmapRegion(m.cpu, mm, at + gap, pages, VM_WRITE));
        at += gap + pages;
        runToEnd(fill(m.cpu, mm, vma, at - pages, at, together));
      }
      const locks = acquired(m, "pte_lock");
      resetFigures(m.words, m.map);
      return { words: m.words.slice(), locks };
    };
    fc.assert(
      fc.property(
        runs,
        fc.nat(700),
        fc.constantFrom(GRANULARITY_MM, GRANULARITY_TABLE),
        (pieces, held, granularity) => {
          const together = filled(pieces, held, granularity, true);
          const single = filled(pieces, held, granularity, false);
          expect(together.words.findIndex((word, i) => word !== single.words[i])).toBe(-1);
          // Fewer locks taken, or no page was mapped with its neighbour.
          const pages = pieces.reduce((sum, [, count]) => sum + count, 0);
          expect(single.locks).toBe(pages);
          expect(together.locks).toBeLessThan(Math.max(2, pages / 2 + 10));
        },
      ),
      { seed: 11, numRuns: 30 },
    );
  });

  it("takes one lock for the pages of a table, and no page of the next", () => {
    const m = mmMachine({ frames: FRAMES });
    const { mm } = stage(m, PTRS_PER_TABLE - 3);
    const before = acquired(m, "pte_lock");
    expect(runToEnd(faultAround(m.cpu, mm, PTRS_PER_TABLE - 2, 2000, scratch()))).toBe(2);
    expect(acquired(m, "pte_lock")).toBe(before + 1);
    expect(runToEnd(faultAround(m.cpu, mm, PTRS_PER_TABLE, 2000, scratch()))).toBe(0);
    expect(mappedPages(m, mm)).toEqual([509, 510, 511]);
    expect(rss(m, mm)).toBe(3);
  });

  it("stops at a page that is mapped, and gives back what it took for the others", () => {
    const m = mmMachine({ frames: FRAMES });
    const { mm, vma } = stage(m, 0);
    expect(runToEnd(doAnonymousPage(m.cpu, mm, vma, 5))).toBe(VM_FAULT_DONE);
    const before = pagesInUse(m);
    expect(runToEnd(faultAround(m.cpu, mm, 1, 12, scratch()))).toBe(4);
    expect(pagesInUse(m)).toBe(before + 4);
    expect(mappedPages(m, mm)).toEqual([0, 1, 2, 3, 4, 5]);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("does nothing with a lock per PTE, in an mm that is being reaped, or when memory is low", () => {
    const perPte = mmMachine({ frames: FRAMES, lockGranularity: "pte" });
    expect(runToEnd(faultAround(perPte.cpu, stage(perPte, 0).mm, 1, 9, scratch()))).toBe(0);
    const reaped = mmMachine({ frames: FRAMES });
    const { mm } = stage(reaped, 0);
    runToEnd(setMmFlag(reaped.cpu, mm, MMF_UNSTABLE));
    const before = pagesInUse(reaped);
    expect(runToEnd(faultAround(reaped.cpu, mm, 1, 9, scratch()))).toBe(0);
    expect(pagesInUse(reaped)).toBe(before);
    const low = mmMachine({ frames: FRAMES });
    const poor = stage(low, 0).mm;
    whileShort(low, () => expect(runToEnd(faultAround(low.cpu, poor, 1, 9, scratch()))).toBe(0));
  });

  it("leaves a page to its caller that somebody else knows", () => {
    const m = mmMachine({ frames: FRAMES });
    const { mm } = stage(m, 0);
    const pfns = Int32Array.from({ length: 3 }, () => runToEnd(allocPages(m.cpu, 0, GFP_KERNEL)));
    runToEnd(getPage(m.cpu, pfns[1] as number));
    expect(runToEnd(mapAround(m.cpu, mm, 1, 4, pfns, 0))).toBe(1);
    expect([...pfns].map((pfn) => [refs(m, pfn), rmaps(m, pfn)])).toEqual([
      [1, 1],
      [2, 0],
      [1, 0],
    ]);
  });

  it("races other faults and a reaper without losing or doubling a page", () => {
    const m = mmMachine({ frames: 600, minFreePages: 0, cpus: 3 });
    const { mm, vma } = stage(m, 0);
    disturb(m, 30);
    const mapped = new Set<number>();
    everySeed(m, {
      seeds: SEEDS,
      programs: [
        function* builder(cpu) {
          yield* doAnonymousPage(cpu, mm, vma, 1);
          mapped.add(yield* faultAround(cpu, mm, 2, 9, scratch()));
        },
        function* other(cpu) {
          yield* doAnonymousPage(cpu, mm, vma, 3);
        },
        function* reaper(cpu) {
          // Late enough to come in the middle of it.
          for (let i = 0; i < 25; i++) yield* atomicLoad(cpu, mm + Mm.mmUsers);
          yield* setMmFlag(cpu, mm, MMF_UNSTABLE);
          yield* zap(cpu, mm, 0, 16);
        },
      ],
      look: () => {
        // What was installed after the reaper had passed would never be found again.
        expect(mappedPages(m, mm)).toEqual([]);
        expect(rss(m, mm)).toBe(0);
        endMm(m, mm);
        expect(faultsOf(m)).toEqual([]);
      },
    });
    // All that the list had, up to a page of the other's, none.
    expect([...mapped].sort()).toEqual([0, 1, 2]);
  });
});
