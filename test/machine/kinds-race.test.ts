/** The race over an address space of all kinds, by every protocol and order: all invariants hold. */

import { describe, expect, it } from "vitest";
import { countKinds, countPresent, type Mapping } from "../../src/machine/address-space.ts";
import { readFigures } from "../../src/machine/race.ts";
import { TRAVERSAL_ORDERS } from "../../src/mm/traversal/index.ts";
import { VM_HUGETLB, VM_PFNMAP, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { expectCleanRaces } from "../helpers/race.ts";

const SEEDS = 100;
const T = 512;

const MAPPINGS: readonly Mapping[] = [
  { startVpn: 0x10, pages: 6, flags: VM_WRITE, present: [0, 2], swapped: [2, 2] },
  { startVpn: 0x20, pages: 4, flags: VM_WRITE, present: [3, 1], filePages: [0, 3] },
  { startVpn: 0x30, pages: 4, flags: VM_WRITE | VM_SHARED, present: [], filePages: [1, 2], shmem: true },
  { startVpn: 0x40, pages: 2, flags: VM_WRITE | VM_PFNMAP, present: "all" },
  { startVpn: T, pages: 2 * T, flags: VM_WRITE, present: [T, 2], huge: [0, T] },
  { startVpn: 3 * T, pages: T, flags: VM_WRITE | VM_SHARED | VM_HUGETLB, present: [], huge: [0, T] },
];
/** Frames, swap entries and device entries. */
const ENTRIES = countPresent(MAPPINGS) + 2 + 2;

const shape = { frames: 2048, tables: 32, ...countKinds(MAPPINGS) };

describe.each(PROTOCOLS.filter(({ brokenOnPurpose }) => !brokenOnPurpose))("$name", ({ name: protocol }) => {
  it.each(TRAVERSAL_ORDERS)("$name: every entry goes by exactly one side", ({ name: order }) => {
    const race = { protocol, order, reaper: "kthread", mappings: MAPPINGS, shape } as const;
    let shared = 0;
    expectCleanRaces(race, SEEDS, ({ words, map }) => {
      const [victim, reaper] = [0, 1].map((id) => readFigures(words, map, id).ptes) as [number, number];
      expect(victim + reaper).toBe(ENTRIES);
      if (reaper > 0) shared++;
    });
    const delayed = protocol >= "v5.18";
    if (!delayed) expect(shared, "seeds in which the reaper got pages").toBeGreaterThan(SEEDS / 50);
  });
});
