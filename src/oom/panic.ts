/** `panic` (kernel/panic.c), as far as the OOM killer calls it. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicStore } from "../arena/mem.ts";
import { Violation } from "../base/errors.ts";
import { KERNEL_PANIC } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { OomGlobals } from "./globals.ts";

/** Indices into PANIC_REASONS. */
export const PANIC_DEADLOCKED = 0;
export const PANIC_ON_OOM = 1;
export const PANIC_COMPULSORY = 2;

/** What the machine says last. */
export const PANIC_REASONS = [
  "System is deadlocked on memory",
  "Out of memory: system-wide panic_on_oom is enabled",
  "Out of memory: compulsory panic_on_oom is enabled",
] as const;

/** The machine's end. It is noted in the arena, and ends the run as a finding. `reason` is a PANIC_*. */
export function* panic(cpu: Cpu, reason: number): Steps<void> {
  trace(cpu, KERNEL_PANIC, reason, 0);
  yield* atomicStore(cpu, cpu.machine + OomGlobals.panicked, 1);
  throw new Violation("panic", `Kernel panic - not syncing: ${PANIC_REASONS[reason]}`);
}
