import { describe, expect, test } from "vitest";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { checkLayout, countLayout, type Layout, type LayoutVma } from "../../src/scenario/layout.ts";
import { buildLayout } from "../../src/scenario/layouts/index.ts";
import { shrinkLayout } from "../../src/scenario/shrink.ts";

function layoutOf(vmas: readonly LayoutVma[]): Layout {
  return checkLayout({ name: "own", idea: "", vmas, notes: ["kept"] });
}

test("what is small enough stays as it is", () => {
  const layout = buildLayout("small-vmas", { pages: 1000, vmas: 50, seed: 1 });
  expect(shrinkLayout(layout, 1000)).toBe(layout);
});

describe.each([1 / 2, 1 / 3, 1 / 10, 1 / 60])("%f of the pages", (share) => {
  const shrunk = (name: string, request: { pages?: number; vmas?: number } = {}) => {
    const layout = buildLayout(name, { ...request, seed: 1 });
    const whole = countLayout(layout);
    const part = countLayout(checkLayout(shrinkLayout(layout, Math.floor(whole.presentPages * share))));
    return { whole, part };
  };

  test("vmas-2m: fewer VMAs, as full as before", () => {
    const { whole, part } = shrunk("vmas-2m");
    expect(part.presentPages / whole.presentPages / share).toBeGreaterThan(0.8);
    expect(part.presentPages / whole.presentPages / share).toBeLessThan(1.25);
    expect(part.presentPages / part.vmas).toBe(512);
    expect(part.pteTables).toBe(part.vmas);
  });

  test("vmas-2m with larger VMAs: they stay whole", () => {
    const { part } = shrunk("vmas-2m", { pages: 2 ** 23 });
    expect(part.presentPages / part.vmas).toBe(2048);
  });

  test("one-vma: the one, shorter", () => {
    const { whole, part } = shrunk("one-vma");
    expect(part.vmas).toBe(1);
    expect(part.presentPages / whole.presentPages / share).toBeCloseTo(1, 1);
  });

  test("small-vmas: fewer VMAs, about as many to a table", () => {
    const { whole, part } = shrunk("small-vmas");
    expect(part.presentPages / whole.presentPages / share).toBeGreaterThan(0.8);
    expect(part.presentPages / whole.presentPages / share).toBeLessThan(1.25);
    const perTable = (of: typeof part): number => of.vmas / of.pteTables;
    if (share >= 1 / 3) expect(perTable(part) / perTable(whole)).toBeGreaterThan(0.7);
  });
});

test("few VMAs of equal size lose their share too", () => {
  const { presentPages } = countLayout(
    shrinkLayout(buildLayout("vmas-2m", { pages: 96 * 512, vmas: 96, seed: 1 }), 48 * 512),
  );
  expect(presentPages).toBe(48 * 512);
});

test("a large VMA among small ones is cut inside its runs, the small ones keep their holes", () => {
  const small = (i: number): LayoutVma => ({ startVpn: 100 + i * 20, pages: 10, flags: VM_WRITE, present: [2, 4] });
  const large: LayoutVma = {
    startVpn: 10_000,
    pages: 8192,
    flags: VM_WRITE,
    present: [0, 100, 1000, 3096, 5000, 3192],
  };
  const layout = layoutOf([...Array.from({ length: 100 }, (_, i) => small(i)), large]);
  const { vmas, notes } = checkLayout(shrinkLayout(layout, 1700));
  expect(notes).toEqual(["kept"]);
  expect(vmas.at(-1)).toEqual({ ...large, pages: 2560, present: [0, 100, 1000, 1560] });
  expect(vmas.slice(0, -1)).toEqual(Array.from({ length: 26 }, (_, i) => small(i)));
});
