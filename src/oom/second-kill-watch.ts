/**
 * The watch for invariant I5: while memory of one victim is still being freed, no further one is chosen, unless the reaper
 * has failed for a second. Such a kill is *needless*: memory was on its way. Each choice is looked at; `check` reports what
 * was noted, and the bench counts it.
 *
 * "Being freed" is what a reaper could still unmap. The mm's counters are all that another CPU can read of that at any
 * moment, so locked mappings, which reapers passed by until v5.18, are taken off whole, and huge pages whose entry is
 * just being cleared: what is noted is certain.
 *
 * These are the watch's own words, which no emulated code reads, and no scheduling points: watching changes nothing.
 */

import type { Cpu } from "../arena/cpu.ts";
import { POISON, probeAdd } from "../arena/mem.ts";
import { MM_ANONPAGES, MM_SWAPENTS, MMF_OOM_REAP_QUEUED, MMF_OOM_SKIP, Mm } from "../mm/mm-struct.ts";
import { Signal } from "../task/signal.ts";
import { Task, taskAt, taskCount } from "../task/task.ts";
import { OomGlobals } from "./globals.ts";

/** How long a reaper's tries must have failed before its victim may be given up: one virtual second. */
const FAILED_TRIES_US = 1_000_000;

/** The pause after one more failed try of the kthread is over. */
export function noteFailedTry(cpu: Cpu, mm: number, pauseUs: number): void {
  cpu.words[mm + Mm.failedTriesUs]! += pauseUs;
}

/**
 * The scan chose `victim`. Looks at every victim that it passed by because of MMF_OOM_SKIP and that was the reaper's to
 * free; one outside the OOM domain has no such flag, one that init shares was never queued. Caller holds oom_lock.
 */
export function watchChoice(cpu: Cpu, victim: number): void {
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    if ((cpu.words[task + Task.pid] as number) === 0) continue;
    const pages = pagesGivenUp(cpu.words, task);
    if (pages === 0) continue;
    note(cpu, task, victim, pages);
    return;
  }
}

/** Pages that are still mapped in the mm of a victim given up too early; 0 when there is nothing to say against it. */
function pagesGivenUp(words: Int32Array, task: number): number {
  const mm = words[(words[task + Task.signal] as number) + Signal.oomMm] as number;
  if (mm === 0) return 0;
  const flags = words[mm + Mm.flags] as number;
  const given = MMF_OOM_SKIP | MMF_OOM_REAP_QUEUED;
  if (flags === POISON || (flags & given) !== given) return 0;
  if ((words[mm + Mm.failedTriesUs] as number) >= FAILED_TRIES_US) return 0;
  // Before rss: a huge page whose clearing ends between the two looks must not be taken for one that is still mapped.
  const clearing = probeAdd(words, mm + Mm.clearingHuge, 0);
  const rss = (kind: number): number => probeAdd(words, mm + Mm.rss + kind, 0);
  return Math.max(0, rss(MM_ANONPAGES) + rss(MM_SWAPENTS) - (words[mm + Mm.lockedVm] as number) - clearing);
}

/** Counts it; the first one is kept whole. */
function note(cpu: Cpu, previous: number, victim: number, pages: number): void {
  const { words } = cpu;
  const at = cpu.machine + OomGlobals.needlessKills;
  words[at]!++;
  if (words[at] !== 1) return;
  words[cpu.machine + OomGlobals.needlessKillOf] = words[victim + Task.pid] as number;
  words[cpu.machine + OomGlobals.needlessKillBeside] = words[previous + Task.pid] as number;
  words[cpu.machine + OomGlobals.needlessKillPages] = pages;
}
