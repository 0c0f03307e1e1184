import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../../src/base/errors.ts";
import { checkLayout, countLayout, type LayoutRequest } from "../../../src/scenario/layout.ts";
import { buildLayout, LAYOUTS } from "../../../src/scenario/layouts/index.ts";

const SYNTHETIC = LAYOUTS.filter(({ sizes }) => sizes.length > 0);

describe.each(SYNTHETIC)("$name", (kind) => {
  test("is sound by default, fits four levels, and is the same for a seed", () => {
    const layout = checkLayout(kind.build({ seed: 1 }));
    const counts = countLayout(layout);
    expect(layout).toMatchObject({ name: kind.name, idea: kind.idea });
    expect(counts.presentPages).toBeGreaterThan(0);
    expect(counts.levels).toBe(4);
    expect(kind.build({ seed: 1 })).toEqual(layout);
  });

  test("has exactly the pages and VMAs asked for, or refuses in one line", () => {
    const request = fc.record(
      { pages: fc.integer({ min: -1, max: 3000 }), vmas: fc.integer({ min: -1, max: 50 }), seed: fc.integer() },
      { requiredKeys: ["seed"] },
    );
    fc.assert(
      fc.property(request, (asked) => {
        let layout: ReturnType<typeof kind.build>;
        try {
          layout = checkLayout(kind.build(asked));
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect((error as Error).message).toMatch(/^layout \S+: .+, expected .+$/);
          return;
        }
        const counts = countLayout(layout);
        if (asked.pages !== undefined) expect(counts.presentPages).toBe(asked.pages);
        if (asked.vmas !== undefined) expect(counts.vmas).toBe(asked.vmas);
      }),
    );
  });
});

function shape(name: string, request: Omit<LayoutRequest, "seed">): string {
  const { vmas, presentPages, pteTables } = countLayout(buildLayout(name, { ...request, seed: 1 }));
  return `${vmas} VMAs, ${presentPages} pages, ${pteTables} tables`;
}

test("the default shapes", () => {
  expect(shape("vmas-2m", {})).toBe("4096 VMAs, 2097152 pages, 4096 tables");
  expect(shape("one-vma", {})).toBe("1 VMAs, 2097152 pages, 4096 tables");
  expect(shape("small-vmas", {})).toMatch(/^30000 VMAs, 524288 pages, \d+ tables$/);
});

test("vmas-2m: the VMAs stay while the pages grow, and the other way round", () => {
  expect(shape("vmas-2m", { pages: 2 ** 24 })).toBe("4096 VMAs, 16777216 pages, 32768 tables");
  expect(shape("vmas-2m", { vmas: 8192 })).toBe("8192 VMAs, 2097152 pages, 8192 tables");
  expect(shape("vmas-2m", { pages: 10, vmas: 3 })).toBe("3 VMAs, 10 pages, 3 tables");
  const sizes = buildLayout("vmas-2m", { pages: 10, vmas: 3, seed: 1 }).vmas.map((vma) => vma.pages);
  expect(sizes).toEqual([4, 3, 3]);
});

test("vmas-2m: every VMA begins on a 2 MiB boundary and no two touch", () => {
  const { vmas } = buildLayout("vmas-2m", { pages: 100 * 513, vmas: 100, seed: 1 });
  for (const [i, vma] of vmas.entries()) {
    expect(vma.startVpn % 512).toBe(0);
    const before = vmas[i - 1];
    if (before !== undefined) expect(vma.startVpn).toBeGreaterThan(before.startVpn + before.pages);
  }
});

test("small-vmas: sizes and gaps vary with the seed, neighbours never touch, weights keep to 1 : 64", () => {
  const { vmas } = buildLayout("small-vmas", { seed: 1 });
  const sizes = vmas.map((vma) => vma.pages);
  const gaps = vmas
    .slice(1)
    .map((vma, i) => vma.startVpn - (vmas[i] as (typeof vmas)[0]).startVpn - (sizes[i] as number));
  expect(Math.min(...gaps)).toBe(1);
  expect(Math.max(...gaps)).toBe(16);
  expect(Math.min(...sizes)).toBeLessThan(4);
  expect(Math.max(...sizes)).toBeGreaterThan(60);
  expect(Math.max(...sizes)).toBeLessThan(80);
  expect(buildLayout("small-vmas", { seed: 2 }).vmas.map((vma) => vma.pages)).not.toEqual(sizes);
});

test("a 1 TiB victim is described at once, and at its real addresses", () => {
  const { vmas } = buildLayout("one-vma", { pages: 2 ** 28, seed: 1 });
  expect(vmas).toHaveLength(1);
  expect(vmas[0]?.startVpn.toString(16)).toBe("550000000");
  expect(shape("vmas-2m", { pages: 2 ** 28, vmas: 2 ** 19 })).toBe("524288 VMAs, 268435456 pages, 524288 tables");
});

test.each([
  ["one-vma", { vmas: 2 }, "layout one-vma: 2 VMAs, expected 1 (vmas-2m takes any number)"],
  ["vmas-2m", { pages: 3, vmas: 4 }, "layout vmas-2m: 3 pages in 4 VMAs, expected at least one page for each VMA"],
  ["vmas-2m", { vmas: 2 ** 23 }, "layout vmas-2m: 8388608 VMAs, expected at most 4194304"],
  ["one-vma", { pages: 2 ** 35 }, "layout one-vma: 34359738368 pages, expected at most 11542724608 (47-bit addresses)"],
  [
    "vmas-2m",
    { pages: 11542724600, vmas: 10 },
    "layout vmas-2m: needs addresses up to page 34359746560, expected at most 34359738368",
  ],
  ["small-vmas", { pages: 0.5 }, "layout small-vmas: 0.5 pages, expected a whole number from 1 on"],
  ["self", { pages: 4 }, "layout self: --pages 4 given, expected none (it comes from smaps)"],
  ["huge", {}, `layout huge: unknown, expected one of ${LAYOUTS.map(({ name }) => name).join(", ")}`],
])("%s refuses %o", (name, request, message) => {
  expect(() => buildLayout(name, { ...request, seed: 1 })).toThrow(new UsageError(message));
});
