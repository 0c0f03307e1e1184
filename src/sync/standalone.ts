/**
 * `oomrace/sync`: the locks of the emulated kernel for your own `SharedArrayBuffer`. No emulated machine is needed,
 * and nothing but the buffer is shared.
 *
 * You own the buffer and decide what lies where. A *lock space* takes `LockSpace.byteLength(threads)` bytes of it,
 * for what the locks keep per thread; each lock takes `BYTES` bytes at an offset of your choice, a multiple of its
 * `BYTE_ALIGN`. All of it must be zero at first, as a new buffer is; a zeroed lock is a free one, so nobody has to
 * initialise anything. Every thread, the main thread too, then makes its own objects over the same offsets:
 *
 *     import { LockSpace, Mutex } from "oomrace/sync";
 *
 *     const space = new LockSpace(buffer, { threads: 4 });       // in each thread, once
 *     const mutex = new Mutex(space, LockSpace.byteLength(4), "queue");
 *     mutex.lock();
 *     try {
 *       // ... plain reads and writes of what the mutex guards
 *     } finally {
 *       mutex.unlock();
 *     }
 *     console.table(space.stats());
 *
 * | class         | what it is                                                            | beyond lock, tryLock, unlock |
 * |---------------|-----------------------------------------------------------------------|------------------------------|
 * | `SpinLock`    | one word; spins for a while, then sleeps                              |                              |
 * | `Mutex`       | fair queue, hand-off to who has waited in vain                        | killable                     |
 * | `RwLock`      | many readers or one writer; readers nest, and overtake writers        | shared                       |
 * | `RwSemaphore` | many readers or one writer; fair queue                                | shared, killable, downgrade  |
 * | `Completion`  | events, each consumed by one waiter                                   | wait, signal                 |
 * | `WaitQueue`   | sleep until a condition holds                                         | waitUntil, notify            |
 *
 * - Locks that different threads hammer belong 128 bytes apart, or they slow each other down.
 * - A lock is released by the thread that took it. Releasing one that one does not hold throws, and so does asking a
 *   `SpinLock`, `Mutex` or `RwLock` again that one holds alone. The message says who holds it; threads are called CPUs
 *   there and are numbered by `LockSpace.thread`.
 * - Waiting blocks the thread (`Atomics.wait`). Node allows that on the main thread; browsers do not.
 * - A thread that ends while it holds a lock leaves it locked.
 * - Statistics are kept by lock name, at most 32 names of at most 32 bytes. The clock is read only by who has to wait.
 *
 * Mistakes in arguments throw a `UsageError` of one line that says what was got and what was expected.
 */

export { UsageError, Violation } from "../base/errors.ts";
export type { LockTotals } from "./lock-totals.ts";
export { Completion, WaitQueue } from "./standalone/events.ts";
export { LockSpace, type LockSpaceOptions, type LockStats } from "./standalone/lock-space.ts";
export { Mutex, RwLock, RwSemaphore, SpinLock } from "./standalone/locks.ts";
export { Placed } from "./standalone/placed.ts";
