import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { OP_STORE, runToEnd } from "../../src/arena/mem.ts";
import { countTables, type Mapping } from "../../src/machine/address-space.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { freePgtables, removeVmas } from "../../src/mm/free-pgtables.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { mmdrop } from "../../src/mm/mm.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { MmuGather, tlbFinishMmu, tlbGatherMmu } from "../../src/mm/mmu-gather.ts";
import { PageTable } from "../../src/mm/page-table.ts";
import { unmapVmas } from "../../src/mm/unmap.ts";
import { VM_ACCOUNT, VM_WRITE, Vma } from "../../src/mm/vma.ts";
import { firstVma } from "../../src/mm/vma-iter.ts";
import {
  balances,
  buildMm,
  emptyMm,
  endMm,
  faultsOf,
  full,
  gatherAt,
  inUse,
  type MmMachine,
  mmMachine,
  type Op,
  pagesInUse,
  tableAt,
  watchingPort,
} from "./mm-machine.ts";
import { MOST_VMAS, type Span, spans } from "./vma-lab.ts";

const bytes = (m: MmMachine, mm: number): number => m.words[mm + Mm.pgtablesBytes] as number;
const tables = (m: MmMachine): number => inUse(m, MmGlobals.tables);
const T = 512;

/** What exit_mmap does before it frees tables, up to them. */
function unmapAll(cpu: Cpu, mm: number): void {
  runToEnd(tlbGatherMmu(cpu, mm));
  runToEnd(unmapVmas(cpu, mm));
}

/** Frees the tables and asserts that none but the top is left, before anything else of the teardown happens. */
function expectTablesGone(m: MmMachine, mm: number): void {
  unmapAll(m.cpu, mm);
  runToEnd(freePgtables(m.cpu, mm));
  expect(bytes(m, mm)).toBe(0);
  runToEnd(tlbFinishMmu(m.cpu));
  expect(tables(m)).toBe(1);
  runToEnd(removeVmas(m.cpu, mm));
  m.words[mm + Mm.mmUsers] = 0;
  runToEnd(mmdrop(m.cpu, mm));
  expect(faultsOf(m)).toEqual([]);
}

describe("freePgtables", () => {
  const pages = fc.array(fc.nat(1600), { maxLength: 3 });
  const spaces = fc.tuple(spans, fc.array(pages, { minLength: MOST_VMAS, maxLength: MOST_VMAS }));

  /** Mappings of the spans with some pages present. */
  function mappingsOf(all: readonly Span[], present: readonly number[][]): Mapping[] {
    return all.map(([first, end], i) => {
      const length = end - first;
      const offsets = [...new Set((present[i] as number[]).map((page) => page % length))].sort((a, b) => a - b);
      return { startVpn: first, pages: length, flags: VM_WRITE, present: offsets.flatMap((offset) => [offset, 1]) };
    });
  }

  for (const protocol of ["v4.14", "v6.1"]) {
    for (const levels of [4, 5] as const) {
      it(`leaves nothing of any address space, ${levels} levels, VMAs as in ${protocol}`, () => {
        const m = mmMachine({ protocol, levels, vmas: MOST_VMAS, tables: 400, frames: 700 });
        fc.assert(
          fc.property(spaces, ([all, present]) => {
            const mappings = mappingsOf(all, present);
            const mm = buildMm(m, mappings);
            expect(tables(m)).toBe(countTables(mappings, levels));
            expect(bytes(m, mm)).toBe((countTables(mappings, levels) - 1) * 4096);
            expectTablesGone(m, mm);
          }),
          { seed: 2, numRuns: 60 },
        );
      });
    }
  }

  it("leaves a table to the last of the VMAs that share it", () => {
    // Neighbours in one table; tables apart in one level-1 table; in one level-2 table; in none but the top.
    for (const second of [5, T - 1, 2 * T, 511 * T + 3, T * T, 3 * T * T + 1, T * T * T, 200 * T * T * T + 7]) {
      const m = mmMachine();
      const mm = buildMm(m, [full(0, 5), full(second, 1), full(second + 2, 1)]);
      expectTablesGone(m, mm);
    }
  });

  it("frees a table before its last sharer only when nothing above needs it", () => {
    // VMAs A and B share the level-1 table, not the level-0 ones.
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 1), full(3 * T, 1)]);
    const shared = tableAt(m, mm, 0, 1);
    const order: number[] = [];
    const seen = ({ kind, word, a }: Op): void => {
      if (kind === OP_STORE && a === 0 && word >= m.map.tables.base) order.push(word - PageTable.entries);
    };
    unmapAll(m.cpu, mm);
    const [top, second] = [m.words[mm + Mm.pgd] as number, tableAt(m, mm, 0, 2)];
    runToEnd(freePgtables(m.handle(0, watchingPort(seen)), mm));
    expect(order).toEqual([shared, shared + 3, second, top]);
  });

  it("queues the tables for after the flush: none is free before", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 1), full(T, 1)]);
    unmapAll(m.cpu, mm);
    const before = [tables(m), pagesInUse(m)];
    runToEnd(freePgtables(m.cpu, mm));
    expect([tables(m), pagesInUse(m)]).toEqual(before);
    expect(m.words[gatherAt(m, 0) + MmuGather.needFlush]).toBe(1);
    runToEnd(tlbFinishMmu(m.cpu));
    expect(tables(m)).toBe(1);
  });

  it("unlinks the reverse map of a VMA before its tables go", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 1), full(10, 1), full(20 * T, 1)]);
    const vmas: number[] = [];
    for (let i = 0; i < 3; i++) vmas.push(m.map.vmas.base + i * Vma.WORDS);
    const linked: number[] = [];
    const seen = ({ kind, word, a }: Op): void => {
      if (kind !== OP_STORE || a !== 0 || word < m.map.tables.base) return;
      linked.push(vmas.filter((vma) => m.words[vma + Vma.anonVma] !== 0).length);
    };
    unmapAll(m.cpu, mm);
    runToEnd(freePgtables(m.handle(0, watchingPort(seen)), mm));
    // One table of the first two, which share it; then the third's, and what is above.
    expect(linked).toEqual([1, 0, 0, 0]);
    expect(inUse(m, MmGlobals.anonVmas)).toBe(0);
  });

  it("has nothing to do for VMAs that never faulted, or for none", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 5, { present: [] }), full(0x7000, 5, { present: [] })]);
    expect(tables(m)).toBe(1);
    expectTablesGone(m, mm);
    expectTablesGone(m, emptyMm(m));
  });

  it("reaches the last user page of four and five levels", () => {
    for (const levels of [4, 5] as const) {
      const m = mmMachine({ levels });
      const end = levels === 4 ? 2 ** 35 : 2 ** 44;
      const mm = buildMm(m, [full(0, 1), full(end - 1, 1)]);
      expect(tables(m)).toBe(2 * levels - 1);
      expectTablesGone(m, mm);
    }
  });
});

describe("removeVmas", () => {
  it("frees VMAs, nodes and what was promised; the mm knows none of them any more", () => {
    for (const protocol of ["v4.14", "v6.1"]) {
      const m = mmMachine({ protocol, vmas: 40 });
      const mm = emptyMm(m);
      for (let i = 0; i < 40; i++) {
        runToEnd(mmapRegion(m.cpu, mm, i * 10, 5, i % 2 === 0 ? VM_ACCOUNT : VM_WRITE));
      }
      expect(balances(m)).toMatchObject({ vmas: 40, committed: 100 });
      runToEnd(removeVmas(m.cpu, mm));
      expect(balances(m)).toMatchObject({ vmas: 0, nodes: 0, committed: 0 });
      expect([m.words[mm + Mm.mapCount], m.words[mm + Mm.mmap], firstVma(m.cpu, mm, m.cpu.mm + CpuMm.walk)]).toEqual([
        0, 0, 0,
      ]);
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });

  it("stops when the count of VMAs is not what it finds", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0, 1)]);
    m.words[mm + Mm.mapCount] = 2;
    expect(() => runToEnd(removeVmas(m.cpu, mm))).toThrow("removeVmas: 1 VMAs, map_count 2");
  });
});
