/**
 * The words of an rwsem, after struct rw_semaphore (include/linux/rwsem.h) and the bits of kernel/locking/rwsem.c.
 * The kernel's count has 64 bits, ours 32; all three rule sets share this one layout.
 *
 * count:
 * - bit 0 WRITER_LOCKED: a writer is in. Then there are no readers, apart from the bias of newcomers (below).
 * - bit 1 WAITERS: the queue is not empty. Changed under `waitLock` only.
 * - bit 2 HANDOFF: nobody may steal the lock from the first waiter. Changed under `waitLock` only.
 * - bits 3-7 unused, as in the kernel.
 * - bits 8-31 readers: up to 2^23 - 1, so the kernel's guard bit against overflow is not needed.
 * A reader adds its bias first and looks afterwards; one that must wait takes it off again once it is queued. So a
 * free lock can look read-held for a moment, and whoever takes such a bias off checks whether the head can go.
 *
 * owner: a hint for spinners and reports, written with `hint`; only the writer's own value is relied upon, by itself.
 * - bit 0 READER_OWNED: a reader was the last to enter; stays when the readers leave.
 * - bit 1 NONSPINNABLE: writers gave up spinning on these readers.
 * - bits 2-31: CPU number + 1 of the writer, or of the last reader to enter; 0 when no writer is in.
 *
 * `waitLock` guards `waiters` and the fields of the queue nodes on it.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { hint } from "../../arena/mem.ts";
import { CACHE_PAIR, struct } from "../../arena/struct.ts";
import { InternalFault } from "../../base/errors.ts";
import { WaitList } from "../wait-list.ts";

export const Rwsem = struct(
  "rwsem",
  {
    count: 1,
    owner: 1,
    /** CPU number + 1 of the one writer that spins, 0 when none does (see spin.ts). */
    osq: 1,
    /** Queue lock. */
    waitLock: 1,
    waiters: WaitList,
    /** RULES_*; never changes. */
    rules: 1,
  },
  CACHE_PAIR,
);

export const RWSEM_WRITER_LOCKED = 1 << 0;
export const RWSEM_FLAG_WAITERS = 1 << 1;
export const RWSEM_FLAG_HANDOFF = 1 << 2;
export const RWSEM_READER_SHIFT = 8;
export const RWSEM_READER_BIAS = 1 << RWSEM_READER_SHIFT;
export const RWSEM_READER_MASK = ~(RWSEM_READER_BIAS - 1);
export const RWSEM_LOCK_MASK = RWSEM_WRITER_LOCKED | RWSEM_READER_MASK;
/** A reader that adds its bias and meets one of these is not in. */
export const RWSEM_READ_FAILED_MASK = RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS | RWSEM_FLAG_HANDOFF;

export const RWSEM_READER_OWNED = 1 << 0;
export const RWSEM_NONSPINNABLE = 1 << 1;
export const RWSEM_OWNER_SHIFT = 2;

/** What the owner word says. */
export const OWNER_NULL = 0;
export const OWNER_WRITER = 1;
export const OWNER_READER = 2;
export const OWNER_NONSPINNABLE = 3;

/** `rwsem_owner_state` */
export function ownerState(owner: number): number {
  if ((owner & RWSEM_NONSPINNABLE) !== 0) return OWNER_NONSPINNABLE;
  if ((owner & RWSEM_READER_OWNED) !== 0) return OWNER_READER;
  return owner === 0 ? OWNER_NULL : OWNER_WRITER;
}

/** Owner word of a writer on this CPU. */
export function writerOwner(cpu: Cpu): number {
  return (cpu.id + 1) << RWSEM_OWNER_SHIFT;
}

/** `rwsem_set_owner`: this CPU has just locked it for writing. */
export function* setWriterOwned(cpu: Cpu, sem: number): Steps<void> {
  yield* hint(cpu, sem + Rwsem.owner, 0, writerOwner(cpu));
}

/** `__rwsem_set_reader_owned`: CPU number `id` has just locked it for reading. */
export function* setReaderOwned(cpu: Cpu, sem: number, id: number): Steps<void> {
  yield* hint(cpu, sem + Rwsem.owner, RWSEM_NONSPINNABLE, ((id + 1) << RWSEM_OWNER_SHIFT) | RWSEM_READER_OWNED);
}

/** `what`: the function that needs the write lock. */
export function notWriter(what: string, cpu: Cpu): never {
  throw new InternalFault(`${what}: not held for write by CPU ${cpu.id}`);
}
