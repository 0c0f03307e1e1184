/**
 * Needless kills: what the figures note about each kill, without a scheduling point, so that watching changes nothing.
 *
 * A kill is needless (I5, B1) when the moment before the signal some earlier victim still has private pages mapped, and the
 * reaper has not given up on it after its ten tries: memory was on its way, and who waited for it would have got it.
 * Private pages that the protocol's reaper must leave alone (locked ones before v5.18) count as well.
 */

import type { Cpu } from "../arena/cpu.ts";
import { probeAdd } from "../arena/mem.ts";
import { MM_ANONPAGES, Mm } from "../mm/mm-struct.ts";
import { Signal } from "../task/signal.ts";
import { signalOf, Task, taskAt, taskCount } from "../task/task.ts";
import { OomGlobals } from "./globals.ts";

/** A kill is about to happen; its victim is not marked yet. The caller holds oom_lock. */
export function noteKill(cpu: Cpu): void {
  if (anyVictimHoldsPages(cpu)) probeAdd(cpu.words, cpu.machine + OomGlobals.needlessKills, 1);
}

/** The reaper's ten tries at this mm have failed. */
export function noteGivenUp(cpu: Cpu, mm: number): void {
  cpu.words[cpu.machine + OomGlobals.givenUp] = mm;
}

function anyVictimHoldsPages(cpu: Cpu): boolean {
  const { words } = cpu;
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    if (words[task + Task.pid] === 0) continue;
    // The signal_struct pins the struct of this mm.
    const mm = probe(words, signalOf(cpu, task) + Signal.oomMm);
    if (mm === 0 || mm === words[cpu.machine + OomGlobals.givenUp]) continue;
    if (probe(words, mm + Mm.rss + MM_ANONPAGES) > 0) return true;
  }
  return false;
}

function probe(words: Int32Array, word: number): number {
  return probeAdd(words, word, 0);
}
