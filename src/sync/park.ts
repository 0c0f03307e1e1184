/**
 * Sleeping on one's own word: a token per CPU that a waker leaves and the sleeper consumes, so a wake that comes
 * before the sleep is not lost. A wake may be left over from an earlier wait, and a wait that is nested in another
 * one (a mutex taken while on a wait queue) may consume the outer one's: callers keep what they wait for in a word
 * of its own and recheck that, before each `park` and after it.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchOr, futexWait, futexWake, NO_TIMEOUT, nowUs, WAIT_TIMED_OUT, xchg } from "../arena/mem.ts";
import { CpuSync, SIGKILL_BIT } from "./cpu-sync.ts";

/** How a sleep on a completion or wait queue ended. */
export const SLEEP_WOKEN = 0;
export const SLEEP_TIMED_OUT = 1;
/** A fatal signal came (EINTR). */
export const SLEEP_KILLED = 2;

/** Word address of the per-CPU sync struct of CPU number `id`. */
export function cpuSyncOf(cpu: Cpu, id: number): number {
  return cpu.syncBase + id * cpu.syncStride;
}

/** Sleeps until `unpark` or the timeout (emulated microseconds, NO_TIMEOUT for none); false when it timed out. */
export function* park(cpu: Cpu, timeoutUs: number): Steps<boolean> {
  const token = cpu.sync + CpuSync.parkToken;
  if ((yield* xchg(cpu, token, 0)) === 1) return true;
  const result = yield* futexWait(cpu, token, 0, timeoutUs);
  const woken = (yield* xchg(cpu, token, 0)) === 1;
  return woken || result !== WAIT_TIMED_OUT;
}

/** Wakes CPU number `id`, now or when it next parks. */
export function* unpark(cpu: Cpu, id: number): Steps<void> {
  const token = cpuSyncOf(cpu, id) + CpuSync.parkToken;
  if ((yield* xchg(cpu, token, 1)) === 0) yield* futexWake(cpu, token, 1);
}

/** Sends SIGKILL to whatever runs on CPU number `id`; ends its killable waits. */
export function* sendSigkill(cpu: Cpu, id: number): Steps<void> {
  yield* fetchOr(cpu, cpuSyncOf(cpu, id) + CpuSync.signal, SIGKILL_BIT);
  yield* unpark(cpu, id);
}

/** `fatal_signal_pending(current)` */
export function* fatalSignalPending(cpu: Cpu): Steps<boolean> {
  return ((yield* atomicLoad(cpu, cpu.sync + CpuSync.signal)) & SIGKILL_BIT) !== 0;
}

/** Emulated microsecond at which a timeout that begins now ends; NO_TIMEOUT stays what it is. */
export function deadlineAfter(cpu: Cpu, timeoutUs: number): number {
  return timeoutUs === NO_TIMEOUT ? NO_TIMEOUT : nowUs(cpu) + timeoutUs;
}

/** Emulated microseconds left until a deadline, at least 0; NO_TIMEOUT stays what it is. */
export function leftUntil(cpu: Cpu, deadline: number): number {
  return deadline === NO_TIMEOUT ? NO_TIMEOUT : Math.max(0, deadline - nowUs(cpu));
}
