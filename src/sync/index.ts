/**
 * The locks of the package. A new one is a file that satisfies the contract (lock-contract.ts) and a line in `LOCKS`;
 * the conformance suite, the torture test and the benches then run it.
 *
 * - `spinlock`: one word; spins a bounded while, then sleeps.
 * - `rwlock`: readers and writers on one word; readers may nest (`rwlock_t`).
 * - `mutex`: FIFO waiters, hand-off, killable waits (kernel/locking/mutex.c).
 * - `rwsem`: readers and writers, FIFO queue, killable waits, downgrade (kernel/locking/rwsem.c, v5.11 and later).
 * - `rwsem-pre-v5.3`, `rwsem-fifo-2010`: the same lock with the rules of those times.
 *
 * Completions and wait queues (completion.ts, wait-queue.ts) are no locks: nobody holds them.
 */

import type { LockContract } from "./lock-contract.ts";
import { Mutex, mutexLock, mutexLockKillable, mutexOwner, mutexTrylock, mutexUnlock } from "./mutex.ts";
import {
  Rwlock,
  readLock,
  readTrylock,
  readUnlock,
  rwlockWriter,
  writeLock,
  writeTrylock,
  writeUnlock,
} from "./rwlock.ts";
import { RWSEM_OWNER_SHIFT, RWSEM_WRITER_LOCKED } from "./rwsem/state.ts";

import {
  downgradeWrite,
  downRead,
  downReadKillable,
  downReadTrylock,
  downWrite,
  downWriteKillable,
  downWriteTrylock,
  initRwsem,
  RULES_FIFO_2010,
  RULES_MODERN,
  RULES_PRE_V5_3,
  Rwsem,
  upRead,
  upWrite,
} from "./rwsem.ts";
import { Spinlock, spinLock, spinOwner, spinTrylock, spinUnlock } from "./spinlock.ts";

/** Zeroed words are a free lock already. */
function zeroedIsFree(): void {}

const spinlock: LockContract = {
  name: "spinlock",
  struct: Spinlock,
  initLock: zeroedIsFree,
  lockWrite: spinLock,
  trylockWrite: spinTrylock,
  unlockWrite: spinUnlock,
  writerOf: spinOwner,
};

const mutex: LockContract = {
  name: "mutex",
  struct: Mutex,
  initLock: zeroedIsFree,
  lockWrite: mutexLock,
  trylockWrite: mutexTrylock,
  unlockWrite: mutexUnlock,
  writerOf: mutexOwner,
  killable: {
    lockWriteKillable: mutexLockKillable,
  },
};

const rwlock: LockContract = {
  name: "rwlock",
  struct: Rwlock,
  initLock: zeroedIsFree,
  lockWrite: writeLock,
  trylockWrite: writeTrylock,
  unlockWrite: writeUnlock,
  writerOf: rwlockWriter,
  read: {
    recursive: true,
    lockRead: readLock,
    trylockRead: readTrylock,
    unlockRead: readUnlock,
  },
};

/** CPU number of an rwsem's writer, -1 when there is none. */
function rwsemWriter(words: Int32Array, sem: number): number {
  const locked = ((words[sem + Rwsem.count] as number) & RWSEM_WRITER_LOCKED) !== 0;
  return locked ? ((words[sem + Rwsem.owner] as number) >> RWSEM_OWNER_SHIFT) - 1 : -1;
}

function rwsemKind(name: string, rules: number): LockContract {
  return {
    name,
    struct: Rwsem,
    initLock: (words, lock) => initRwsem(words, lock, rules),
    lockWrite: downWrite,
    trylockWrite: downWriteTrylock,
    unlockWrite: upWrite,
    writerOf: rwsemWriter,
    read: {
      recursive: false,
      lockRead: downRead,
      trylockRead: downReadTrylock,
      unlockRead: upRead,
    },
    killable: {
      lockWriteKillable: downWriteKillable,
      lockReadKillable: downReadKillable,
    },
    downgrade: {
      downgradeToRead: downgradeWrite,
    },
  };
}

/** Every lock of the package, in the order of their size. */
export const LOCKS: readonly LockContract[] = [
  spinlock,
  rwlock,
  mutex,
  rwsemKind("rwsem", RULES_MODERN),
  rwsemKind("rwsem-pre-v5.3", RULES_PRE_V5_3),
  rwsemKind("rwsem-fifo-2010", RULES_FIFO_2010),
];
