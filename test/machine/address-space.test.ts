import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import {
  buildAddressSpace,
  countKinds,
  countPresent,
  countTables,
  type FrameOrder,
  type Mapping,
} from "../../src/machine/address-space.ts";
import type { MachineShape } from "../../src/machine/shape.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { Frame } from "../../src/mm/page.ts";
import { VM_HUGETLB, VM_PFNMAP, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { counters, endAll, readKinds } from "../mm/kinds.ts";
import {
  emptyMm,
  endMm,
  faultsOf,
  frameOf,
  full,
  inUse,
  liveEntries,
  type MmMachine,
  mappedPages,
  mmMachine,
  pagesInUse,
  presentPages,
  readPtes,
  refs,
  rss,
} from "../mm/mm-machine.ts";
import { MOST_VMAS, spans } from "../mm/vma-lab.ts";

function build(m: MmMachine, mappings: readonly Mapping[], frames: FrameOrder = "sequential", seed = 1): number {
  const mm = emptyMm(m);
  runToEnd(buildAddressSpace(m.cpu, mm, mappings, frames, seed));
  return mm;
}

/** Mappings of random spans; some pages of each present, in runs. */
const spaces = fc
  .tuple(
    spans,
    fc.array(fc.uniqueArray(fc.nat(1599), { maxLength: 8 }), { minLength: MOST_VMAS, maxLength: MOST_VMAS }),
  )
  .map(([all, cuts]) =>
    all.map(([first, end], i): Mapping => {
      const length = end - first;
      const edges = [...new Set((cuts[i] as number[]).map((cut) => cut % length))].sort((a, b) => a - b);
      const present: number[] = [];
      // Every other piece between two edges, cut short so that all of them fit the machine.
      for (let e = 0; e + 1 < edges.length; e += 2) {
        present.push(edges[e] as number, Math.min((edges[e + 1] as number) - (edges[e] as number), 12));
      }
      return { startVpn: first, pages: length, flags: VM_WRITE, present };
    }),
  );

describe("buildAddressSpace", () => {
  const machines = {
    4: mmMachine({ frames: 2400, tables: 400, vmas: MOST_VMAS }),
    5: mmMachine({ levels: 5, frames: 2400, tables: 400, vmas: MOST_VMAS }),
  };

  it("makes exactly the pages and tables that were counted before", () => {
    fc.assert(
      fc.property(spaces, fc.constantFrom(4 as const, 5 as const), (mappings, levels) => {
        const m = machines[levels];
        const mm = build(m, mappings);
        expect(mappedPages(m, mm)).toEqual(presentPages(mappings));
        expect(countPresent(mappings)).toBe(presentPages(mappings).length);
        expect(rss(m, mm)).toBe(countPresent(mappings));
        expect(inUse(m, MmGlobals.tables)).toBe(countTables(mappings, levels));
        expect(m.words[mm + Mm.mapCount]).toBe(mappings.length);
        endMm(m, mm);
        expect(faultsOf(m)).toEqual([]);
      }),
      { seed: 6, numRuns: 80 },
    );
  });

  it("gives neighbouring pages neighbouring frames in sequential order", () => {
    const m = mmMachine({ frames: 2000 });
    const pfns = [...readPtes(m, build(m, [full(0x200, 1500)])).values()];
    const follows = pfns.filter((pfn, i) => i > 0 && pfn === (pfns[i - 1] as number) + 1).length;
    expect(follows / 1500).toBeGreaterThan(0.95);
  });

  it("gives them frames in a seeded random order otherwise, the same for the same seed", () => {
    const frames = (seed: number): number[] => {
      const m = mmMachine({ frames: 2000 });
      const mm = build(m, [full(0x200, 1000), full(0x1000, 500)], "random", seed);
      const pfns = [...readPtes(m, mm).values()];
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
      return pfns;
    };
    const [one, again, other] = [frames(1), frames(1), frames(2)];
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
    expect(new Set(one).size).toBe(1500);
    const follows = one.filter((pfn, i) => i > 0 && pfn === (one[i - 1] as number) + 1).length;
    expect(follows).toBeLessThan(15);
    // Far and wide: the mean step of a random order is a third of the range.
    const steps = one.map((pfn, i) => (i === 0 ? 0 : Math.abs(pfn - (one[i - 1] as number))));
    expect(steps.reduce((a, b) => a + b) / 1500).toBeGreaterThan(350);
  });

  it("faults folios in where they are aligned and fit, and single pages round them", () => {
    const m = mmMachine();
    const mm = build(m, [full(0x11, 0x17, { folioOrder: 3 })]);
    const heads = [...readPtes(m, mm)].filter(([, pfn]) => refs(m, pfn) === 8).map(([vpn]) => vpn);
    expect(heads).toEqual([0x18, 0x20]);
    const singles = [...readPtes(m, mm)].filter(([, pfn]) => refs(m, pfn) === 1);
    expect(singles).toHaveLength(0x17 - 16);
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });

  it("has single pages only in random order", () => {
    const m = mmMachine();
    const mm = build(m, [full(0x10, 16, { folioOrder: 2 })], "random");
    expect([...readPtes(m, mm).values()].every((pfn) => refs(m, pfn) === 1)).toBe(true);
  });

  it("leaves the builder's TLB full of the last pages, which it has written to", () => {
    const m = mmMachine();
    const mm = build(m, [full(0x10, 3), full(0x1000, 100), full(0x2000, 5, { present: [] })]);
    const last = Array.from({ length: 64 }, (_, i) => 0x1000 + 36 + i);
    const ptes = readPtes(m, mm);
    expect(liveEntries(m, 0).sort(([a], [b]) => a - b)).toEqual(last.map((vpn) => [vpn, ptes.get(vpn)]));
    for (const vpn of last) expect(m.words[frameOf(m, ptes.get(vpn) as number) + Frame.data]).toBe(vpn & 0xffff);
    expect(m.words[mm + Mm.cpumask]).toBe(1);
    // Of the last run where there are several.
    const runs = mmMachine();
    build(runs, [full(0x10, 9, { present: [0, 3, 6, 2] })]);
    expect(liveEntries(runs, 0).map(([vpn]) => vpn)).toEqual([0x16, 0x17]);
  });

  it("says where memory ran out, and which mapping did not fit", () => {
    const m = mmMachine({ frames: 40 });
    expect(() => build(m, [full(0x10, 100)])).toThrow(/^buildAddressSpace: .*at page 5\d/);
    expect(() => build(mmMachine({ frames: 40 }), [full(0x10, 100)], "random")).toThrow(
      /^buildAddressSpace: memory ran out after 3\d of 100 pages/,
    );
    expect(() => build(mmMachine({ vmas: 1 }), [full(0, 1), full(9, 1)])).toThrow(
      "buildAddressSpace: mapping 1 does not fit the machine",
    );
    expect(() => build(mmMachine(), [full(0, 9), full(8, 1)])).toThrow("mapping 1 does not fit");
    expect(() => build(mmMachine({ tables: 2 }), [full(0, 1)])).toThrow(
      "buildAddressSpace: fault at page 0 failed with 1",
    );
  });
});

describe("mappings of other kinds", () => {
  const T = 512;
  const SHARED = VM_WRITE | VM_SHARED;
  const KINDS: readonly Mapping[] = [
    { startVpn: 0x10, pages: 8, flags: VM_WRITE, present: [0, 2], swapped: [2, 1, 5, 2] },
    { startVpn: 0x20, pages: 8, flags: VM_WRITE, present: [6, 1], filePages: [0, 4] },
    { startVpn: 0x30, pages: 8, flags: SHARED, present: [], filePages: [1, 2], shmem: true },
    { startVpn: 0x40, pages: 4, flags: VM_WRITE | VM_PFNMAP, present: "all" },
    { startVpn: T, pages: 3 * T, flags: VM_WRITE, present: [0, 3, 2 * T, 1], huge: [T, T] },
    { startVpn: 4 * T, pages: 2 * T, flags: SHARED | VM_HUGETLB, present: [], huge: [0, 2 * T] },
  ];

  it("come to what was counted before, of each kind, and go without a trace", () => {
    for (const frames of ["sequential", "random"] as const) {
      const kinds = countKinds(KINDS);
      expect(kinds).toEqual({ files: 2, filePages: 16, swapSlots: 3 });
      const m = mmMachine({ frames: 4096, tables: 32, ...kinds });
      const mm = build(m, KINDS, frames);
      expect(counters(m, mm)).toEqual({ anon: 2 + 1 + 4 + T, file: 4, shmem: 2, swap: 3, hugetlb: 2 * T });
      expect(countPresent(KINDS)).toBe(2 + 1 + 4 + T + 4 + 2 + 2 * T);
      expect(inUse(m, MmGlobals.tables)).toBe(countTables(KINDS, 4));
      expect(pagesInUse(m)).toBe(countPresent(KINDS) + countTables(KINDS, 4));
      const at = (vpn: number): string | undefined => readKinds(m, mm).get(vpn);
      expect([0x11, 0x12, 0x13, 0x23, 0x26, 0x31, 0x43].map(at)).toEqual([
        "anon",
        "swap",
        undefined,
        "file",
        "anon",
        "shmem",
        "device",
      ]);
      expect([T, 2 * T, 3 * T, 4 * T].map(at)).toEqual(["anon", "huge", "anon", "hugetlb"]);
      expect(endAll(m, mm)).toEqual({});
      expect(faultsOf(m)).toEqual([]);
    }
  });

  it("say what they lack", () => {
    const lacking = (mapping: Partial<Mapping>, shape: Partial<MachineShape>): (() => number) => {
      const one = { startVpn: T, pages: T, flags: VM_WRITE, present: [], ...mapping };
      return () => build(mmMachine({ frames: 600, ...countKinds([one]), ...shape }), [one]);
    };
    expect(lacking({ swapped: [0, 2] }, { swapSlots: 1 })).toThrow(`no swap slot for page ${T + 1}`);
    expect(lacking({ filePages: [0, 2] }, { filePages: 1 })).toThrow("mapping 0 does not fit the machine");
    expect(lacking({ huge: [0, 8] }, {})).toThrow(`8 pages at ${T} are no huge pages`);
    expect(lacking({ huge: [0, T] }, {})).toThrow(`huge page at page ${T} failed with 2048`);
    expect(lacking({ present: "all", flags: VM_PFNMAP }, { tables: 2 })).toThrow(
      `no table for the device at page ${T}`,
    );
  });
});

describe("countTables", () => {
  it("counts tables that mappings share once, at every level", () => {
    const T = 512;
    expect(countTables([], 4)).toBe(1);
    expect(countTables([full(0, 1)], 4)).toBe(4);
    expect(countTables([full(0, 1)], 5)).toBe(5);
    expect(countTables([full(0, 1), full(5, 1), full(T, 1)], 4)).toBe(5);
    expect(countTables([full(T - 1, 2)], 4)).toBe(5);
    expect(countTables([full(0, T * T), full(T * T, 1)], 4)).toBe(1 + 1 + 2 + T + 1);
    expect(countTables([full(0, 10 * T, { present: [0, 1, 9 * T, 1] })], 4)).toBe(5);
    expect(countTables([full(0, 1), full(2 ** 35 - 1, 1)], 4)).toBe(7);
  });
});
