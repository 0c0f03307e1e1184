/** Statistics of a lock class over all CPUs. */

import { CpuSync, LockStat, readNs } from "./cpu-sync.ts";

/** Times in nanoseconds. `waitNs` includes `spinNs`; what is left of it was slept. See `LockStat` for the fields. */
export interface LockTotals {
  readonly acquired: number;
  readonly contended: number;
  readonly waitNs: number;
  readonly waitMaxNs: number;
  readonly spinNs: number;
  readonly parked: number;
  readonly holdNs: number;
  readonly holds: number;
  readonly tryFailed: number;
}

/**
 * Sums class `cls` over `cpus` CPUs whose `CpuSync` structs begin at word `syncBase`, `syncStride` words apart. While
 * CPUs run, the fields may be from slightly different moments.
 */
export function lockTotals(
  words: Int32Array,
  syncBase: number,
  syncStride: number,
  cpus: number,
  cls: number,
): LockTotals {
  const totals = {
    acquired: 0,
    contended: 0,
    waitNs: 0,
    waitMaxNs: 0,
    spinNs: 0,
    parked: 0,
    holdNs: 0,
    holds: 0,
    tryFailed: 0,
  };
  for (let cpu = 0; cpu < cpus; cpu++) {
    const at = syncBase + cpu * syncStride + CpuSync.stats + cls * LockStat.WORDS;
    totals.acquired += count(words, at + LockStat.acquired);
    totals.contended += count(words, at + LockStat.contended);
    totals.waitNs += readNs(words, at + LockStat.waitNs);
    totals.waitMaxNs = Math.max(totals.waitMaxNs, words[at + LockStat.waitMaxNs] as number);
    totals.spinNs += readNs(words, at + LockStat.spinNs);
    totals.parked += count(words, at + LockStat.parked);
    totals.holdNs += readNs(words, at + LockStat.holdNs);
    totals.holds += count(words, at + LockStat.holds);
    totals.tryFailed += count(words, at + LockStat.tryFailed);
  }
  return totals;
}

/** Counters run over into the sign bit. */
function count(words: Int32Array, at: number): number {
  return (words[at] as number) >>> 0;
}
