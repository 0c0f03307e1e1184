/** What a fork copies of each kind of memory, and that a fork without memory leaves nothing. */

import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { EINTR, ENOMEM } from "../../src/base/errno.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { dupMm } from "../../src/mm/dup-mmap.ts";
import { HUGE_READ_ONLY } from "../../src/mm/huge-pmd.ts";
import { mlock } from "../../src/mm/mlock.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { munmap } from "../../src/mm/munmap.ts";
import { Frame } from "../../src/mm/page.ts";
import { putPage } from "../../src/mm/page-alloc.ts";
import { PageTable, PTE_SHIFT, PTE_WRITE, tableIndex } from "../../src/mm/page-table.ts";
import { getUser, putUser } from "../../src/mm/user-fault.ts";
import { VM_FAULT_DONE } from "../../src/mm/vm-fault.ts";
import {
  VM_DONTCOPY,
  VM_HUGETLB,
  VM_LOCKED,
  VM_PFNMAP,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
  Vma,
  vmaEnd,
  vmaStart,
} from "../../src/mm/vma.ts";
import { firstVma, nextVma } from "../../src/mm/vma-iter.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import {
  cachedPage,
  counters,
  countersOf,
  endAll,
  hugeMachine,
  kindsMachine,
  pmdOf,
  readKinds,
  slotsInUse,
} from "./kinds.ts";
import {
  balances,
  buildMm,
  endMm,
  frameOf,
  full,
  liveEntries,
  type MmMachine,
  refs,
  rmaps,
  rss,
  tableAt,
  takeAllPages,
} from "./mm-machine.ts";

const T = 512;
const NONE = { present: [] } as const;

/** Forks; the child's mm. */
function fork(m: MmMachine, parent: number): number {
  const child = runToEnd(dupMm(m.cpu, parent, 2));
  expect(child).toBeGreaterThan(0);
  expect(counters(m, child)).toEqual(countersOf(readKinds(m, child).values()));
  return child;
}

function write(m: MmMachine, mm: number, vpn: number, value: number): void {
  expect(runToEnd(putUser(m.cpu, mm, vpn, value))).toBe(VM_FAULT_DONE);
}

function read(m: MmMachine, mm: number, vpn: number): number | undefined {
  return runToEnd(getUser(m.cpu, mm, vpn));
}

function pteOf(m: MmMachine, mm: number, vpn: number): number {
  return m.words[tableAt(m, mm, vpn) + PageTable.entries + tableIndex(vpn, 0)] as number;
}

function hugeOf(m: MmMachine, mm: number, vpn: number): { entry: number; pfn: number; readOnly: boolean } {
  const { entry, pfn } = pmdOf(m, tableAt(m, mm, vpn, 1), vpn);
  return { entry, pfn, readOnly: (entry & HUGE_READ_ONLY) !== 0 };
}

/** First page, end and flags of each mapping. */
function mappings(m: MmMachine, mm: number): [number, number, number][] {
  const walk = m.cpu.mm + CpuMm.walk;
  const all: [number, number, number][] = [];
  for (let vma = firstVma(m.cpu, mm, walk); vma !== 0; vma = nextVma(m.cpu, vma, walk)) {
    all.push([vmaStart(m.cpu, vma), vmaEnd(m.cpu, vma), m.words[vma + Vma.flags] as number]);
  }
  return all;
}

/** Ends both; nothing may be left. */
function endBoth(m: MmMachine, first: number, second: number): void {
  endMm(m, first);
  expect(endAll(m, second)).toEqual({});
}

describe("a fork", () => {
  it("gives swap slots another user, and each side a page of its own", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 3, { ...NONE, swapped: [0, 3] })]);
    const child = fork(m, mm);
    expect([...readKinds(m, child).values()]).toEqual(["swap", "swap", "swap"]);
    expect(pteOf(m, child, 0x11)).toBe(pteOf(m, mm, 0x11));
    const content = read(m, mm, 0x11);
    expect([slotsInUse(m), m.words[frameOf(m, pteOf(m, child, 0x11) >>> PTE_SHIFT) + Frame.count]]).toEqual([3, 1]);
    expect(content).toBe(0x11);
    expect(read(m, child, 0x11)).toBe(content);
    expect(slotsInUse(m)).toBe(2);
    endMm(m, mm);
    expect([slotsInUse(m), counters(m, child)]).toEqual([2, { ...countersOf([]), swap: 2, anon: 1 }]);
    expect(endAll(m, child)).toEqual({});
  });

  it("copies no entries of mappings that only map a file, and the child finds its pages there", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [
      full(0x10, 4, { ...NONE, filePages: [0, 4] }),
      full(0x20, 4, { ...NONE, filePages: [0, 4], flags: VM_WRITE | VM_SHARED }),
      full(0x30, 4, { ...NONE, filePages: [0, 4], flags: VM_WRITE | VM_SHARED, shmem: true }),
    ]);
    write(m, mm, 0x32, 7);
    // The second half is a mapping of its own, which begins in the middle of the file.
    expect(runToEnd(munmap(m.cpu, mm, 0x31, 1))).toBe(0);
    const child = fork(m, mm);
    expect(readKinds(m, child).size).toBe(0);
    expect(mappings(m, child)).toEqual(mappings(m, mm));
    expect(read(m, child, 0x32)).toBe(7);
    write(m, child, 0x32, 8);
    expect(read(m, mm, 0x32)).toBe(8);
    expect([read(m, child, 0x13), read(m, child, 0x22)]).toEqual([read(m, mm, 0x13), read(m, mm, 0x22)]);
    expect(counters(m, child)).toEqual({ ...countersOf([]), file: 2, shmem: 1 });
    endBoth(m, mm, child);
  });

  it("copies a file's pages along with the private ones among them", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 4, { present: [3, 1], filePages: [0, 3] })]);
    const child = fork(m, mm);
    const file = m.words[firstVma(m.cpu, mm, m.cpu.mm + CpuMm.walk) + Vma.file] as number;
    const page = cachedPage(m, file, 1);
    expect([...readKinds(m, child).values()]).toEqual(["file", "file", "file", "anon"]);
    // The cache and both entries.
    expect([refs(m, page), rmaps(m, page)]).toEqual([3, 2]);
    write(m, child, 0x11, 5);
    expect([read(m, mm, 0x11) === 5, refs(m, page), rmaps(m, page)]).toEqual([false, 2, 1]);
    expect(counters(m, child)).toEqual({ ...countersOf([]), file: 2, anon: 2 });
    endBoth(m, child, mm);
  });

  it("gives the child the device's entries as they are", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 2, { flags: VM_WRITE | VM_PFNMAP })]);
    const child = fork(m, mm);
    expect([...readKinds(m, child).values()]).toEqual(["device", "device"]);
    expect(pteOf(m, child, 0x11) & PTE_WRITE).toBe(PTE_WRITE);
    expect([rss(m, child), counters(m, child)]).toEqual([0, countersOf([])]);
    endBoth(m, mm, child);
  });

  it("makes private pages read-only on both sides, and no translation from before is left", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 2)]);
    write(m, mm, 0x10, 1);
    expect(liveEntries(m, 0).length).toBeGreaterThan(0);
    const child = fork(m, mm);
    expect(liveEntries(m, 0)).toEqual([]);
    expect([mm, child].map((of) => pteOf(m, of, 0x10) & PTE_WRITE)).toEqual([0, 0]);
    write(m, mm, 0x10, 2);
    expect([read(m, mm, 0x10), read(m, child, 0x10)]).toEqual([2, 1]);
    const pfn = pteOf(m, child, 0x10) >>> PTE_SHIFT;
    write(m, child, 0x10, 3);
    expect(pteOf(m, child, 0x10) >>> PTE_SHIFT, "alone with it: no copy").toBe(pfn);
    endBoth(m, mm, child);
  });

  it("passes on no lock on memory, and no mapping that is not to be passed on", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [
      full(0x10, 3, { flags: VM_WRITE | VM_LOCKED }),
      full(0x20, 2, { flags: VM_WRITE | VM_DONTCOPY }),
      full(0x30, 2, { flags: VM_WRITE | VM_WIPEONFORK }),
    ]);
    write(m, mm, 0x30, 9);
    const child = fork(m, mm);
    expect(mappings(m, child)).toEqual([
      [0x10, 0x13, VM_WRITE],
      [0x30, 0x32, VM_WRITE | VM_WIPEONFORK],
    ]);
    expect([mm, child].map((of) => m.words[of + Mm.lockedVm])).toEqual([3, 0]);
    expect([mm, child].map((of) => m.words[of + Mm.totalVm])).toEqual([7, 5]);
    expect([...readKinds(m, child).keys()]).toEqual([0x10, 0x11, 0x12]);
    expect([read(m, child, 0x30), read(m, mm, 0x30)]).toEqual([0, 9]);
    endBoth(m, child, mm);
  });

  it("of a killed process ends before the first mapping, and nothing is left of it", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 3)]);
    const before = balances(m);
    runToEnd(sendSigkill(m.cpu, 0));
    expect(runToEnd(dupMm(m.cpu, mm, 2))).toBe(-EINTR);
    expect(balances(m)).toEqual(before);
    expect(endAll(m, mm)).toEqual({});
  });
});

describe("a fork of huge pages", () => {
  const stage = (m: MmMachine): number => buildMm(m, [full(T, 2 * T, { ...NONE, huge: [0, T] })]);

  it("shares the folio, with a table put aside on either side; who writes first splits its own", () => {
    const m = hugeMachine();
    const mm = stage(m);
    write(m, mm, T + 5, 1);
    const { pfn } = hugeOf(m, mm, T);
    const child = fork(m, mm);
    expect([mm, child].map((of) => hugeOf(m, of, T))).toEqual([
      { entry: expect.any(Number), pfn, readOnly: true },
      { entry: expect.any(Number), pfn, readOnly: true },
    ]);
    expect([refs(m, pfn), rmaps(m, pfn)]).toEqual([2, 2]);
    expect([mm, child].map((of) => m.words[of + Mm.pgtablesBytes])).toEqual([3 * 4096, 3 * 4096]);
    write(m, child, T + 5, 2);
    expect([read(m, mm, T + 5), read(m, child, T + 5)]).toEqual([1, 2]);
    // 511 entries of the child's, and the parent's one.
    expect([refs(m, pfn), rmaps(m, pfn)]).toEqual([T, T]);
    expect([mm, child].map((of) => rss(m, of))).toEqual([T, T]);
    expect(hugeOf(m, mm, T).readOnly).toBe(true);
    write(m, child, T, 3);
    expect([read(m, mm, T), read(m, child, T)]).toEqual([0, 3]);
    endMm(m, child);
    write(m, mm, T + 5, 4);
    expect(hugeOf(m, mm, T)).toMatchObject({ pfn, readOnly: false });
    expect(endAll(m, mm)).toEqual({});
  });

  it("leaves the parent, when it splits first, with entries that are read-only too", () => {
    const m = hugeMachine();
    const mm = stage(m);
    const child = fork(m, mm);
    write(m, mm, T + 7, 4);
    expect(pteOf(m, mm, T + 8) & PTE_WRITE).toBe(0);
    write(m, mm, T + 8, 6);
    expect([read(m, child, T + 7), read(m, child, T + 8)]).toEqual([0, 0]);
    endBoth(m, mm, child);
  });

  it("splits one that a mapping's border cuts", () => {
    const m = hugeMachine();
    const mm = stage(m);
    expect(runToEnd(mlock(m.cpu, mm, T, 8))).toBe(0);
    const child = fork(m, mm);
    expect([mm, child].map((of) => hugeOf(m, of, T).entry > 0)).toEqual([true, true]);
    expect(readKinds(m, child).size).toBe(T);
    endBoth(m, mm, child);
  });

  it("copies a private hugetlb page whole at the first write; a shared one stays one", () => {
    for (const shared of [0, VM_SHARED]) {
      const m = hugeMachine();
      const mm = buildMm(m, [full(T, T, { ...NONE, huge: [0, T], flags: VM_WRITE | VM_HUGETLB | shared })]);
      write(m, mm, T + 1, 1);
      const child = fork(m, mm);
      expect([mm, child].map((of) => hugeOf(m, of, T).readOnly)).toEqual([shared === 0, shared === 0]);
      write(m, child, T + 2, 2);
      expect(read(m, child, T + 1)).toBe(1);
      expect(read(m, mm, T + 2)).toBe(shared === 0 ? 0 : 2);
      expect(hugeOf(m, mm, T).pfn === hugeOf(m, child, T).pfn).toBe(shared !== 0);
      expect([mm, child].map((of) => counters(m, of).hugetlb)).toEqual([T, T]);
      const { pfn } = hugeOf(m, mm, T);
      write(m, mm, T + 1, 3);
      expect(hugeOf(m, mm, T), "alone with it, or shared: no copy").toMatchObject({ pfn, readOnly: false });
      endBoth(m, mm, child);
    }
  });
});

describe("a fork without memory", () => {
  const ALL: readonly Mapping[] = [
    { startVpn: 0x10, pages: 6, flags: VM_WRITE, present: [0, 2], swapped: [2, 2] },
    { startVpn: 0x30, pages: 4, flags: VM_WRITE, present: [3, 1], filePages: [0, 3] },
    { startVpn: T, pages: T, flags: VM_WRITE, present: [], huge: [0, T] },
    { startVpn: 2 * T, pages: T, flags: VM_WRITE | VM_HUGETLB, present: [], huge: [0, T] },
    { startVpn: 3 * T, pages: 2, flags: VM_WRITE | VM_PFNMAP, present: "all" },
  ];
  /** Top, two levels below it, three at the bottom: the first, the one put aside and the device's. */
  const TABLES = 6;

  it.each(["mm", "table", "pte"] as const)(
    "leaves nothing of the child, wherever it ran out (lock per %s)",
    (granularity) => {
      const m = hugeMachine({ lockGranularity: granularity });
      const mm = buildMm(m, ALL);
      const kinds = readKinds(m, mm);
      const hoard = takeAllPages(m.cpu);
      const before: Record<string, number> = { ...balances(m), slots: slotsInUse(m) };
      for (let free = 0; free < TABLES; free++) {
        expect(runToEnd(dupMm(m.cpu, mm, 2)), `${free} free pages`).toBe(-ENOMEM);
        expect({ ...balances(m), slots: slotsInUse(m) }, `${free} free pages`).toEqual({
          ...before,
          pages: (before.pages as number) - free,
        });
        expect(readKinds(m, mm)).toEqual(kinds);
        runToEnd(putPage(m.cpu, hoard.pop() as number));
      }
      const child = fork(m, mm);
      for (const pfn of hoard) runToEnd(putPage(m.cpu, pfn));
      expect(readKinds(m, child)).toEqual(kinds);
      // What the failed ones had made read-only is the parent's alone, and written to without a copy where it can be.
      endMm(m, child);
      const pfn = pteOf(m, mm, 0x10) >>> PTE_SHIFT;
      write(m, mm, 0x10, 1);
      expect(pteOf(m, mm, 0x10) >>> PTE_SHIFT).toBe(pfn);
      expect(endAll(m, mm)).toEqual({});
    },
  );
});
