/** The lock contract: what the conformance suite, the torture test and the benches ask of every lock. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import type { StructType } from "../arena/struct.ts";

/**
 * A lock at a word address. `cls` is its class (lock-class.ts). One CPU at a time holds it for writing; releasing a
 * lock that one does not hold is refused, in CHECKED builds as a Violation of I7.
 */
export interface LockContract {
  readonly name: string;
  readonly struct: StructType;
  /** Makes the zeroed words at `lock` a free lock, before any CPU uses it. */
  initLock(words: Int32Array, lock: number): void;
  /** Returns holding it. */
  lockWrite(cpu: Cpu, lock: number, cls: number): Steps<void>;
  /** Never waits; true when it now holds it. Fails whenever somebody holds it. */
  trylockWrite(cpu: Cpu, lock: number, cls: number): Steps<boolean>;
  unlockWrite(cpu: Cpu, lock: number, cls: number): Steps<void>;
  /** CPU number of the writer, -1 when there is none. A plain read, for reports and checks. */
  writerOf(words: Int32Array, lock: number): number;
  readonly read?: ReadPower;
  readonly killable?: KillablePower;
  readonly downgrade?: DowngradePower;
}

/** Any number of readers hold the lock together, never beside a writer. */
export interface ReadPower {
  /** Whether a CPU that reads may take the lock for reading again, whoever waits. */
  readonly recursive: boolean;
  lockRead(cpu: Cpu, lock: number, cls: number): Steps<void>;
  trylockRead(cpu: Cpu, lock: number, cls: number): Steps<boolean>;
  unlockRead(cpu: Cpu, lock: number, cls: number): Steps<void>;
}

/** Waits that a fatal signal ends: false then, without the lock. */
export interface KillablePower {
  lockWriteKillable(cpu: Cpu, lock: number, cls: number): Steps<boolean>;
  /** Present where the lock has readers. */
  lockReadKillable?(cpu: Cpu, lock: number, cls: number): Steps<boolean>;
}

export interface DowngradePower {
  /** The caller's write hold becomes a read hold, with no moment in between at which a writer could enter. */
  downgradeToRead(cpu: Cpu, lock: number, cls: number): Steps<void>;
}
