import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { allocPagesBulk } from "../../src/mm/alloc-bulk.ts";
import { allocPages, GFP_KERNEL, putPage } from "../../src/mm/page-alloc.ts";
import { pageMachine } from "./page-machine.ts";

const SHAPE = {
  frames: 2000,
  zones: [
    { node: 0, start: 1, end: 1000 },
    { node: 1, start: 1000, end: 2000 },
  ],
  cpuNodes: [0, 1],
  minFreePages: 100,
  pcp: { batch: 16, high: 64 },
};

describe("allocPagesBulk", () => {
  it("hands out the pages that single allocations would, in their order, and leaves the same words", () => {
    const m = pageMachine(SHAPE);
    const cpu = m.cpu(1);
    const some = (): number[] => {
      m.reset();
      return Array.from({ length: 40 }, () => runToEnd(allocPages(cpu, 0, GFP_KERNEL)));
    };
    const free = (): void => {
      for (const pfn of some()) runToEnd(putPage(cpu, pfn));
    };
    free();
    const single = Array.from({ length: 10 }, () => runToEnd(allocPages(cpu, 0, GFP_KERNEL)));
    const words = m.words.slice();
    free();
    const bulk = new Int32Array(12);
    expect(runToEnd(allocPagesBulk(cpu, bulk, 2, 10))).toBe(10);
    expect([...bulk]).toEqual([0, 0, ...single]);
    expect(m.words.findIndex((word, i) => word !== words[i])).toBe(-1);
    expect(single.every((pfn) => pfn >= 1000)).toBe(true);
  });

  it("stops at the end of the CPU's list and never refills it", () => {
    const m = pageMachine(SHAPE);
    const cpu = m.cpu(0);
    const to = new Int32Array(100);
    expect(runToEnd(allocPagesBulk(cpu, to, 0, 100))).toBe(0);
    runToEnd(allocPages(cpu, 0, GFP_KERNEL));
    expect(runToEnd(allocPagesBulk(cpu, to, 0, 100))).toBe(15);
    expect(m.check().allocated).toBe(16);
  });

  it("hands nothing out below the low watermark", () => {
    const m = pageMachine(SHAPE);
    const cpu = m.cpu(0);
    const taken: number[] = [];
    for (let pfn = -1; pfn !== 0; ) {
      pfn = runToEnd(allocPages(cpu, 0, GFP_KERNEL));
      if (pfn !== 0) taken.push(pfn);
    }
    runToEnd(putPage(cpu, taken[0] as number));
    expect(runToEnd(allocPagesBulk(cpu, new Int32Array(1), 0, 1))).toBe(0);
  });
});
