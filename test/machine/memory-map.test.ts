import { freemem } from "node:os";
import { describe, expect, it } from "vitest";
import { ARENA_START } from "../../src/arena/arena.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { CACHE_PAIR } from "../../src/arena/struct.ts";
import { countTables, type Mapping } from "../../src/machine/address-space.ts";
import { elementOf, planMachine } from "../../src/machine/memory-map.ts";
import { type MachineShape, RESCHED_EVERY, TOY_SHAPE } from "../../src/machine/shape.ts";
import { freeOnePage, takeBlock } from "../../src/mm/buddy.ts";
import { Frame, MAX_PAGE_ORDER, PageGlobals, PTE_WORDS } from "../../src/mm/page.ts";
import { PageTable, PageTableWithPteLocks } from "../../src/mm/page-table.ts";
import { FreeArea, FreeAreas, Zone } from "../../src/mm/zone.ts";
import {
  buildMm,
  endMm,
  faultsOf,
  frameOf,
  full,
  liveEntries,
  mappedPages,
  mmMachine,
  readPtes,
  refs,
  rmaps,
  tableAt,
  zap,
} from "../mm/mm-machine.ts";

const GIB = 2 ** 30;

describe("planMachine", () => {
  it("lays the regions out one behind the other, each on its own pair of cache lines", () => {
    for (const shape of [TOY_SHAPE, { ...TOY_SHAPE, cpus: 31, lockGranularity: "pte", traceEvents: 64 } as const]) {
      const { memory } = planMachine(shape);
      let end = ARENA_START;
      for (const { name, base, struct, count } of memory.regions) {
        expect(base, name).toBeGreaterThanOrEqual(end);
        expect(base % CACHE_PAIR, name).toBe(0);
        end = base + struct.WORDS * count;
      }
      expect(memory.words).toBeGreaterThanOrEqual(end);
      expect(memory.words - end).toBeLessThan(CACHE_PAIR);
    }
  });

  it("makes room for what the shape says", () => {
    const map = planMachine({ ...TOY_SHAPE, cpus: 3, tables: 7, vmas: 9, mms: 4, tasks: 5 });
    const counts = [map.cpuSync, map.cpuMm, map.tables, map.vmas, map.anonVmas, map.mms, map.tasks].map((r) => r.count);
    expect(counts).toEqual([3, 3, 7, 9, 9, 4, 5]);
    expect([map.tables.struct, map.rings]).toEqual([PageTable, undefined]);
    const other = planMachine({ ...TOY_SHAPE, lockGranularity: "pte", traceEvents: 16 });
    expect(other.tables.struct).toBe(PageTableWithPteLocks);
    expect(other.rings?.count).toBe(TOY_SHAPE.cpus);
  });

  it("is a function of the shape, which its hash tells apart", () => {
    const shapes: MachineShape[] = [
      TOY_SHAPE,
      { ...TOY_SHAPE, cpus: 3 },
      { ...TOY_SHAPE, frames: 300 },
      { ...TOY_SHAPE, tables: 25 },
      { ...TOY_SHAPE, vmas: 17 },
      { ...TOY_SHAPE, mms: 3 },
      { ...TOY_SHAPE, tasks: 5 },
      { ...TOY_SHAPE, lockGranularity: "pte" },
      { ...TOY_SHAPE, traceEvents: 8 },
    ];
    const hashes = shapes.map((shape) => planMachine(shape).memory.hash);
    expect(new Set(hashes).size).toBe(shapes.length);
    expect(shapes.map((shape) => planMachine({ ...shape }).memory.hash)).toEqual(hashes);
  });

  it("refuses a machine that cannot be", () => {
    const plan = (shape: Partial<MachineShape>) => () => planMachine({ ...TOY_SHAPE, ...shape });
    expect(plan({ cpus: 0 })).toThrow("machine: 0 CPUs, expected 1 to 31");
    expect(plan({ cpus: 32 })).toThrow("machine: 32 CPUs, expected 1 to 31");
    expect(plan({ frames: 1 })).toThrow("machine: 1 page frames, expected 2 to 2^29");
    expect(plan({ frames: 2 ** 29 })).toThrow("expected 2 to 2^29");
    expect(plan({ frames: 2 ** 29 - 1, tables: 2 ** 21 })).toThrow("do not fit one arena");
  });

  it("numbers the elements of a region, and only those", () => {
    const { vmas } = planMachine(TOY_SHAPE);
    expect(elementOf(vmas, 3)).toBe(vmas.base + 3 * vmas.struct.WORDS);
    expect(() => elementOf(vmas, vmas.count)).toThrow(`elementOf: vmas[${vmas.count}] of ${vmas.count}`);
    expect(() => elementOf(vmas, -1)).toThrow("elementOf: vmas[-1]");
  });
});

/** A machine whose victim has these mappings, with memory for its tables and a little more. */
function shapeFor(mappings: readonly Mapping[], pages: number): MachineShape {
  const tables = countTables(mappings, 4);
  return {
    ...TOY_SHAPE,
    cpus: 4,
    vmas: mappings.length,
    tables,
    frames: pages + tables + 2 ** 17,
    reschedEvery: RESCHED_EVERY,
    lockOrder: false,
  };
}

describe("a victim of 1 TiB", () => {
  const PAGES = 2 ** 28;
  const START = 0x5_5000_0000;
  const few = [full(START, PAGES / 2), full(START + PAGES, PAGES / 2)];
  const many = Array.from({ length: 2 ** 19 }, (_, i) => full(START + i * 1024, 512));

  it.each([
    ["two VMAs", few],
    ["one VMA per 2 MiB", many],
  ])("fits 5 GiB of arena: %s", (_name, mappings) => {
    const map = planMachine(shapeFor(mappings, PAGES));
    const bytes = map.memory.words * 4;
    expect(bytes).toBeGreaterThan(4 * GIB);
    expect(bytes).toBeLessThan(5 * GIB);
    expect(map.tables.count).toBeGreaterThan(PAGES / 512);
  });

  it("costs at most 16 bytes a page for PTE and frame", () => {
    const { memory } = planMachine(shapeFor(few, PAGES));
    const frames = memory.regions.find(({ name }) => name === "frames");
    expect(frames?.struct.WORDS).toBe(Frame.WORDS);
    expect((Frame.WORDS + PTE_WORDS) * 4).toBeLessThanOrEqual(16);
    // Everything else, free bits and the heads of tables among it, stays under one byte a page.
    expect(memory.words * 4 - PAGES * 16).toBeLessThan(PAGES);
  });
});

/** Blocks taken out of the buddy by hand, so that what is allocated next lies near the top of memory. */
function takeLowBlocks(words: Int32Array, zone: number, keep: number): number[] {
  const blocks: number[] = [];
  const area = zone + Zone.areas + FreeAreas.order + MAX_PAGE_ORDER * FreeArea.WORDS;
  while ((words[area + FreeArea.nrFree] as number) > keep) {
    blocks.push(takeBlock(words, zone, MAX_PAGE_ORDER, MAX_PAGE_ORDER));
  }
  return blocks;
}

describe("an arena of more than 2 GiB", () => {
  const FRAMES = 2 ** 28 + 2 ** 20;

  // Most of it is never touched; the bits of the buddy are.
  it.runIf(freemem() > 4 * GIB)("works at its far end: frames beyond word 2^29, PTEs with the sign bit", () => {
    const m = mmMachine({ frames: FRAMES, reschedEvery: 3 });
    expect(m.map.memory.words).toBeGreaterThan(2 ** 29);
    const zone = m.words[m.map.root + PageGlobals.zonesBase] as number;
    const blocks = takeLowBlocks(m.words, zone, 2);
    const publish = (pages: number): void => {
      m.words[zone + Zone.nrFreePages] = (m.words[zone + Zone.nrFreePages] as number) + pages;
      m.words[zone + Zone.nonEmptyOrders] = m.words[zone + Zone.areas + FreeAreas.nonEmpty] as number;
    };
    publish(-blocks.length * 2 ** MAX_PAGE_ORDER);
    // The small blocks at the bottom of the zone would be taken first.
    const low = buildMm(m, [full(0, 1023)], 2);

    const mm = buildMm(m, [full(0x7_ffff_fc00, 700), full(0x7_ffff_ff00, 16, { folioOrder: 4 })]);
    const ptes = readPtes(m, mm);
    expect(mappedPages(m, mm)).toHaveLength(716);
    for (const [vpn, pfn] of ptes) {
      expect(pfn).toBeGreaterThan(2 ** 28);
      expect(frameOf(m, pfn)).toBeGreaterThan(2 ** 29);
      expect(m.words[tableAt(m, mm, vpn) + PageTable.entries + (vpn % 512)]).toBeLessThan(0);
    }
    const single = ptes.get(0x7_ffff_fc00) as number;
    const folio = ptes.get(0x7_ffff_ff00) as number;
    expect([refs(m, single), rmaps(m, single), refs(m, folio), rmaps(m, folio)]).toEqual([1, 1, 16, 16]);
    const high = liveEntries(m, 0).filter(([vpn]) => vpn > 0x7_0000_0000);
    expect(high).toHaveLength(16);
    for (const [vpn, pfn] of high) expect(pfn).toBe(ptes.get(vpn));

    runToEnd(zap(m.cpu, mm, 0x7_ffff_fd00, 0x8_0000_0000));
    expect(mappedPages(m, mm)).toHaveLength(0x100);
    expect([refs(m, folio), liveEntries(m, 0)]).toEqual([0, []]);
    endMm(m, mm);
    endMm(m, low);
    for (const block of blocks) freeOnePage(m.words, zone, block, MAX_PAGE_ORDER);
    publish(blocks.length * 2 ** MAX_PAGE_ORDER);
    expect(faultsOf(m)).toEqual([]);
  });
});
