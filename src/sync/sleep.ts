/** Sleeping for a while (kernel/time: schedule_timeout_idle). */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { futexWait } from "../arena/mem.ts";
import { CPU_PARKED, CPU_RUNNING, CpuSync } from "./cpu-sync.ts";

/** Sleeps `us` emulated microseconds on a word that nobody wakes. */
export function* sleepUs(cpu: Cpu, us: number): Steps<void> {
  cpu.words[cpu.sync + CpuSync.state] = CPU_PARKED;
  yield* futexWait(cpu, cpu.sync + CpuSync.timer, 0, us);
  cpu.words[cpu.sync + CpuSync.state] = CPU_RUNNING;
}
