import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { struct } from "../../src/arena/struct.ts";
import { slabAlloc, slabFree } from "../../src/mm/slab.ts";
import { initVma, Vma } from "../../src/mm/vma.ts";
import {
  checkVmaList,
  vmaListFirst,
  vmaListInsert,
  vmaListNext,
  vmaListPrev,
  vmaListRemove,
} from "../../src/mm/vma-list.ts";
import { type Bench, makeBench, poolOf, slabRegion } from "./pool-cpu.ts";

const Head = struct("head", { mmap: 1 });

interface ListLab extends Bench {
  readonly slab: number;
  readonly head: number;
}

function makeList(): ListLab {
  const head = { name: "head", struct: Head, count: 1 };
  const bench = makeBench([slabRegion("slab"), { name: "vmas", struct: Vma, count: 200 }, head]);
  return { ...bench, slab: poolOf(bench, "slab", "vmas"), head: bench.at("head") };
}

/** A VMA of one page. */
function pageVma(t: ListLab, page: number): number {
  const vma = runToEnd(slabAlloc(t.cpu, t.slab));
  initVma(t.cpu, vma, 1, page, page + 1, 0);
  return vma;
}

function walk(t: ListLab): number[] {
  const found: number[] = [];
  for (let vma = vmaListFirst(t.cpu, t.head); vma !== 0; vma = vmaListNext(t.cpu, vma)) found.push(vma);
  return found;
}

function walkBack(t: ListLab, last: number): number[] {
  const found: number[] = [];
  for (let vma = last; vma !== 0; vma = vmaListPrev(t.cpu, vma)) found.push(vma);
  return found;
}

describe("VMA list", () => {
  it("keeps address order, both ways, whatever comes and goes", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 150, size: "max" }), (pages) => {
        const t = makeList();
        const model = new Map<number, number>();
        for (const page of pages) {
          const known = model.get(page);
          if (known !== undefined) {
            vmaListRemove(t.cpu, t.head, known);
            model.delete(page);
          } else {
            const below = [...model.keys()].filter((p) => p < page);
            const prev = below.length > 0 ? (model.get(Math.max(...below)) as number) : 0;
            const vma = pageVma(t, page);
            vmaListInsert(t.cpu, t.head, vma, prev);
            model.set(page, vma);
          }
          const expected = [...model].sort((a, b) => a[0] - b[0]).map(([, vma]) => vma);
          expect(walk(t)).toEqual(expected);
          expect(walkBack(t, expected.at(-1) ?? 0)).toEqual(expected.reverse());
          expect(checkVmaList(t.words, t.head)).toEqual([]);
        }
      }),
      { numRuns: 40, interruptAfterTimeLimit: 10_000 },
    );
  });

  it("refuses overlaps, and the removal of a VMA that is not on it", () => {
    const t = makeList();
    const [a, b] = [pageVma(t, 5), pageVma(t, 5)];
    vmaListInsert(t.cpu, t.head, a, 0);
    expect(() => vmaListInsert(t.cpu, t.head, b, a)).toThrow("vmaListInsert: overlaps the VMA below");
    expect(() => vmaListInsert(t.cpu, t.head, b, 0)).toThrow("vmaListInsert: overlaps the VMA above");
    expect(() => vmaListRemove(t.cpu, t.head, b)).toThrow("vmaListRemove: the VMA is not on this list");
  });

  it("a walk that steps on a freed VMA stops (B5: mm->mmap left behind)", () => {
    const t = makeList();
    const vma = pageVma(t, 5);
    vmaListInsert(t.cpu, t.head, vma, 0);
    runToEnd(slabFree(t.cpu, t.slab, vma));
    expect(() => walk(t)).toThrow(/I1: use after free by CPU 0: vmas\[0\]\.next/);
  });

  it("checkVmaList names what is wrong", () => {
    const damage = (how: (t: ListLab, vmas: number[]) => void): string => {
      const t = makeList();
      const vmas = [3, 6, 9].map((page) => pageVma(t, page));
      vmas.forEach((vma, i) => {
        vmaListInsert(t.cpu, t.head, vma, i === 0 ? 0 : (vmas[i - 1] as number));
      });
      how(t, vmas);
      return checkVmaList(t.words, t.head).join("\n");
    };
    expect(damage(() => {})).toBe("");
    expect(
      damage((t, [a, b]) => {
        t.words[b! + Vma.prev] = b!;
        t.words[a! + Vma.prev] = 0;
      }),
    ).toMatch(/prev is \d+, expected/);
    expect(
      damage((t, [a, , c]) => {
        t.words[c! + Vma.next] = a!;
      }),
    ).toMatch(/on the list twice/);
    expect(
      damage((t, [, b]) => {
        t.words[b! + Vma.start] = 1;
      }),
    ).toMatch(/starts at page 1, below page 4/);
    expect(
      damage((t, [, b]) => {
        t.words[b! + Vma.next] = -3;
      }),
    ).toMatch(/next is -3, no address/);
  });
});
