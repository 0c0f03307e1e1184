/** Kills real processes where the kernel and a C compiler are there; else it looks at the reason. */

import { expect, test } from "vitest";
import { VM_READ, VM_WRITE } from "../../../src/mm/vma.ts";
import { Interrupted } from "../../../src/run/bench/context.ts";
import { measureMrelease } from "../../../src/run/bench/mrelease-rows.ts";
import { prepareMrelease } from "../../../src/run/native-mrelease.ts";
import { LAYOUT_START_VPN, type Layout } from "../../../src/scenario/layout.ts";
import { buildLayout } from "../../../src/scenario/layouts/index.ts";

function context(stopped = () => false) {
  const told: string[] = [];
  return {
    told,
    hooks: { progress: (text: string) => void told.push(text), stopped, modules: [] },
    throwIfStopped() {
      if (stopped()) throw new Interrupted();
    },
  };
}

function tiny(name: string, pages: number): Layout {
  return { ...buildLayout("vmas-2m", { pages, vmas: 8, seed: 1 }), name };
}

const EMPTY: Layout = {
  name: "empty",
  idea: "",
  vmas: [{ startVpn: LAYOUT_START_VPN, pages: 8, flags: VM_READ | VM_WRITE, present: [] }],
  notes: [],
};

test("a row per name; what cannot be killed says so in its own row", async () => {
  const hooks = context();
  const layouts = [tiny("a", 256), EMPTY, tiny("a", 512), tiny("b", 1024)];
  const result = await measureMrelease(hooks, { layouts, pairs: 2, seconds: 60 });
  const build = await prepareMrelease();
  if (!build.available) {
    expect(result).toEqual({ state: "absent", reason: build.reason });
    return;
  }
  if (result.state === "absent") throw new Error(result.reason);
  const [a, empty, b] = result.rows;
  expect(result.rows).toHaveLength(3);
  expect(empty).toEqual({ state: "absent", layout: "empty", pages: 0, reason: "it has no present page" });
  for (const [row, pages] of [[a, 256] as const, [b, 1024] as const]) {
    // The kernel itself may lack what its release promises.
    if (row?.state === "absent") expect(row.reason).toMatch(/process_mrelease on|memory|pages have/);
    else expect(row).toMatchObject({ pages, kernelPages: pages, kernelVmas: 8, notes: [], pairs: [{}, {}] });
  }
  expect(hooks.told).toContain("process_mrelease on this kernel: b");
});

test("a layout too large for the time is shrunk, and says by how much", async () => {
  const layouts = [buildLayout("one-vma", { seed: 1 })];
  const result = await measureMrelease(context(), { layouts, pairs: 1, seconds: 1 });
  if (result.state === "absent") return;
  const [row] = result.rows;
  if (row?.state !== "measured") return;
  expect(row.pages).toBe(2 ** 21);
  expect(row.kernelPages).toBeLessThan(2 ** 21);
  expect(row.notes[0]).toMatch(/^[\d,]+ of its 2,097,152 pages: more do not fit in the (time|memory)/);
});

test("without any time left nothing is started", async () => {
  const result = await measureMrelease(context(), { layouts: [tiny("a", 256)], pairs: 1, seconds: 0 });
  if (result.state === "absent") return;
  expect(result.rows).toEqual([
    { state: "absent", layout: "a", pages: 256, reason: "the time for all layouts was up" },
  ]);
});

test("stopped between or during kills it throws, and brings no half result", async () => {
  if (!(await prepareMrelease()).available) return;
  let asked = 0;
  const hooks = context(() => ++asked > 3);
  const request = { layouts: [tiny("a", 256)], pairs: 1e6, seconds: 600 };
  await expect(measureMrelease(hooks, request)).rejects.toThrow(Interrupted);
});
