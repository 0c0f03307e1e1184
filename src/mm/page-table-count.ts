/**
 * Page tables by level, as kernels before v4.15 counted them in `mm->nr_ptes` and `mm->nr_pmds`. Here only their bytes
 * are counted (`Mm.pgtablesBytes`), so whoever wants to tell them apart looks.
 */

import type { Cpu } from "../arena/cpu.ts";
import { MmGlobals, setting } from "./globals.ts";
import { Mm } from "./mm-struct.ts";
import { PageTable, PTRS_PER_TABLE } from "./page-table.ts";

export interface TableCounts {
  /** Tables of PTEs, those put aside behind huge pages left out. */
  readonly ptes: number;
  /** Tables one level up. */
  readonly pmds: number;
}

/** A glance without locks or scheduling points at the tables of an mm; they may come and go meanwhile. */
export function countPageTables(cpu: Cpu, mm: number): TableCounts {
  let tables = [cpu.words[mm + Mm.pgd] as number];
  for (let level = setting(cpu, MmGlobals.levels) - 1; level > 1; level--) {
    tables = tables.flatMap((table) => tablesIn(cpu, table));
  }
  const ptes = tables.reduce((sum, table) => sum + tablesIn(cpu, table).length, 0);
  return { ptes, pmds: tables.length };
}

/** Tables that the entries of a table above level 0 name; huge pages are negative. */
function tablesIn(cpu: Cpu, table: number): number[] {
  const entries = cpu.words.subarray(table + PageTable.entries, table + PageTable.entries + PTRS_PER_TABLE);
  return Array.from(entries).filter((entry) => entry > 0);
}
