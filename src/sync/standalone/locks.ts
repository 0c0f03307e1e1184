/** The locks as classes over a user's buffer: thin covers of the kernel's functions, see there for the rules. */

import { runToEnd } from "../../arena/mem.ts";
import { Mutex as MutexWords, mutexLock, mutexLockKillable, mutexOwner, mutexTrylock, mutexUnlock } from "../mutex.ts";
import {
  Rwlock as RwlockWords,
  readLock,
  readTrylock,
  readUnlock,
  rwlockWriter,
  writeLock,
  writeTrylock,
  writeUnlock,
} from "../rwlock.ts";
import {
  downgradeWrite,
  downRead,
  downReadKillable,
  downReadTrylock,
  downWrite,
  downWriteKillable,
  downWriteTrylock,
  Rwsem as RwsemWords,
  upRead,
  upWrite,
} from "../rwsem.ts";
import { Spinlock as SpinlockWords, spinLock, spinOwner, spinTrylock, spinUnlock } from "../spinlock.ts";
import type { LockSpace } from "./lock-space.ts";
import { Placed } from "./placed.ts";

/** For short critical sections: a waiter spins for a while before it sleeps. */
export class SpinLock extends Placed {
  static readonly BYTES: number = SpinlockWords.WORDS * 4;
  static readonly BYTE_ALIGN: number = SpinlockWords.ALIGN * 4;

  constructor(space: LockSpace, byteOffset: number, name = "SpinLock") {
    super("SpinLock", SpinlockWords, space, byteOffset, name);
  }

  lock(): void {
    runToEnd(spinLock(this.cpu, this.at, this.cls));
  }

  /** True when this thread now holds it. */
  tryLock(): boolean {
    return runToEnd(spinTrylock(this.cpu, this.at, this.cls));
  }

  unlock(): void {
    runToEnd(spinUnlock(this.cpu, this.at, this.cls));
  }

  /** Thread that holds it at this moment, -1 when free. */
  get owner(): number {
    return spinOwner(this.cpu.words, this.at);
  }
}

/** Sleeping lock: waiters queue first come, first served, and are handed the lock when they have waited in vain. */
export class Mutex extends Placed {
  static readonly BYTES: number = MutexWords.WORDS * 4;
  static readonly BYTE_ALIGN: number = MutexWords.ALIGN * 4;

  constructor(space: LockSpace, byteOffset: number, name = "Mutex") {
    super("Mutex", MutexWords, space, byteOffset, name);
  }

  lock(): void {
    runToEnd(mutexLock(this.cpu, this.at, this.cls));
  }

  /** False when `LockSpace.kill` ended the wait; the lock is not held then. */
  lockKillable(): boolean {
    return runToEnd(mutexLockKillable(this.cpu, this.at, this.cls));
  }

  /** True when this thread now holds it. */
  tryLock(): boolean {
    return runToEnd(mutexTrylock(this.cpu, this.at, this.cls));
  }

  unlock(): void {
    runToEnd(mutexUnlock(this.cpu, this.at, this.cls));
  }

  /** Thread that holds it at this moment, -1 when free. */
  get owner(): number {
    return mutexOwner(this.cpu.words, this.at);
  }
}

/** Readers and a writer, spinning first. Readers may nest and overtake a waiting writer, which they can starve. */
export class RwLock extends Placed {
  static readonly BYTES: number = RwlockWords.WORDS * 4;
  static readonly BYTE_ALIGN: number = RwlockWords.ALIGN * 4;

  constructor(space: LockSpace, byteOffset: number, name = "RwLock") {
    super("RwLock", RwlockWords, space, byteOffset, name);
  }

  lock(): void {
    runToEnd(writeLock(this.cpu, this.at, this.cls));
  }

  tryLock(): boolean {
    return runToEnd(writeTrylock(this.cpu, this.at, this.cls));
  }

  unlock(): void {
    runToEnd(writeUnlock(this.cpu, this.at, this.cls));
  }

  lockShared(): void {
    runToEnd(readLock(this.cpu, this.at, this.cls));
  }

  tryLockShared(): boolean {
    return runToEnd(readTrylock(this.cpu, this.at, this.cls));
  }

  unlockShared(): void {
    runToEnd(readUnlock(this.cpu, this.at, this.cls));
  }

  /** Thread that writes at this moment, -1 when none does. */
  get owner(): number {
    return rwlockWriter(this.cpu.words, this.at);
  }
}

/** Readers and a writer, sleeping, in a fair queue (the rules of Linux v6.x). A reader must not nest. */
export class RwSemaphore extends Placed {
  static readonly BYTES: number = RwsemWords.WORDS * 4;
  static readonly BYTE_ALIGN: number = RwsemWords.ALIGN * 4;

  constructor(space: LockSpace, byteOffset: number, name = "RwSemaphore") {
    super("RwSemaphore", RwsemWords, space, byteOffset, name);
  }

  lock(): void {
    runToEnd(downWrite(this.cpu, this.at, this.cls));
  }

  /** False when `LockSpace.kill` ended the wait; the lock is not held then. */
  lockKillable(): boolean {
    return runToEnd(downWriteKillable(this.cpu, this.at, this.cls));
  }

  tryLock(): boolean {
    return runToEnd(downWriteTrylock(this.cpu, this.at, this.cls));
  }

  unlock(): void {
    runToEnd(upWrite(this.cpu, this.at, this.cls));
  }

  lockShared(): void {
    runToEnd(downRead(this.cpu, this.at, this.cls));
  }

  /** As `lockKillable`. */
  lockSharedKillable(): boolean {
    return runToEnd(downReadKillable(this.cpu, this.at, this.cls));
  }

  /** Fails also when the lock is only shared but somebody is queued for it. */
  tryLockShared(): boolean {
    return runToEnd(downReadTrylock(this.cpu, this.at, this.cls));
  }

  unlockShared(): void {
    runToEnd(upRead(this.cpu, this.at, this.cls));
  }

  /** From exclusive to shared, with no other writer in between. */
  downgrade(): void {
    runToEnd(downgradeWrite(this.cpu, this.at, this.cls));
  }
}
