import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { MaState } from "../../src/mm/maple-tree/index.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { firstVma, lastVma, nextVma, prevVma, vmaFrom, vmaUpTo } from "../../src/mm/vma-iter.ts";
import { vmaListNext } from "../../src/mm/vma-list.ts";
import { endMm } from "./mm-machine.ts";
import { mapSpans, type Span, spans, storeMachines } from "./vma-lab.ts";

/** Numbers near the ends of the spans, and two far from all. */
function interesting(all: readonly Span[]): number[] {
  return [0, 2 ** 34, ...all.flatMap(([first, end]) => [first - 1, first, end - 1, end]).filter((vpn) => vpn >= 0)];
}

for (const [store, m] of storeMachines) {
  describe(`VMAs in a ${store}`, () => {
    const walk = m.cpu.mm + CpuMm.walk;

    it("are visited in order, both ways, and found by page", () => {
      fc.assert(
        fc.property(spans, (all) => {
          const { mm, vmas } = mapSpans(m, all);
          const up: number[] = [];
          for (let v = firstVma(m.cpu, mm, walk); v !== 0; v = nextVma(m.cpu, v, walk)) up.push(v);
          expect(up).toEqual(vmas);
          const down: number[] = [];
          for (let v = lastVma(m.cpu, mm, walk); v !== 0; v = prevVma(m.cpu, v, walk)) down.push(v);
          expect(down).toEqual([...vmas].reverse());
          for (const vpn of interesting(all)) {
            const from = vmas[all.findIndex(([, end]) => end > vpn)] ?? 0;
            const upTo = vmas[all.findLastIndex(([first]) => first <= vpn)] ?? 0;
            expect([vmaFrom(m.cpu, mm, walk, vpn), vmaUpTo(m.cpu, mm, walk, vpn)], `page ${vpn}`).toEqual([from, upTo]);
          }
          endMm(m, mm);
        }),
        { seed: 1, numRuns: 100 },
      );
    });

    it("go on from a place in the middle, both ways", () => {
      const all: Span[] = Array.from({ length: 20 }, (_, i) => [i * 50, i * 50 + 1]);
      const { mm, vmas } = mapSpans(m, all);
      for (let i = 0; i < 20; i++) {
        const up: number[] = [];
        for (let v = vmaFrom(m.cpu, mm, walk, i * 50); v !== 0; v = nextVma(m.cpu, v, walk)) up.push(v);
        expect(up).toEqual(vmas.slice(i));
        const down: number[] = [];
        for (let v = vmaUpTo(m.cpu, mm, walk, i * 50); v !== 0; v = prevVma(m.cpu, v, walk)) down.push(v);
        expect(down).toEqual(vmas.slice(0, i + 1).reverse());
      }
      endMm(m, mm);
    });

    it("use the links exactly where the kernel version has them", () => {
      const { mm, vmas } = mapSpans(m, [
        [1, 2],
        [3, 4],
      ]);
      const [low, high] = vmas as [number, number];
      expect([m.words[mm + Mm.mmap], vmaListNext(m.cpu, low)]).toEqual(store === "list" ? [low, high] : [0, 0]);
      // A walk along the links needs no state, and keeps none.
      m.words.fill(0, walk, walk + MaState.WORDS);
      if (store === "list") expect([nextVma(m.cpu, low, walk), prevVma(m.cpu, high, walk)]).toEqual([high, low]);
      expect(m.words.subarray(walk, walk + MaState.WORDS).every((word) => word === 0)).toBe(true);
      endMm(m, mm);
    });
  });
}
