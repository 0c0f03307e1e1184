import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { Frame, linkOwner, linkType, PAGE_TYPE_TABLE } from "../../src/mm/page.ts";
import {
  allocTable,
  entrySpan,
  findPteTable,
  freeTable,
  PageTable,
  PageTableWithPteLocks,
  PTRS_PER_TABLE,
  pteAlloc,
  pteLockOf,
  tableIndex,
  userPages,
} from "../../src/mm/page-table.ts";
import { VPN_BITS } from "../../src/mm/vpn.ts";
import {
  balances,
  emptyMm,
  endMm,
  everySeed,
  faultsOf,
  frameOf,
  inUse,
  mmMachine,
  pagesInUse,
  tableAt,
  whileShort,
} from "./mm-machine.ts";

const SEEDS = 1000;

describe("addresses", () => {
  it("are cut into nine bits a level, all 45 of them", () => {
    expect([0, 1, 2, 3, 4].map(entrySpan)).toEqual([1, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36]);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** BigInt(VPN_BITS) - 1n }), (vpn) => {
        for (let level = 0; level < 5; level++) {
          expect(tableIndex(Number(vpn), level)).toBe(Number((vpn >> BigInt(9 * level)) & 511n));
        }
      }),
      { seed: 1 },
    );
  });

  it("of user space are the lower half: 47 or 56 bits of bytes", () => {
    expect(userPages(4) * 4096).toBe(2 ** 47);
    expect(userPages(5) * 4096).toBe(2 ** 56);
    expect(() => userPages(3)).toThrow("userPages: 3 levels, expected 4 or 5");
  });
});

describe("pteAlloc", () => {
  it("fills the levels in once, each table on a frame that says whose it is", () => {
    for (const levels of [4, 5] as const) {
      const m = mmMachine({ levels });
      const mm = emptyMm(m, 9);
      const vpn = userPages(levels) - 1;
      const table = runToEnd(pteAlloc(m.cpu, mm, vpn));
      expect(table).toBe(tableAt(m, mm, vpn));
      expect(runToEnd(findPteTable(m.cpu, mm, vpn))).toBe(table);
      expect(runToEnd(pteAlloc(m.cpu, mm, vpn - 511))).toBe(table);
      expect([m.words[mm + Mm.pgtablesBytes], inUse(m, MmGlobals.tables)]).toEqual([(levels - 1) * 4096, levels]);
      const frame = frameOf(m, m.words[table + PageTable.pfn] as number);
      const link = m.words[frame + Frame.link] as number;
      expect([linkType(link), linkOwner(link), m.words[frame + Frame.data]]).toEqual([PAGE_TYPE_TABLE, 9, table]);
      // The neighbour shares all levels but the last.
      expect(runToEnd(pteAlloc(m.cpu, mm, vpn - 512))).not.toBe(table);
      expect(inUse(m, MmGlobals.tables)).toBe(levels + 1);
    }
  });

  it("has one table win when two CPUs are first", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    let raced = 0;
    everySeed(m, {
      programs: [(cpu) => pteAlloc(cpu, mm, 0x40), (cpu) => pteAlloc(cpu, mm, 0x240)],
      seeds: SEEDS,
      look: (outcome) => {
        const [one, two] = (outcome.state === "finished" ? outcome.results : []) as number[];
        expect([one, two]).toEqual([tableAt(m, mm, 0x40), tableAt(m, mm, 0x240)]);
        expect(m.words[mm + Mm.pgtablesBytes]).toBe(4 * 4096);
        expect(balances(m)).toMatchObject({ tables: 5, pages: 5 });
        if ((m.words[m.map.tables.base + 5 * m.map.tables.struct.WORDS] ?? 0) !== 0) raced++;
      },
    });
    expect(raced).toBeGreaterThan(SEEDS / 20);
  });

  it("answers 0 when there is no table, or no frame for one", () => {
    const m = mmMachine({ tables: 2 });
    const mm = emptyMm(m);
    expect(runToEnd(pteAlloc(m.cpu, mm, 0))).toBe(0);
    expect([inUse(m, MmGlobals.tables), pagesInUse(m)]).toEqual([2, 2]);
    const short = mmMachine();
    const other = emptyMm(short);
    whileShort(short, () => expect(runToEnd(pteAlloc(short.cpu, other, 0))).toBe(0));
    expect(inUse(short, MmGlobals.tables)).toBe(1);
  });

  it("needs no memory where findPteTable finds something, and findPteTable makes nothing", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    expect(runToEnd(findPteTable(m.cpu, mm, 0))).toBe(0);
    expect(inUse(m, MmGlobals.tables)).toBe(1);
    const table = runToEnd(pteAlloc(m.cpu, mm, 0));
    whileShort(m, () => expect(runToEnd(pteAlloc(m.cpu, mm, 1))).toBe(table));
  });
});

describe("a table", () => {
  it("is zeroed, and goes with its frame", () => {
    const m = mmMachine({ tables: 2 });
    const mm = emptyMm(m);
    const before = balances(m);
    for (let i = 0; i < 3; i++) {
      const table = runToEnd(allocTable(m.cpu, mm));
      const entries = m.words.subarray(table + PageTable.entries, table + PageTable.entries + PTRS_PER_TABLE);
      expect(entries.every((word) => word === 0)).toBe(true);
      m.words[table + PageTable.present] = 3;
      runToEnd(freeTable(m.cpu, table));
      expect(balances(m)).toEqual(before);
    }
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("cannot go while it maps something", () => {
    const m = mmMachine();
    const mm = emptyMm(m);
    const table = runToEnd(allocTable(m.cpu, mm));
    m.words.fill(8, table + PageTable.entries + 510, table + PageTable.entries + 512);
    m.words[table + PageTable.present] = 1;
    expect(() => runToEnd(freeTable(m.cpu, table))).toThrow(
      "I3: freeTable: 2 entries are still in use, the table's count says 1",
    );
  });

  it("has the lock that the machine's granularity says", () => {
    const locks = (lockGranularity: "mm" | "table" | "pte"): [number, number, number, number] => {
      const m = mmMachine({ lockGranularity });
      const mm = emptyMm(m);
      const [a, b] = [0, 512].map((vpn) => runToEnd(pteAlloc(m.cpu, mm, vpn))) as [number, number];
      const at = (table: number, index: number): number => pteLockOf(m.cpu, mm, table, index);
      const place = (lock: number): number =>
        lock >= a && lock < a + m.map.tables.struct.WORDS ? lock - a : lock - mm;
      return [place(at(a, 0)), place(at(a, 1)), at(a, 7) - at(b, 7), at(a, 511) - at(a, 0)];
    };
    expect(locks("mm")).toEqual([Mm.pageTableLock, Mm.pageTableLock, 0, 0]);
    const [first, second, between] = locks("table");
    expect([first, second, between === 0]).toEqual([PageTable.lock, PageTable.lock, false]);
    const pte = locks("pte");
    expect(pte.slice(0, 2)).toEqual([PageTableWithPteLocks.pteLocks, PageTableWithPteLocks.pteLocks + 1]);
    expect([pte[2] === 0, pte[3]]).toEqual([false, 511]);
  });
});
