/** Machines with every kind of memory, and what their entries say; for the tests of faults, zaps and munmap. */

import { runToEnd } from "../../src/arena/mem.ts";
import type { MachineShape } from "../../src/machine/shape.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { hugePfn, isHugetlb } from "../../src/mm/huge-pmd.ts";
import { MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES, MM_SWAPENTS, Mm } from "../../src/mm/mm-struct.ts";
import { Frame, linkOwner, linkType, PAGE_TYPE_FILE, PageGlobals } from "../../src/mm/page.ts";
import { createFile, dropCaches, fileSlot, slotPfn } from "../../src/mm/page-cache.ts";
import { entrySpan, PageTable, PTE_PRESENT, PTE_SHIFT, PTRS_PER_TABLE } from "../../src/mm/page-table.ts";
import { swapSlotsInUse } from "../../src/mm/swap.ts";
import { balances, endMm, frameOf, type MmMachine, mmMachine } from "./mm-machine.ts";

export type EntryKind = "anon" | "file" | "shmem" | "swap" | "device" | "huge" | "hugetlb";

/** A toy machine with room for files and swap. */
export function kindsMachine(overrides: Partial<MachineShape> = {}): MmMachine {
  return mmMachine({ frames: 700, files: 4, filePages: 256, swapSlots: 64, ...overrides });
}

/** The same with room for a few huge pages, at the end of which a split needs tables too. */
export function hugeMachine(overrides: Partial<MachineShape> = {}): MmMachine {
  return kindsMachine({ frames: 4096, tables: 64, ...overrides });
}

export function newFile(m: MmMachine, pages: number, shmem = false): number {
  const file = runToEnd(createFile(m.cpu, pages, shmem));
  if (file === 0) throw new Error("newFile: no room");
  return file;
}

/** Page that caches page `index` of a file, 0 for none. */
export function cachedPage(m: MmMachine, file: number, index: number): number {
  return slotPfn(m.words[fileSlot(m.cpu, file, index)] as number);
}

function kindOfPte(m: MmMachine, pte: number): EntryKind {
  if ((pte & PTE_PRESENT) === 0) return "swap";
  const pfn = pte >>> PTE_SHIFT;
  const word = (field: number): number => m.words[m.map.root + field] as number;
  if (pfn === word(PageGlobals.frameCount) + word(PageGlobals.swapSlots)) return "device";
  const link = m.words[frameOf(m, pfn) + Frame.link] as number;
  if (linkType(link) !== PAGE_TYPE_FILE) return "anon";
  return linkOwner(link) === 0 ? "file" : "shmem";
}

/** Kind of what is mapped, by virtual page. */
export function readKinds(m: MmMachine, mm: number): Map<number, EntryKind> {
  const kinds = new Map<number, EntryKind>();
  const visit = (table: number, level: number, base: number): void => {
    for (let i = 0; i < PTRS_PER_TABLE; i++) {
      const entry = m.words[table + PageTable.entries + i] as number;
      const vpn = base + i * entrySpan(level);
      if (entry === 0) continue;
      if (level === 0) kinds.set(vpn, kindOfPte(m, entry));
      else if (entry > 0) visit(entry, level - 1, vpn);
      else for (let p = 0; p < PTRS_PER_TABLE; p++) kinds.set(vpn + p, isHugetlb(entry) ? "hugetlb" : "huge");
    }
  };
  visit(m.words[mm + Mm.pgd] as number, m.map.shape.levels - 1, 0);
  return kinds;
}

/** The level-1 entry of a page. */
export function pmdOf(m: MmMachine, pmds: number, vpn: number): { entry: number; pfn: number } {
  const entry = m.words[pmds + PageTable.entries + (Math.floor(vpn / PTRS_PER_TABLE) % PTRS_PER_TABLE)] as number;
  return { entry, pfn: hugePfn(entry) };
}

/** The mm's counters by name. */
export function counters(m: MmMachine, mm: number): Record<string, number> {
  const word = (field: number): number => m.words[mm + field] as number;
  return {
    file: word(Mm.rss + MM_FILEPAGES),
    anon: word(Mm.rss + MM_ANONPAGES),
    swap: word(Mm.rss + MM_SWAPENTS),
    shmem: word(Mm.rss + MM_SHMEMPAGES),
    hugetlb: word(Mm.hugetlbUsage),
  };
}

/** What the counters have to be for these entries. */
export function countersOf(kinds: Iterable<EntryKind>): Record<string, number> {
  const sums = { file: 0, anon: 0, swap: 0, shmem: 0, hugetlb: 0 };
  for (const kind of kinds) {
    if (kind === "huge") sums.anon++;
    else if (kind !== "device") sums[kind]++;
  }
  return sums;
}

export function slotsInUse(m: MmMachine): number {
  return swapSlotsInUse(m.words, m.map.root);
}

/** Ends the mm and forgets the files; what is left of anything afterwards, by name. */
export function endAll(m: MmMachine, mm: number): Record<string, number> {
  endMm(m, mm);
  runToEnd(dropCaches(m.cpu));
  const left = { ...balances(m), files: fileCount(m), slots: slotsInUse(m) };
  return Object.fromEntries(Object.entries(left).filter(([, count]) => count !== 0));
}

function fileCount(m: MmMachine): number {
  return m.words[m.map.root + MmGlobals.fileSlotsUsed] as number;
}
