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
import { MMF_UNSTABLE, Mm } from "./mm-struct.ts";
import { readVpn, storeVpn } from "./vpn.ts";

/**
 * A fault is about to map a page of zeros, or of the file, at `vpn` of a private mapping. Called under the lock of the
 * entry, after the fault's own look at MMF_UNSTABLE, whatever that was worth.
 */
export function noteFreshPage(cpu: Cpu, mm: number, vpn: number): void {
  if (!CHECKED) return;
  const { words } = cpu;
  if (((words[mm + Mm.flags] as number) & MMF_UNSTABLE) === 0 || words[mm + Mm.refilled] === 1) return;
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
