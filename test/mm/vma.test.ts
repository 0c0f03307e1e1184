import { expect, it } from "vitest";
import { load, runToEnd } from "../../src/arena/mem.ts";
import { slabAlloc } from "../../src/mm/slab.ts";
import { initVma, VM_READ, VM_WRITE, Vma, vmaEnd, vmaPages, vmaStart } from "../../src/mm/vma.ts";
import { loadVpn, MAX_VPN, readVpn, storeVpn } from "../../src/mm/vpn.ts";
import { makeBench, poolOf, slabRegion } from "./pool-cpu.ts";

const bench = makeBench([slabRegion("slab"), { name: "vmas", struct: Vma, count: 4 }]);
const slab = poolOf(bench, "slab", "vmas");
const vma = runToEnd(slabAlloc(bench.cpu, slab));

it("a VMA keeps ranges of 45-bit page numbers", () => {
  initVma(bench.cpu, vma, 4711, 2 ** 44 + 5, MAX_VPN + 1, VM_READ | VM_WRITE);
  expect(vmaStart(bench.cpu, vma)).toBe(2 ** 44 + 5);
  expect(vmaEnd(bench.cpu, vma)).toBe(2 ** 45);
  expect(vmaPages(bench.cpu, vma)).toBe(2 ** 44 - 5);
  expect(load(bench.cpu, vma + Vma.mm)).toBe(4711);
  expect(load(bench.cpu, vma + Vma.flags)).toBe(VM_READ | VM_WRITE);
});

it.each([
  [5, 5],
  [-1, 5],
  [5, MAX_VPN + 2],
])("refuses the range [%i, %i)", (start, end) => {
  expect(() => initVma(bench.cpu, vma, 0, start, end, 0)).toThrow(/initVma: expected/);
});

it.each([0, 1, 2 ** 30 - 1, 2 ** 30, 2 ** 31 + 7, 2 ** 32 - 1, 2 ** 32, 2 ** 44 + 2 ** 29, MAX_VPN, 2 ** 45])(
  "page number %i survives storing, in words that are never negative",
  (vpn) => {
    const at = vma + Vma.start;
    storeVpn(bench.cpu, at, vpn);
    expect(loadVpn(bench.cpu, at)).toBe(vpn);
    expect(readVpn(bench.words, at)).toBe(vpn);
    expect(bench.words[at]).toBeGreaterThanOrEqual(0);
    expect(bench.words[at + 1]).toBeGreaterThanOrEqual(0);
  },
);
