/**
 * Slower CPUs: big and little cores in one machine. A slowed CPU takes longer for the work of unmapping and freeing, under
 * the locks it holds meanwhile; waiting for locks takes it no longer than others. Real threads only: where the engine
 * owns the clock, a CPU's speed is what the scheduler makes of it.
 */

import type { Cpu } from "../arena/cpu.ts";
import { busyWait, nowNs } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { CpuSync } from "./cpu-sync.ts";

/** `CpuSync.slowdown` of a CPU that runs at `speed`, above 0 to 1 (full speed): extra time in thousandths of its work. */
export function slowdownOf(speed: number): number {
  assert(speed > 0 && speed <= 1, `slowdownOf: speed ${speed}, expected above 0 to 1`);
  return Math.round((1 / speed - 1) * 1000);
}

/** Begins a stretch of work; returns what `endWork` needs, 0 at full speed. */
export function beginWork(cpu: Cpu): number {
  return cpu.words[cpu.sync + CpuSync.slowdown] === 0 ? 0 : nowNs(cpu);
}

/** Ends it: a slowed CPU now takes the rest of its time. */
export function endWork(cpu: Cpu, began: number): void {
  if (began !== 0) busyWait(cpu, ((nowNs(cpu) - began) * (cpu.words[cpu.sync + CpuSync.slowdown] as number)) / 1000);
}
