import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { Random } from "../../src/base/random.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { mapleCheck, mtreeLoad } from "../../src/mm/maple-tree/index.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { userPages } from "../../src/mm/page-table.ts";
import { slabAlloc } from "../../src/mm/slab.ts";
import { VM_ACCOUNT, VM_WRITE, Vma, vmaEnd, vmaPages, vmaStart } from "../../src/mm/vma.ts";
import { checkVmaList, vmaListFirst, vmaListNext } from "../../src/mm/vma-list.ts";
import { balances, emptyMm, endMm, faultsOf, inUse, type MmMachine, mmMachine } from "./mm-machine.ts";

function map(m: MmMachine, mm: number, start: number, pages: number, flags = VM_WRITE): number {
  return runToEnd(mmapRegion(m.cpu, mm, start, pages, flags));
}

const field = (m: MmMachine, mm: number, at: number): number => m.words[mm + at] as number;
const committed = (m: MmMachine): number => m.words[m.map.root + MmGlobals.committed] as number;

describe("mmapRegion", () => {
  it("enters a VMA into the tree and, before v6.1, into the list", () => {
    for (const protocol of ["v4.14", "v6.1"]) {
      const m = mmMachine({ protocol });
      const mm = emptyMm(m);
      const starts = [0x500, 0, 0x7_ffff_fff0, 0x100];
      for (const start of starts) {
        const vma = map(m, mm, start, 16);
        expect([vmaStart(m.cpu, vma), vmaEnd(m.cpu, vma), vmaPages(m.cpu, vma)]).toEqual([start, start + 16, 16]);
        expect([m.words[vma + Vma.mm], m.words[vma + Vma.flags]]).toEqual([mm, VM_WRITE]);
        expect(mtreeLoad(m.cpu, mm + Mm.tree, start + 15)).toBe(vma);
      }
      expect(mapleCheck(m.words, mm + Mm.tree)).toEqual([]);
      expect(checkVmaList(m.words, mm + Mm.mmap)).toEqual([]);
      const listed: number[] = [];
      for (let v = vmaListFirst(m.cpu, mm + Mm.mmap); v !== 0; v = vmaListNext(m.cpu, v))
        listed.push(vmaStart(m.cpu, v));
      expect(listed).toEqual(protocol === "v4.14" ? [...starts].sort((a, b) => a - b) : []);
      expect([field(m, mm, Mm.mapCount), field(m, mm, Mm.totalVm)]).toEqual([4, 64]);
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });

  it("refuses a range that is taken, at either end or within, and changes nothing", () => {
    for (const protocol of ["v4.14", "v6.1"]) {
      const m = mmMachine({ protocol });
      const mm = emptyMm(m);
      expect(map(m, mm, 0x100, 0x10, VM_ACCOUNT)).not.toBe(0);
      const before = balances(m);
      for (const [start, pages] of [
        [0x100, 0x10],
        [0x108, 2],
        [0xf0, 0x11],
        [0x10f, 1],
        [0, 0x1000],
      ] as const) {
        expect(map(m, mm, start, pages, VM_ACCOUNT), `${pages} pages at ${start}`).toBe(0);
      }
      expect(balances(m)).toEqual(before);
      expect([field(m, mm, Mm.mapCount), field(m, mm, Mm.totalVm)]).toEqual([1, 0x10]);
      expect(map(m, mm, 0xf0, 0x10)).not.toBe(0);
      expect(map(m, mm, 0x110, 1)).not.toBe(0);
    }
  });

  it("answers 0 when VMAs or nodes run out", () => {
    const m = mmMachine({ vmas: 2 });
    const mm = emptyMm(m);
    expect([map(m, mm, 0, 1), map(m, mm, 2, 1)]).not.toContain(0);
    expect(map(m, mm, 4, 1)).toBe(0);
    const bare = mmMachine();
    const other = emptyMm(bare);
    while (runToEnd(slabAlloc(bare.cpu, bare.map.root + MmGlobals.nodes)) !== 0);
    const before = balances(bare);
    expect(map(bare, other, 0, 1, VM_ACCOUNT)).toBe(0);
    expect(balances(bare)).toEqual(before);
  });

  it("commits the pages of accounted mappings only, and gives that back at the end", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    map(m, mm, 0, 100, VM_ACCOUNT | VM_WRITE);
    map(m, mm, 200, 7, VM_WRITE);
    expect(committed(m)).toBe(100);
    endMm(m, mm);
    expect(committed(m)).toBe(0);
  });

  it("takes a mapping as large as user space, and no larger", () => {
    for (const levels of [4, 5] as const) {
      const m = mmMachine({ levels });
      const mm = emptyMm(m);
      expect(() => map(m, mm, 1, userPages(levels))).toThrow(
        `mmapRegion: page ${userPages(levels) + 1} is no user page`,
      );
      const vma = map(m, mm, 0, userPages(levels), VM_ACCOUNT);
      expect(vmaPages(m.cpu, vma)).toBe(userPages(levels));
      endMm(m, mm);
      expect([committed(m), faultsOf(m)]).toEqual([0, []]);
    }
  });

  it("stops at a mapping of no pages or below 0", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    expect(() => map(m, mm, 5, 0)).toThrow("mmapRegion: 0 pages at 5");
    expect(() => map(m, mm, -1, 3)).toThrow("mmapRegion: 3 pages at -1");
  });

  it("never lacks a maple node on a machine with room for so many VMAs, gaps between all of them", () => {
    const vmas = 600;
    const m = mmMachine({ vmas, mms: 1 });
    const random = new Random(7);
    const orders: ((i: number) => number)[] = [(i) => i, (i) => vmas - 1 - i, (i) => (i * 331) % vmas];
    const shuffled = Array.from({ length: vmas }, (_, i) => i).sort(() => random.unit() - 0.5);
    for (const order of [...orders, (i: number) => shuffled[i] as number]) {
      const mm = emptyMm(m);
      for (let i = 0; i < vmas; i++) expect(map(m, mm, 3 * order(i), 1)).not.toBe(0);
      expect(inUse(m, MmGlobals.vmas)).toBe(vmas);
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });
});
