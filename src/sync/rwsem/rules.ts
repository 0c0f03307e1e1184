/** The rule sets an rwsem can follow; each lives in a file of its own and is chosen by `Rwsem.rules`. */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { markWakeFifo2010 } from "./fifo-2010.ts";
import { markWakeModern, tryWriteLockModern } from "./modern.ts";
import { markWakePreV53, tryWriteLockPreV53 } from "./pre-v5.3.ts";
import { Rwsem } from "./state.ts";

export const RULES_MODERN = 0;
export const RULES_PRE_V5_3 = 1;
export const RULES_FIFO_2010 = 2;
export const RULES_NAMES = ["modern", "pre-v5.3", "fifo-2010"] as const;

/** RULES_* of this rwsem. */
export function rulesOf(cpu: Cpu, sem: number): number {
  return cpu.words[sem + Rwsem.rules] as number;
}

/** The wake rule: who on the queue may go now; returns what to wake (`wakeWaiters`). The caller holds `waitLock`. */
export function* markWake(cpu: Cpu, sem: number, type: number): Steps<number> {
  const rules = rulesOf(cpu, sem);
  if (rules === RULES_MODERN) return yield* markWakeModern(cpu, sem, type);
  if (rules === RULES_PRE_V5_3) return yield* markWakePreV53(cpu, sem, type);
  return yield* markWakeFifo2010(cpu, sem, type);
}

/** How a queued writer takes the lock, where writers compete for it. The caller holds `waitLock`. */
export function* tryWriteLock(cpu: Cpu, sem: number): Steps<boolean> {
  if (rulesOf(cpu, sem) === RULES_MODERN) return yield* tryWriteLockModern(cpu, sem);
  return yield* tryWriteLockPreV53(cpu, sem);
}
