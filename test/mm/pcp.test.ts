import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { allocPages, GFP_KERNEL, putPage } from "../../src/mm/page-alloc.ts";
import { CpuPcp, drainPages, PcpList, pcpRingWords, ZonePcp, zonePcp } from "../../src/mm/pcp.ts";
import { Zone, zoneBatchsize, zoneHighsize } from "../../src/mm/zone.ts";
import { largestBlocks, pageMachine, toyShape } from "./page-machine.ts";

function setup(batch = 4, high = 16, frames = 1024) {
  const machine = pageMachine(toyShape(frames, 1, batch, high));
  const cpu = machine.cpu(0);
  const pcp = zonePcp(cpu, 0);
  return {
    machine,
    cpu,
    alloc: (order = 0): number => runToEnd(allocPages(cpu, order, GFP_KERNEL)),
    put: (pfn: number): void => runToEnd(putPage(cpu, pfn)),
    drain: (): void => runToEnd(drainPages(cpu)),
    /** Pages on this CPU's lists. */
    held: (): number => machine.words[pcp + ZonePcp.count] as number,
    /** Pages in the buddy. */
    free: (): number => machine.words[machine.zone(0) + Zone.nrFreePages] as number,
    /** pfns on the list of `order`, from the cold end to the hot one. */
    list(order: number): number[] {
      const at = pcp + ZonePcp.lists + order * PcpList.WORDS;
      const [ring, mask, cold, hot] = machine.words.subarray(at, at + PcpList.WORDS) as unknown as number[];
      const held = ((hot as number) - (cold as number)) | 0;
      return Array.from({ length: held }, (_, i) => {
        const slot = ((cold as number) + i) & (mask as number);
        return machine.words[(ring as number) + slot] as number;
      });
    },
  };
}

describe("per-CPU lists", () => {
  it("refill by one batch and hand it out in ascending order", () => {
    const { alloc, held, free, machine } = setup(4, 16);
    expect(Array.from({ length: 9 }, () => alloc())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(held()).toBe(3);
    expect(free()).toBe(1023 - 12);
    machine.check();
  });

  it("reuse the page freed last", () => {
    const { alloc, put } = setup();
    const pfns = [alloc(), alloc(), alloc()];
    put(pfns[0] as number);
    put(pfns[2] as number);
    expect([alloc(), alloc()]).toEqual([pfns[2], pfns[0]]);
  });

  it("scale the refill with the order, but take two blocks at least", () => {
    const { alloc, held } = setup(7, 64);
    alloc(1);
    expect(held()).toBe(2 * 2);
    const other = setup(7, 64);
    other.alloc(3);
    expect(other.held()).toBe(8);
  });

  it("hold no pages back where the batch is one", () => {
    const { alloc, held } = setup(1, 4);
    alloc();
    alloc(2);
    expect(held()).toBe(0);
  });

  it("free the coldest batch at the high mark, and twice as many each time after that", () => {
    const { alloc, put, list, held, free, machine } = setup(4, 32);
    const pfns = Array.from({ length: 100 }, () => alloc());
    const rounds: number[] = [];
    const before = free();
    for (const pfn of pfns) {
      const was = free();
      put(pfn);
      if (free() !== was) rounds.push(free() - was);
    }
    // 4, 8, 16, then no more than high - batch.
    expect(rounds).toEqual([4, 8, 16, 28, 28]);
    expect(list(0)).toEqual(pfns.slice(84));
    expect(held() + free()).toBe(before + 100);
    machine.check();
  });

  it("forget that factor as pages are allocated", () => {
    const { alloc, put, free } = setup(4, 16);
    const pfns = Array.from({ length: 64 }, () => alloc());
    const freedBy = (n: number): number => {
      const was = free();
      for (let i = 0; i < n; i++) put(pfns.pop() as number);
      return free() - was;
    };
    expect(freedBy(16)).toBe(4);
    expect(freedBy(4)).toBe(8);
    for (let i = 0; i < 3; i++) pfns.push(alloc());
    expect(freedBy(11)).toBe(4);
  });

  it("free from the list that ran over first, then from the others", () => {
    const { alloc, put, list, machine } = setup(4, 16);
    const single = [alloc(), alloc(), alloc(), alloc()];
    const blocks = [alloc(2), alloc(2), alloc(2)];
    for (const pfn of single) put(pfn);
    expect(list(2)).toHaveLength(1);
    put(blocks[0] as number);
    put(blocks[1] as number);
    // 4 + 3 * 4 pages reach the high mark: one batch goes, the spare block of the refill, which is the coldest.
    expect(list(2)).toEqual(blocks.slice(0, 2));
    expect(list(0)).toEqual(single);
    machine.check();
  });

  it("give large blocks straight to the buddy", () => {
    const { alloc, put, held, free } = setup();
    const was = free();
    const pfn = alloc(4);
    expect([held(), free()]).toEqual([0, was - 16]);
    put(pfn);
    expect([held(), free()]).toEqual([0, was]);
  });

  it("drain into the blocks of a fresh machine", () => {
    const { machine, alloc, put, drain } = setup(7, 64);
    const pfns = Array.from({ length: 200 }, (_, i) => alloc(i % 4));
    for (const pfn of pfns) put(pfn);
    drain();
    expect(machine.freeBlocks(0)).toEqual(largestBlocks(1, 1024));
    expect(machine.check()).toEqual({ managed: 1023, free: 1023, onLists: 0, allocated: 0 });
  });

  it("count what they allocate and free", () => {
    const { machine, cpu, alloc, put } = setup();
    put(alloc(2));
    alloc();
    expect(machine.words[cpu.mm + CpuPcp.pgalloc]).toBe(5);
    expect(machine.words[cpu.mm + CpuPcp.pgfree]).toBe(4);
  });

  it("have room for what their marks allow", () => {
    for (const [high, batch, order] of [
      [8, 2, 0],
      [4096, 63, 0],
      [20480, 63, 3],
      [4, 1, 2],
    ] as const) {
      const words = pcpRingWords(high, batch, order);
      expect(Math.log2(words) % 1).toBe(0);
      expect(words).toBeGreaterThan((high >> order) + batch);
    }
  });

  it("are sized by the kernel's formulas", () => {
    expect([2 ** 28, 2 ** 21, 2 ** 18].map(zoneBatchsize)).toEqual([63, 63, 63]);
    expect([2 ** 16, 2 ** 14, 2 ** 10].map(zoneBatchsize)).toEqual([15, 3, 1]);
    expect(zoneHighsize(5000, 2, 63)).toBe(2500);
    expect(zoneHighsize(100, 2, 63)).toBe(252);
  });

  it("agree with a stack that loses its bottom, whatever the order of frees", () => {
    const batches = fc.array(fc.integer({ min: -40, max: 40 }), { maxLength: 40 });
    fc.assert(
      fc.property(batches, fc.integer({ min: 2, max: 9 }), fc.infiniteStream(fc.nat()), (moves, batch, picks) => {
        const { machine, alloc, put, drain, list, held } = setup(batch, 8 * batch, 512);
        const used: number[] = [];
        for (const move of moves) {
          for (let i = 0; i < move; i++) {
            const expected = list(0).at(-1);
            const pfn = alloc();
            if (pfn === 0) break;
            if (expected !== undefined) expect(pfn).toBe(expected);
            used.push(pfn);
          }
          for (let i = move; i < 0 && used.length > 0; i++) {
            const [pfn] = used.splice((picks.next().value as number) % used.length, 1) as [number];
            const before = list(0);
            put(pfn);
            const after = list(0);
            expect([...before, pfn].slice(before.length + 1 - after.length)).toEqual(after);
            expect(held()).toBeLessThan(8 * batch);
          }
        }
        expect(machine.check().allocated).toBe(used.length);
        for (const pfn of used) put(pfn);
        drain();
        expect(machine.freeBlocks(0)).toEqual(largestBlocks(1, 512));
      }),
      { numRuns: 100 },
    );
  });
});
