/**
 * What locks keep per CPU. A CPU waits for one lock at a time, so one queue node is enough for all locks; it may
 * wait for a lock while it is on a wait queue, so wait queues have a node of their own.
 *
 * Thread safety: `parkToken` and the node words marked (shared) are touched by other CPUs, through atomic
 * operations or under the lock whose queue the node is on. All else is written by its own CPU only; others (the
 * watchdog, reports) read it while it changes and must tolerate that.
 */

import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { MAX_LOCK_CLASSES } from "./lock-class.ts";

/** Times are nanoseconds in two words, low 30 bits first (`addNs`). */
export const LockStat = struct("lockStat", {
  /** Times this CPU got a lock of the class. */
  acquired: 1,
  /** Times it had to wait, also where a signal ended the wait without the lock. */
  contended: 1,
  /** Waiting, spun and parked. */
  waitNs: 2,
  /** The part of it that was spun: it burnt CPU time. */
  spinNs: 2,
  /** Longest wait; 2^31 - 1 stands for all that are longer. */
  waitMaxNs: 1,
  /** Times the waiter parked. */
  parked: 1,
  /**
   * Hold time, over `holds` holds: contended acquisitions only, because only they read the clock. Of several
   * locks of one class held at once, the first release ends the measured hold.
   */
  holdNs: 2,
  holds: 1,
  /** Time at the running hold's begin, made odd, so that a first word of 0 means "not measured". */
  holdStart: 2,
  /** trylock calls that failed. */
  tryFailed: 1,
});

/** A waiter on a lock's queue. */
export const QueueNode = struct("queueNode", {
  /** (shared) Lock word address waited for; 0 when not queued. */
  lock: 1,
  /** What it waits as; the lock's own numbering. */
  kind: 1,
  /** (shared) 0 until the releaser handed the lock over. */
  granted: 1,
  /** (shared) CPU number + 1 of neighbours in the queue; 0 at the ends. */
  next: 1,
  prev: 1,
  /** Emulated microsecond (low 30 bits) after which the first waiter asks for hand-off. */
  deadline: 1,
  /** Lock's own use. */
  flags: 1,
});

/** Locks a CPU can hold at once, as far as the lock-order checker follows them. */
export const MAX_HELD = 48;

export const CpuSync = struct(
  "cpuSync",
  {
    /** (shared) 1 when somebody woke this CPU since it last parked; `park` consumes it. */
    parkToken: { words: 1, align: CACHE_PAIR },
    /** (shared) Bits of pending signals; SIGKILL ends killable waits. */
    signal: 1,
    /** On a lock's or completion's queue. */
    node: { words: QueueNode.WORDS, align: CACHE_PAIR },
    /** On a wait queue. */
    waitNode: QueueNode.WORDS,
    /** Lock word address this CPU spins or sleeps for, 0 when it runs; and its class. */
    awaited: { words: 1, align: CACHE_PAIR },
    awaitedClass: 1,
    /** CPU_* state, for the watchdog. */
    state: 1,
    /** Grows when work advances; spinning and waiting leave it alone. */
    progress: 1,
    /** Always 0; what `sleepUs` sleeps on. */
    timer: 1,
    /** How much longer than others it takes for its work, in thousandths (`cpu-speed`); constant while it runs. */
    slowdown: 1,
    /** CHECKED builds: stack of held locks, pairs of [lock word address, class | flags]. */
    heldCount: 1,
    held: MAX_HELD * 2,
    stats: [LockStat, MAX_LOCK_CLASSES],
  },
  CACHE_PAIR,
);

export const CPU_RUNNING = 0;
export const CPU_SPINNING = 1;
export const CPU_PARKED = 2;
/** Its program returned. */
export const CPU_DONE = 3;
export const CPU_STATE_NAMES = ["running", "spinning", "parked", "done"] as const;

/** Signal bit in `CpuSync.signal`. */
export const SIGKILL_BIT = 1;

const NS_BASE = 2 ** 30;

/** Adds nanoseconds (a finite number, not negative) to a two-word time. */
export function addNs(words: Int32Array, at: number, ns: number): void {
  const sum = (words[at] as number) + Math.round(ns);
  const carry = Math.floor(sum / NS_BASE);
  words[at] = sum - carry * NS_BASE;
  if (carry > 0) words[at + 1] = (words[at + 1] as number) + carry;
}

/** Sets a two-word time. */
export function writeNs(words: Int32Array, at: number, ns: number): void {
  words[at] = 0;
  words[at + 1] = 0;
  addNs(words, at, ns);
}

/** Reads a two-word time as nanoseconds. */
export function readNs(words: Int32Array, at: number): number {
  return (words[at + 1] as number) * NS_BASE + (words[at] as number);
}
