/** Every listed order, over random address spaces: what `TraversalOrder` promises. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "../../src/base/random.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { Cursor } from "../../src/mm/traversal/cursor.ts";
import { TRAVERSAL_ORDERS } from "../../src/mm/traversal/index.ts";
import { endMm, mmMachine } from "../mm/mm-machine.ts";
import { type Range, walkOrder } from "../mm/traversal/walk.ts";
import { mapSpans, type Span, spans, storeMachines } from "../mm/vma-lab.ts";

const RUNS = { seed: 3, numRuns: 150 };

/** The spans that ranges cover, joined where they touch within one VMA; ascending. Throws where two overlap. */
function union(ranges: readonly Range[], overlaps = false): Span[] {
  const joined: (Range & { last: number })[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start || a.end - b.end)) {
    const before = joined.at(-1);
    if (before !== undefined && before.vma === range.vma && range.start <= before.last) {
      if (!overlaps && range.start < before.last) throw new Error(`pages from ${range.start} on come twice`);
      before.last = Math.max(before.last, range.end);
    } else {
      joined.push({ ...range, last: range.end });
    }
  }
  return joined.map(({ start, last }) => [start, last]);
}

/** Each range lies in the VMA that it names. */
function expectInside(ranges: readonly Range[], all: readonly Span[], vmas: readonly number[]): void {
  for (const { vma, start, end } of ranges) {
    const [first, last] = all[vmas.indexOf(vma)] as Span;
    if (!(first <= start && start < end && end <= last)) {
      throw new Error(`range [${start}, ${end}) is not in its VMA [${first}, ${last})`);
    }
  }
}

for (const order of TRAVERSAL_ORDERS) {
  describe(order.name, () => {
    for (const [store, m] of storeMachines) {
      it(`covers every VMA, no page twice (${store})`, () => {
        fc.assert(
          fc.property(spans, (all) => {
            const { mm, vmas } = mapSpans(m, all);
            const ranges = walkOrder(m, mm, order);
            expectInside(ranges, all, vmas);
            expect(union(ranges)).toEqual(all);
            endMm(m, mm);
          }),
          RUNS,
        );
      });

      it(`comes back for each range that was busy, and ends (${store})`, () => {
        let answers = 0;
        fc.assert(
          fc.property(spans, fc.integer(), fc.constantFrom(0.05, 0.5, 1), (all, seed, odds) => {
            const { mm, vmas } = mapSpans(m, all);
            const random = new Random(seed);
            const ranges = walkOrder(m, mm, order, () => random.unit() < odds);
            expectInside(ranges, all, vmas);
            expect(
              union(
                ranges.filter(({ busy }) => !busy),
                true,
              ),
            ).toEqual(all);
            ranges.forEach(({ vma, start, end, busy }, at) => {
              if (!busy) return;
              answers++;
              const again = union(
                ranges.slice(at + 1).filter((later) => later.vma === vma && !later.busy),
                true,
              );
              if (!again.some(([from, to]) => from <= start && end <= to)) {
                throw new Error(`[${start}, ${end}) was busy and never came again`);
              }
            });
            endMm(m, mm);
          }),
          RUNS,
        );
        const tries = order.mayTry(m.cpu, m.cpu.mm + CpuMm.cursor);
        if (tries) expect(answers).toBeGreaterThan(100);
      });

      it(`has its whole position in the cursor's words (${store})`, () => {
        fc.assert(
          fc.property(spans, fc.integer(), (all, seed) => {
            const { mm } = mapSpans(m, all);
            const walk = (hop: boolean): Range[] => {
              const random = new Random(seed);
              return walkOrder(m, mm, order, () => random.unit() < 0.3, hop);
            };
            expect(walk(true)).toEqual(walk(false));
            endMm(m, mm);
          }),
          { ...RUNS, numRuns: 60 },
        );
      });

      it(`writes to nothing else (${store})`, () => {
        const { mm } = mapSpans(m, [
          [0, 1000],
          [1200, 1300],
          [2 ** 20, 2 ** 20 + 700],
        ]);
        const cursor = m.cpu.mm + CpuMm.cursor;
        const before = m.words.slice();
        walkOrder(m, mm, order, () => true);
        expect(m.words.subarray(cursor, cursor + Cursor.WORDS).some((word, i) => word !== before[cursor + i])).toBe(
          true,
        );
        before.copyWithin(cursor, cursor, cursor);
        before.set(m.words.subarray(cursor, cursor + Cursor.WORDS), cursor);
        expect(Buffer.compare(Buffer.from(before.buffer), Buffer.from(m.words.buffer))).toBe(0);
        endMm(m, mm);
      });
    }

    it("starts over whatever its cursor held", () => {
      const m = mmMachine();
      const { mm } = mapSpans(m, [
        [10, 20],
        [600, 1700],
        [5000, 5001],
      ]);
      const cursor = m.cpu.mm + CpuMm.cursor;
      const clean = walkOrder(m, mm, order, (start) => start === 10);
      m.words.fill(0x1234567, cursor, cursor + Cursor.WORDS);
      expect(walkOrder(m, mm, order, (start) => start === 10)).toEqual(clean);
    });

    it("says what it is", () => {
      expect(order.name).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(order.idea.length).toBeGreaterThan(20);
    });
  });
}
