/**
 * What the locks keep in a user's buffer beside themselves: a header, which threads are attached, the names of the
 * locks (shared, because each thread may name them in an order of its own), and one `CpuSync` per thread.
 *
 * Thread safety: a thread's record is claimed by one compare-and-swap on its `claims` word. Names are appended under
 * `namesLock` and never change; `nameCount` grows after the name is written.
 */

import type { Cpu } from "../../arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, runToEnd } from "../../arena/mem.ts";
import { soloPort } from "../../arena/solo-port.ts";
import { CACHE_PAIR, struct } from "../../arena/struct.ts";
import { alignUp, hashString } from "../../base/bits.ts";
import { UsageError } from "../../base/errors.ts";
import { CpuSync } from "../cpu-sync.ts";
import { MAX_LOCK_CLASSES } from "../lock-class.ts";
import { type LockTotals, lockTotals } from "../lock-totals.ts";
import { sendSigkill } from "../park.ts";
import { queueLock, queueUnlock } from "../queue-lock.ts";
import { syncCpu } from "../sync-cpu.ts";

/** Longest name in bytes of UTF-8. */
const NAME_BYTES = 32;
const NAME_WORDS = NAME_BYTES / 4;
/** As many threads as CPU numbers fit the lock words with room to spare. */
const MAX_THREADS = 4096;

const SpaceHeader = struct(
  "lockSpace",
  { magic: 1, threads: 1, namesLock: 1, nameCount: 1, names: NAME_WORDS * MAX_LOCK_CLASSES },
  CACHE_PAIR,
);

/** Changes with what lies behind the header, so that builds that do not fit together refuse each other. */
const SPACE_MAGIC = hashString(`oomrace/sync 1 ${SpaceHeader.WORDS} ${CpuSync.WORDS}`);

export interface LockSpaceOptions {
  /** Most threads that are attached at a time, the same number in all of them. */
  readonly threads: number;
  /** Where the space begins in the buffer: a multiple of 128, the same in all threads. Default 0. */
  readonly byteOffset?: number;
}

/** What the locks of one name have seen, over all threads. Times in nanoseconds. */
export interface LockStats extends LockTotals {
  readonly name: string;
  /** `waitNs / contended`, 0 when nobody waited. */
  readonly waitMeanNs: number;
}

function claimsWords(threads: number): number {
  return alignUp(threads, CACHE_PAIR);
}

function checkThreads(threads: number): void {
  if (Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS) return;
  throw new UsageError(`LockSpace: threads: got ${threads}, expected a whole number from 1 to ${MAX_THREADS}`);
}

/** A thread's attachment to the locks of one buffer. Make one per thread and buffer. */
export class LockSpace {
  /** Where a space may begin. */
  static readonly BYTE_ALIGN: number = SpaceHeader.ALIGN * 4;

  /** Bytes that a space for that many threads takes. */
  static byteLength(threads: number): number {
    checkThreads(threads);
    return (SpaceHeader.WORDS + claimsWords(threads) + threads * CpuSync.WORDS) * 4;
  }

  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly threads: number;
  /** Number of this thread, 0 .. threads - 1; error messages and `owner` name threads by it. */
  readonly thread: number;
  /** For the locks of this package. */
  readonly cpu: Cpu;
  readonly #header: number;
  readonly #claims: number;

  constructor(buffer: SharedArrayBuffer, options: LockSpaceOptions) {
    const { threads, byteOffset = 0 } = options;
    if (!(buffer instanceof SharedArrayBuffer)) throw new UsageError("LockSpace: expected a SharedArrayBuffer");
    checkPlace("LockSpace", buffer, byteOffset, LockSpace.BYTE_ALIGN, LockSpace.byteLength(threads));
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.threads = threads;
    this.#header = byteOffset / 4;
    this.#claims = this.#header + SpaceHeader.WORDS;
    const words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4));
    const records = this.#claims + claimsWords(threads);
    const port = soloPort();
    // Until a record is claimed, only the header is touched, and never on behalf of a thread.
    const nobody = syncCpu(words, records, 0, port);
    this.#agree(nobody, "layout", SpaceHeader.magic, SPACE_MAGIC);
    this.#agree(nobody, "threads", SpaceHeader.threads, threads);
    this.thread = this.#claim(nobody);
    this.cpu = syncCpu(words, records, this.thread, port);
    // Whatever was sent to this number before was meant for another thread.
    runToEnd(atomicStore(this.cpu, this.cpu.sync + CpuSync.signal, 0));
  }

  /** The first thread writes what the others must find. */
  #agree(cpu: Cpu, what: string, field: number, wanted: number): void {
    const got = runToEnd(cmpxchg(cpu, this.#header + field, 0, wanted));
    if (got === 0 || got === wanted) return;
    throw new UsageError(`LockSpace: ${what} at byte ${this.byteOffset}: got ${got}, expected ${wanted}`);
  }

  #claim(cpu: Cpu): number {
    for (let thread = 0; thread < this.threads; thread++) {
      if (runToEnd(cmpxchg(cpu, this.#claims + thread, 0, 1)) === 0) return thread;
    }
    throw new UsageError(`LockSpace: all ${this.threads} threads of this space are attached already`);
  }

  /** Gives this thread's number back, for another one to attach. It holds no lock and uses none afterwards. */
  detach(): void {
    runToEnd(atomicStore(this.cpu, this.#claims + this.thread, 0));
  }

  /** Ends the killable waits of that thread, now and until it detaches: they return false. */
  kill(thread: number): void {
    if (!Number.isInteger(thread) || thread < 0 || thread >= this.threads) {
      throw new UsageError(`LockSpace.kill: thread: got ${thread}, expected 0 to ${this.threads - 1}`);
    }
    runToEnd(sendSigkill(this.cpu, thread));
  }

  /** One entry per name, in the order in which the names first came up. Callable while threads run. */
  stats(): LockStats[] {
    const { words, syncBase, syncStride } = this.cpu;
    const count = runToEnd(atomicLoad(this.cpu, this.#header + SpaceHeader.nameCount));
    return Array.from({ length: count }, (_, cls) => {
      const totals = lockTotals(words, syncBase, syncStride, this.threads, cls);
      const waitMeanNs = totals.contended === 0 ? 0 : totals.waitNs / totals.contended;
      return { name: this.#nameAt(cls), ...totals, waitMeanNs };
    });
  }

  /** For the locks of this package: number of the lock class of that name. */
  classOf(name: string): number {
    const bytes = new TextEncoder().encode(name);
    if (bytes.length === 0 || bytes.length > NAME_BYTES) {
      throw new UsageError(`LockSpace: lock name "${name}": got ${bytes.length} bytes, expected 1 to ${NAME_BYTES}`);
    }
    runToEnd(queueLock(this.cpu, this.#header + SpaceHeader.namesLock));
    try {
      return this.#findOrAdd(name, bytes);
    } finally {
      runToEnd(queueUnlock(this.cpu, this.#header + SpaceHeader.namesLock));
    }
  }

  #findOrAdd(name: string, bytes: Uint8Array): number {
    const countWord = this.#header + SpaceHeader.nameCount;
    const count = runToEnd(atomicLoad(this.cpu, countWord));
    for (let cls = 0; cls < count; cls++) if (this.#nameAt(cls) === name) return cls;
    if (count === MAX_LOCK_CLASSES) {
      throw new UsageError(`LockSpace: lock name "${name}": a space holds at most ${MAX_LOCK_CLASSES} names`);
    }
    this.#nameBytes(count).set(bytes);
    runToEnd(atomicStore(this.cpu, countWord, count + 1));
    return count;
  }

  #nameAt(cls: number): string {
    const bytes = this.#nameBytes(cls).slice();
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  #nameBytes(cls: number): Uint8Array {
    return new Uint8Array(this.buffer, (this.#header + SpaceHeader.names + cls * NAME_WORDS) * 4, NAME_BYTES);
  }
}

/** Throws a UsageError of one line when `bytes` bytes at `byteOffset` are not a place in the buffer. */
export function checkPlace(
  what: string,
  buffer: SharedArrayBuffer,
  byteOffset: number,
  align: number,
  bytes: number,
): void {
  if (!Number.isInteger(byteOffset) || byteOffset < 0 || byteOffset % align !== 0) {
    throw new UsageError(`${what}: byte offset: got ${byteOffset}, expected a multiple of ${align}`);
  }
  if (byteOffset + bytes > buffer.byteLength) {
    throw new UsageError(
      `${what}: bytes ${byteOffset} to ${byteOffset + bytes} lie outside the buffer of ${buffer.byteLength} bytes`,
    );
  }
}
