/**
 * What the reaper traces and prints about a victim (mm/oom_kill.c: oom_reap_task_mm, oom_reap_task; v6.18). The victim is
 * known by its mm, which notes who was marked first: its task may be gone by then.
 */

import type { Cpu } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { MMF_OOM_SKIP, Mm } from "../mm/mm-struct.ts";
import { commWords } from "../trace/comm.ts";
import { OOM_REAPED, OOM_UNABLE_TO_REAP } from "../trace/event.ts";
import { trace, traceWords } from "../trace/ring.ts";
import { rssKib } from "./mm-kib.ts";

/** START_, FINISH_ or SKIP_TASK_REAPING of the victim whose mm it is. */
export function traceReaping(cpu: Cpu, event: number, mm: number): void {
  trace(cpu, event, load(cpu, mm + Mm.oomPid), 0);
}

/** The victim's pid and name, as words. */
function victimWords(cpu: Cpu, mm: number): number[] {
  return [load(cpu, mm + Mm.oomPid), ...commWords(cpu.words, mm + Mm.oomComm)];
}

/** "reaped process": what is left after the walk. */
export function logReaped(cpu: Cpu, mm: number): void {
  if (cpu.trace !== 0) traceWords(cpu, OOM_REAPED, [...victimWords(cpu, mm), ...rssKib(cpu, mm)]);
}

/** "unable to reap", unless MMF_OOM_SKIP tells a kernel since v4.17 that the victim came through by itself. */
export function logUnableToReap(cpu: Cpu, mm: number): void {
  if (cpu.trace === 0) return;
  const skip = ((cpu.words[mm + Mm.flags] as number) & MMF_OOM_SKIP) !== 0 ? 1 : 0;
  traceWords(cpu, OOM_UNABLE_TO_REAP, [...victimWords(cpu, mm), skip]);
}
