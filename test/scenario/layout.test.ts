import fc from "fast-check";
import { expect, test } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { VM_HUGETLB, VM_PFNMAP, VM_READ } from "../../src/mm/vma.ts";
import { checkLayout, countLayout, type Layout, type LayoutVma, runsOf } from "../../src/scenario/layout.ts";

function layoutOf(...vmas: Partial<LayoutVma>[]): Layout {
  const filled = vmas.map((vma) => ({ startVpn: 100, pages: 10, flags: VM_READ, present: "all", ...vma }) as LayoutVma);
  return { name: "mine", idea: "a test", vmas: filled, notes: [] };
}

test("counts pages and the PTE tables that hold present pages, shared ones once", () => {
  const layout = layoutOf(
    { startVpn: 500, pages: 24 },
    { startVpn: 600, pages: 3000, present: [0, 1, 5, 2, 1000, 1] },
    { startVpn: 2 ** 35 - 4, pages: 4, present: [] },
  );
  expect(countLayout(layout)).toEqual({
    vmas: 3,
    mappedPages: 3028,
    presentPages: 28,
    ownPages: 28,
    pteTables: 3,
    levels: 4,
  });
});

test("an address above 2^47 needs five levels", () => {
  expect(countLayout(layoutOf({ startVpn: 2 ** 35 - 4, pages: 5 })).levels).toBe(5);
});

test("pages of every kind count, as tables do that hold no more than a swap entry; a huge PMD needs none", () => {
  const layout = checkLayout(
    layoutOf(
      {
        startVpn: 512,
        pages: 2048,
        present: [0, 1],
        filePages: [1, 4, 600, 1],
        swapped: [700, 1, 1600, 1],
        huge: [1024, 512],
      },
      { startVpn: 4096, pages: 512, flags: VM_HUGETLB, present: [], huge: [0, 512] },
      { startVpn: 8192, pages: 5, flags: VM_PFNMAP },
    ),
  );
  expect(countLayout(layout)).toMatchObject({ presentPages: 1030, ownPages: 1025, pteTables: 4 });
});

test("counting equals listing every page", () => {
  const run = fc.tuple(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 1500 }));
  fc.assert(
    fc.property(fc.array(fc.array(run, { maxLength: 4 }), { minLength: 1, maxLength: 4 }), (shapes) => {
      let next = 300;
      const vmas = shapes.map((runs) => {
        let offset = 0;
        const present = runs.flatMap(([hole, count]) => {
          const at = offset + hole;
          offset = at + count;
          return [at, count];
        });
        const vma = { startVpn: next, pages: offset + 1, present };
        next += vma.pages + 1;
        return vma;
      });
      const layout = checkLayout(layoutOf(...vmas));
      const pages = new Set<number>();
      for (const vma of layout.vmas) {
        const { present } = runsOf(vma);
        for (let r = 0; r < present.length; r += 2) {
          for (let i = 0; i < (present[r + 1] as number); i++) pages.add(vma.startVpn + (present[r] as number) + i);
        }
      }
      const counts = countLayout(layout);
      expect(counts.presentPages).toBe(pages.size);
      expect(counts.pteTables).toBe(new Set([...pages].map((vpn) => Math.floor(vpn / 512))).size);
    }),
  );
});

test.each<[string, Layout, string]>([
  ["no VMA", layoutOf(), "layout mine: has no VMA, expected at least one"],
  [
    "overlap",
    layoutOf({}, { startVpn: 109 }),
    "layout mine: VMA 1: begins at page 109, expected 110 or more (ascending, no overlap)",
  ],
  ["no pages", layoutOf({ pages: 0 }), "layout mine: VMA 0: startVpn 100, pages 0, expected whole numbers"],
  ["half pages", layoutOf({ startVpn: 1.5 }), "layout mine: VMA 0: startVpn 1.5, pages 10, expected whole numbers"],
  [
    "beyond user space",
    layoutOf({ startVpn: 2 ** 44 - 1, pages: 2 }),
    "layout mine: VMA 0: ends beyond page 17592186044416, where user space ends",
  ],
  ["folio order", layoutOf({ folioOrder: 11 }), "layout mine: VMA 0: folioOrder 11, expected 0..9"],
  ["odd runs", layoutOf({ present: [1] }), "layout mine: VMA 0: present has 1 numbers, expected [offset, count, ...]"],
  ["empty run", layoutOf({ present: [1, 0] }), "layout mine: VMA 0: present: run 0 is [1, 0]"],
  [
    "touching runs",
    layoutOf({ present: [1, 2, 3, 1] }),
    "layout mine: VMA 0: present: run 1 begins at 3, expected more than 3",
  ],
  ["run beyond the VMA", layoutOf({ present: [9, 2] }), "layout mine: VMA 0: present ends at 11, beyond its 10 pages"],
  [
    "runs of another kind that reach too far",
    layoutOf({ present: [], swapped: [9, 2] }),
    "layout mine: VMA 0: swapped ends at 11, beyond its 10 pages",
  ],
  [
    "a page of two kinds",
    layoutOf({ present: [0, 3], filePages: [2, 1] }),
    "layout mine: VMA 0: page 2 is in two of its lists of runs, expected one",
  ],
  [
    "huge pages off their boundaries",
    layoutOf({ startVpn: 100, pages: 2000, present: [], huge: [412, 512, 1435, 512] }),
    "layout mine: VMA 0: huge: 512 pages at page 1535, expected multiples of 512",
  ],
  [
    "half a huge page",
    layoutOf({ startVpn: 512, pages: 2000, present: [], huge: [0, 600] }),
    "layout mine: VMA 0: huge: 600 pages at page 512, expected multiples of 512",
  ],
  [
    "small pages of hugetlb",
    layoutOf({ flags: VM_HUGETLB, present: [], filePages: [0, 1] }),
    "layout mine: VMA 0: filePages in a VM_HUGETLB mapping, expected only huge",
  ],
])("refuses %s", (_, layout, message) => {
  expect(() => checkLayout(layout)).toThrow(new UsageError(message));
});
