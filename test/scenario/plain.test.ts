import { expect, test } from "vitest";
import { VM_HUGETLB, VM_PFNMAP, VM_READ, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { checkLayout, type Layout, type LayoutVma } from "../../src/scenario/layout.ts";
import { buildLayout } from "../../src/scenario/layouts/index.ts";
import { plainLayout } from "../../src/scenario/plain.ts";

function layoutOf(...vmas: readonly Partial<LayoutVma>[]): Layout {
  const filled = vmas.map((vma, i) => ({
    startVpn: 4096 * (i + 1),
    pages: 2048,
    flags: VM_WRITE,
    present: [],
    ...vma,
  }));
  return checkLayout({ name: "own", idea: "", vmas: filled, notes: ["kept"] });
}

test("private pages of all kinds become anonymous ones, all others and swap go", () => {
  const layout = layoutOf(
    { present: [0, 2], filePages: [2, 1, 9, 1], swapped: [20, 3], huge: [512, 512] },
    { flags: VM_READ | VM_SHARED, filePages: [0, 8], shmem: true },
    { flags: VM_READ | VM_HUGETLB, huge: [0, 512] },
    { flags: VM_READ | VM_PFNMAP, present: [0, 4] },
  );
  const { vmas, notes } = checkLayout(plainLayout(layout));
  expect(vmas.map(({ present }) => present)).toEqual([[0, 3, 9, 1, 512, 512], [], [], []]);
  expect(vmas.every((vma) => !("filePages" in vma) && !("swapped" in vma) && !("huge" in vma))).toBe(true);
  expect(vmas.map(({ flags }) => flags)).toEqual(layout.vmas.map(({ flags }) => flags));
  expect(notes).toEqual(["kept"]);
});

test("what is plain already stays itself", () => {
  const layout = buildLayout("small-vmas", { pages: 1000, vmas: 50, seed: 1 });
  expect(plainLayout(layout)).toBe(layout);
});
