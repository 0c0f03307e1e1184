/** Counting acquisitions and timing waits. The clock is read on the contended path only. */

import type { Cpu } from "../arena/cpu.ts";
import { nowNs } from "../arena/mem.ts";
import { CONTENTION_BEGIN, CONTENTION_END } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { addNs, CPU_PARKED, CPU_RUNNING, CPU_SPINNING, CpuSync, LockStat, readNs, writeNs } from "./cpu-sync.ts";

/** Word address of this CPU's statistics for a class. */
export function lockStat(cpu: Cpu, cls: number): number {
  return cpu.sync + CpuSync.stats + cls * LockStat.WORDS;
}

/** Work advanced: the watchdog sees this CPU alive. */
export function noteProgress(cpu: Cpu): void {
  const at = cpu.sync + CpuSync.progress;
  cpu.words[at] = ((cpu.words[at] as number) + 1) | 0;
}

/** One acquisition, waited for or not. */
export function noteAcquired(cpu: Cpu, cls: number): void {
  const at = lockStat(cpu, cls) + LockStat.acquired;
  cpu.words[at] = ((cpu.words[at] as number) + 1) | 0;
}

export function noteTryFailed(cpu: Cpu, cls: number): void {
  const at = lockStat(cpu, cls) + LockStat.tryFailed;
  cpu.words[at] = ((cpu.words[at] as number) + 1) | 0;
}

/** Begins a wait; returns its start time for `endWait`. */
export function beginWait(cpu: Cpu, lock: number, cls: number): number {
  cpu.words[cpu.sync + CpuSync.awaited] = lock;
  cpu.words[cpu.sync + CpuSync.awaitedClass] = cls;
  cpu.words[cpu.sync + CpuSync.state] = CPU_SPINNING;
  trace(cpu, CONTENTION_BEGIN, lock, cls);
  return nowNs(cpu);
}

/** Spinning ends and sleeping begins; returns the time, to be handed to `endPark`. */
export function beginPark(cpu: Cpu, cls: number): number {
  cpu.words[cpu.sync + CpuSync.state] = CPU_PARKED;
  const at = lockStat(cpu, cls) + LockStat.parked;
  cpu.words[at] = ((cpu.words[at] as number) + 1) | 0;
  return nowNs(cpu);
}

/** Sleeping ends; returns how long it lasted in nanoseconds. */
export function endPark(cpu: Cpu, parkedAt: number): number {
  cpu.words[cpu.sync + CpuSync.state] = CPU_SPINNING;
  return nowNs(cpu) - parkedAt;
}

/** Ends a wait that began at `since` and slept `parkedNs` of it; starts the clock of the hold if it was granted. */
export function endWait(cpu: Cpu, cls: number, since: number, parkedNs: number, granted: boolean): void {
  const words = cpu.words;
  const stat = lockStat(cpu, cls);
  const now = nowNs(cpu);
  const waited = now - since;
  words[stat + LockStat.contended] = ((words[stat + LockStat.contended] as number) + 1) | 0;
  addNs(words, stat + LockStat.waitNs, waited);
  addNs(words, stat + LockStat.spinNs, Math.max(0, waited - parkedNs));
  if (waited > (words[stat + LockStat.waitMaxNs] as number)) {
    words[stat + LockStat.waitMaxNs] = Math.min(waited, 0x7fffffff);
  }
  words[cpu.sync + CpuSync.awaited] = 0;
  words[cpu.sync + CpuSync.state] = CPU_RUNNING;
  if (granted) writeNs(words, stat + LockStat.holdStart, 2 * Math.floor(now / 2) + 1);
  trace(cpu, CONTENTION_END, cls, granted ? 1 : 0);
}

/** Ends a hold; costs one load when the hold is not measured. */
export function noteReleased(cpu: Cpu, cls: number): void {
  const start = lockStat(cpu, cls) + LockStat.holdStart;
  if (cpu.words[start] !== 0) endHold(cpu, cls);
}

function endHold(cpu: Cpu, cls: number): void {
  const words = cpu.words;
  const stat = lockStat(cpu, cls);
  const started = readNs(words, stat + LockStat.holdStart);
  writeNs(words, stat + LockStat.holdStart, 0);
  words[stat + LockStat.holds] = ((words[stat + LockStat.holds] as number) + 1) | 0;
  addNs(words, stat + LockStat.holdNs, Math.max(0, nowNs(cpu) - started));
}
