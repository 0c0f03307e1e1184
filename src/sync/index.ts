/**
 * The locks of the package. A new one is a file that satisfies the contract (lock-kind.ts) and a line in `LOCK_KINDS`;
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

import type { LockKind } from "./lock-kind.ts";
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

const spinlock: LockKind = {
  name: "spinlock",
  struct: Spinlock,
  initLock: zeroedIsFree,
  *lockWrite(cpu, lock, cls) {
    yield* spinLock(cpu, lock, cls);
  },
  *trylockWrite(cpu, lock, cls) {
    return yield* spinTrylock(cpu, lock, cls);
  },
  *unlockWrite(cpu, lock, cls) {
    yield* spinUnlock(cpu, lock, cls);
  },
  writerOf: spinOwner,
};

const mutex: LockKind = {
  name: "mutex",
  struct: Mutex,
  initLock: zeroedIsFree,
  *lockWrite(cpu, lock, cls) {
    yield* mutexLock(cpu, lock, cls);
  },
  *trylockWrite(cpu, lock, cls) {
    return yield* mutexTrylock(cpu, lock, cls);
  },
  *unlockWrite(cpu, lock, cls) {
    yield* mutexUnlock(cpu, lock, cls);
  },
  writerOf: mutexOwner,
  killable: {
    *lockWriteKillable(cpu, lock, cls) {
      return yield* mutexLockKillable(cpu, lock, cls);
    },
  },
};

const rwlock: LockKind = {
  name: "rwlock",
  struct: Rwlock,
  initLock: zeroedIsFree,
  *lockWrite(cpu, lock, cls) {
    yield* writeLock(cpu, lock, cls);
  },
  *trylockWrite(cpu, lock, cls) {
    return yield* writeTrylock(cpu, lock, cls);
  },
  *unlockWrite(cpu, lock, cls) {
    yield* writeUnlock(cpu, lock, cls);
  },
  writerOf: rwlockWriter,
  read: {
    recursive: true,
    *lockRead(cpu, lock, cls) {
      yield* readLock(cpu, lock, cls);
    },
    *trylockRead(cpu, lock, cls) {
      return yield* readTrylock(cpu, lock, cls);
    },
    *unlockRead(cpu, lock, cls) {
      yield* readUnlock(cpu, lock, cls);
    },
  },
};

/** CPU number of an rwsem's writer, -1 when there is none. */
function rwsemWriter(words: Int32Array, sem: number): number {
  const locked = ((words[sem + Rwsem.count] as number) & RWSEM_WRITER_LOCKED) !== 0;
  return locked ? ((words[sem + Rwsem.owner] as number) >> RWSEM_OWNER_SHIFT) - 1 : -1;
}

function rwsemKind(name: string, rules: number): LockKind {
  return {
    name,
    struct: Rwsem,
    initLock: (words, lock) => initRwsem(words, lock, rules),
    *lockWrite(cpu, lock, cls) {
      yield* downWrite(cpu, lock, cls);
    },
    *trylockWrite(cpu, lock, cls) {
      return yield* downWriteTrylock(cpu, lock, cls);
    },
    *unlockWrite(cpu, lock, cls) {
      yield* upWrite(cpu, lock, cls);
    },
    writerOf: rwsemWriter,
    read: {
      recursive: false,
      *lockRead(cpu, lock, cls) {
        yield* downRead(cpu, lock, cls);
      },
      *trylockRead(cpu, lock, cls) {
        return yield* downReadTrylock(cpu, lock, cls);
      },
      *unlockRead(cpu, lock, cls) {
        yield* upRead(cpu, lock, cls);
      },
    },
    killable: {
      *lockWriteKillable(cpu, lock, cls) {
        return yield* downWriteKillable(cpu, lock, cls);
      },
      *lockReadKillable(cpu, lock, cls) {
        return yield* downReadKillable(cpu, lock, cls);
      },
    },
    downgrade: {
      *downgradeToRead(cpu, lock, cls) {
        yield* downgradeWrite(cpu, lock, cls);
      },
    },
  };
}

/** Every lock of the package, in the order of their size. */
export const LOCK_KINDS: readonly LockKind[] = [
  spinlock,
  rwlock,
  mutex,
  rwsemKind("rwsem", RULES_MODERN),
  rwsemKind("rwsem-pre-v5.3", RULES_PRE_V5_3),
  rwsemKind("rwsem-fifo-2010", RULES_FIFO_2010),
];
