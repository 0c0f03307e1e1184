/** Sleeping for a while (kernel/time: schedule_timeout_idle). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { futexWait } from "../arena/mem.ts";
import { CPU_PARKED, CPU_RUNNING, CpuSync } from "./cpu-sync.ts";

/**
 * Sleeps on a word while it holds `seen`, until `futexWake` on it or the timeout (emulated microseconds, NO_TIMEOUT for
 * none). The caller looks at the word again.
 */
export function* sleepOn(cpu: Cpu, word: number, seen: number, timeoutUs: number): Steps<void> {
  cpu.words[cpu.sync + CpuSync.state] = CPU_PARKED;
  yield* futexWait(cpu, word, seen, timeoutUs);
  cpu.words[cpu.sync + CpuSync.state] = CPU_RUNNING;
}

/** Sleeps `us` emulated microseconds on a word that nobody wakes. */
export function* sleepUs(cpu: Cpu, us: number): Steps<void> {
  yield* sleepOn(cpu, cpu.sync + CpuSync.timer, 0, us);
}
