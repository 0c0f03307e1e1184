/**
 * The watch for invariant I6: after MMF_UNSTABLE nobody who goes on living may read a private page that a fault put in
 * place of a reaped one. CHECKED builds note such a page where it is installed and stop at the read.
 *
 * The first page of an mm is noted, no more; one is enough to be found. These are the checker's own words, which no
 * emulated code reads.
 */

import type { Cpu } from "../arena/cpu.ts";
import { Violation } from "../base/errors.ts";
import { CpuSync, SIGKILL_BIT } from "../sync/cpu-sync.ts";
import { GRANULARITY_PTE, MmGlobals, setting } from "./globals.ts";
import { MMF_UNSTABLE, Mm } from "./mm-struct.ts";
import { PageTable } from "./page-table.ts";
import { readVpn, storeVpn } from "./vpn.ts";

/** Something was zapped from `table`, whose lock the caller holds. */
export function noteReaped(cpu: Cpu, mm: number, table: number): void {
  if (!CHECKED) return;
  if (((cpu.words[mm + Mm.flags] as number) & MMF_UNSTABLE) !== 0) cpu.words[table + PageTable.reaped] = 1;
}

/**
 * A fault maps a page of zeros, or of the file, at `vpn` of a private mapping, whose entry is in `table`. Called under the
 * table's lock: who comes after a reaper's use of that lock has to know of MMF_UNSTABLE, and must not be here. Where
 * each PTE has a lock of its own, a table says nothing of one entry, and nothing is noted.
 */
export function noteFreshPage(cpu: Cpu, mm: number, table: number, vpn: number): void {
  if (!CHECKED || setting(cpu, MmGlobals.lockGranularity) === GRANULARITY_PTE) return;
  const { words } = cpu;
  if (words[table + PageTable.reaped] !== 1 || words[mm + Mm.refilled] === 1) return;
  words[mm + Mm.refilled] = 1;
  storeVpn(cpu, mm + Mm.refilledVpn, vpn);
}

/** This CPU's thread is about to read page `vpn`, for its user or for a system call. */
export function checkObserver(cpu: Cpu, mm: number, vpn: number): void {
  if (!CHECKED) return;
  const { words } = cpu;
  if (words[mm + Mm.refilled] !== 1 || readVpn(words, mm + Mm.refilledVpn) !== vpn) return;
  const exiting = ((words[cpu.sync + CpuSync.signal] as number) & SIGKILL_BIT) !== 0;
  if (exiting) return;
  const number = words[mm + Mm.number] as number;
  throw new Violation("I6", `CPU ${cpu.id} reads page ${vpn} of mm ${number}, which was refilled after MMF_UNSTABLE`);
}
