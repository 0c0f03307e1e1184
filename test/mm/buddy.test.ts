import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { accountFreePages, freeOnePage, smallestFree, takeBlock } from "../../src/mm/buddy.ts";
import { CpuPcp } from "../../src/mm/pcp.ts";
import { largestBlocks, type PageMachine, pageMachine, toyShape } from "./page-machine.ts";

/** Buddy operations of one zone without locks and per-CPU lists. */
function buddyOf(machine: PageMachine, index = 0) {
  const cpu = machine.cpu(0);
  const zone = machine.zone(index);
  const account = (pages: number): void => {
    runToEnd(accountFreePages(cpu, zone, pages));
    // The check compares with the CPU's own counter of allocated pages.
    machine.words[cpu.mm + CpuPcp.pgalloc] = (machine.words[cpu.mm + CpuPcp.pgalloc] as number) - pages;
  };
  return {
    alloc(order: number): number {
      const from = smallestFree(machine.words, zone, order);
      if (from < 0) return 0;
      const pfn = takeBlock(machine.words, zone, from, order);
      machine.words[machine.frame(pfn)] = 1;
      machine.words[machine.frame(pfn) + 1] = order << 23;
      for (let i = 1; i < 1 << order; i++) machine.words[machine.frame(pfn + i) + 1] = (4 << 29) | pfn;
      account(-(1 << order));
      return pfn;
    },
    free(pfn: number, order: number): void {
      machine.words[machine.frame(pfn)] = 0;
      freeOnePage(machine.words, zone, pfn, order);
      account(1 << order);
    },
  };
}

describe("buddy", () => {
  it("boots into the largest blocks", () => {
    const machine = pageMachine(toyShape(5000));
    expect(machine.freeBlocks(0)).toEqual(largestBlocks(1, 5000));
    expect(machine.check()).toEqual({ managed: 4999, free: 4999, onLists: 0, allocated: 0 });
  });

  it("splits from the low end, so pages come in ascending order", () => {
    const machine = pageMachine({ ...toyShape(2048), zones: [{ node: 0, start: 1024, end: 2048 }] });
    const buddy = buddyOf(machine);
    const pfns = Array.from({ length: 1024 }, () => buddy.alloc(0));
    expect(pfns).toEqual(Array.from({ length: 1024 }, (_, i) => 1024 + i));
    expect(buddy.alloc(0)).toBe(0);
  });

  it("keeps the high halves of a split", () => {
    const machine = pageMachine({ ...toyShape(2048), zones: [{ node: 0, start: 1024, end: 2048 }] });
    const buddy = buddyOf(machine);
    expect(buddy.alloc(7)).toBe(1024);
    expect(machine.freeBlocks(0)).toEqual([
      [1152, 7],
      [1280, 8],
      [1536, 9],
    ]);
    expect(buddy.alloc(8)).toBe(1280);
    expect(buddy.alloc(10)).toBe(0);
  });

  it("takes the smallest block that is large enough", () => {
    const machine = pageMachine({ ...toyShape(1100), zones: [{ node: 0, start: 16, end: 1100 }] });
    // [16, 32) is the only block of order 4 below the rest.
    expect(buddyOf(machine).alloc(3)).toBe(1088);
    expect(buddyOf(machine).alloc(4)).toBe(16);
  });

  it("merges neither across a zone's borders nor past MAX_PAGE_ORDER", () => {
    const shape = {
      ...toyShape(4096),
      zones: [
        { node: 0, start: 1, end: 1537 },
        { node: 0, start: 1537, end: 4096 },
      ],
    };
    const machine = pageMachine(shape);
    const initial = [machine.freeBlocks(0), machine.freeBlocks(1)];
    expect(initial).toEqual([largestBlocks(1, 1537), largestBlocks(1537, 4096)]);
    const low = buddyOf(machine, 0);
    const high = buddyOf(machine, 1);
    // 1536 is the last page of the first zone, its buddy 1537 the first of the second.
    const taken = [low.alloc(0), low.alloc(0), high.alloc(0), high.alloc(0)];
    expect(taken.slice(0, 3)).toEqual([1, 1536, 1537]);
    low.free(1, 0);
    low.free(1536, 0);
    high.free(taken[3] as number, 0);
    high.free(1537, 0);
    expect([machine.freeBlocks(0), machine.freeBlocks(1)]).toEqual(initial);
    machine.check();
  });

  it("reuses the lowest block of an order first", () => {
    const machine = pageMachine(toyShape(4096));
    const buddy = buddyOf(machine);
    const pfns = Array.from({ length: 64 }, () => buddy.alloc(0));
    for (const pfn of [9, 41, 5, 17]) {
      expect(pfns).toContain(pfn);
      buddy.free(pfn, 0);
    }
    expect(Array.from({ length: 4 }, () => buddy.alloc(0))).toEqual([5, 9, 17, 41]);
  });

  it("notices a block that is freed twice", () => {
    const machine = pageMachine(toyShape(64));
    const buddy = buddyOf(machine);
    const pfns = [buddy.alloc(0), buddy.alloc(0), buddy.alloc(0)];
    for (const pfn of pfns) {
      buddy.free(pfn, 0);
      buddy.alloc(0);
    }
    buddy.free(3, 0);
    expect(() => buddy.free(3, 0)).toThrow("I2: freeOnePage: block 3 of order 0 is free already");
  });

  it("agrees with a set of free pages, and merges everything in the end", () => {
    const step = fc.record({ order: fc.integer({ min: 0, max: 10 }), pick: fc.nat(), free: fc.boolean() });
    const zones = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 100, max: 3000 }));
    fc.assert(
      fc.property(zones, fc.array(step, { maxLength: 120 }), ([start, end], steps) => {
        const machine = pageMachine({ ...toyShape(end), zones: [{ node: 0, start, end }] });
        const buddy = buddyOf(machine);
        const free = new Set(Array.from({ length: end - start }, (_, i) => start + i));
        const held: [number, number][] = [];
        for (const { order, pick, free: release } of steps) {
          if (release && held.length > 0) {
            const [[pfn, size]] = held.splice(pick % held.length, 1) as [[number, number]];
            buddy.free(pfn, size);
            for (let i = 0; i < 1 << size; i++) free.add(pfn + i);
          } else {
            const pfn = buddy.alloc(order);
            if (pfn === 0) {
              expect(hasBlock(free, start, end, order)).toBe(false);
              continue;
            }
            expect(pfn % (1 << order)).toBe(0);
            for (let i = 0; i < 1 << order; i++) expect(free.delete(pfn + i)).toBe(true);
            held.push([pfn, order]);
          }
        }
        expect(machine.check().free).toBe(free.size);
        for (const [pfn, order] of held) buddy.free(pfn, order);
        expect(machine.freeBlocks(0)).toEqual(largestBlocks(start, end));
        machine.check();
      }),
      { numRuns: 200 },
    );
  });
});

function hasBlock(free: ReadonlySet<number>, start: number, end: number, order: number): boolean {
  const size = 1 << order;
  for (let pfn = Math.ceil(start / size) * size; pfn + size <= end; pfn += size) {
    let i = 0;
    while (i < size && free.has(pfn + i)) i++;
    if (i === size) return true;
  }
  return false;
}
