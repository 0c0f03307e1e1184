/** Waiting for something that another thread does: completion and wait queue over a user's buffer. */

import { runToEnd } from "../../arena/mem.ts";
import {
  Completion as CompletionWords,
  complete,
  completeAll,
  reinitCompletion,
  tryWaitForCompletion,
  waitForCompletionTimeout,
} from "../completion.ts";
import { deadlineAfter, leftUntil, SLEEP_TIMED_OUT } from "../park.ts";
import {
  finishWait,
  prepareToWait,
  prepareToWaitExclusive,
  sleepOnQueue,
  WaitQueue as WaitQueueWords,
  wakeUp,
  wakeUpAll,
} from "../wait-queue.ts";
import type { LockSpace } from "./lock-space.ts";
import { Placed, timeoutUs } from "./placed.ts";

/** Counts events; each is consumed by one waiter. */
export class Completion extends Placed {
  static readonly BYTES: number = CompletionWords.WORDS * 4;
  static readonly BYTE_ALIGN: number = CompletionWords.ALIGN * 4;

  constructor(space: LockSpace, byteOffset: number, name = "Completion") {
    super("Completion", CompletionWords, space, byteOffset, name);
  }

  /** Sleeps until there is an event and consumes it; false when the timeout came first. */
  wait(milliseconds = Number.POSITIVE_INFINITY): boolean {
    const timeout = timeoutUs("Completion.wait", milliseconds);
    return runToEnd(waitForCompletionTimeout(this.cpu, this.at, this.cls, timeout));
  }

  /** Consumes an event if there is one. */
  tryWait(): boolean {
    return runToEnd(tryWaitForCompletion(this.cpu, this.at, this.cls));
  }

  /** One more event. */
  signal(): void {
    runToEnd(complete(this.cpu, this.at));
  }

  /** Events without end: whoever waits, now or later, goes on, until `reset`. */
  signalAll(): void {
    runToEnd(completeAll(this.cpu, this.at));
  }

  /** No event has happened. Nobody may be waiting. */
  reset(): void {
    runToEnd(reinitCompletion(this.cpu, this.at));
  }
}

/** Threads that sleep until a condition of theirs holds. A thread waits on one queue at a time. */
export class WaitQueue extends Placed {
  static readonly BYTES: number = WaitQueueWords.WORDS * 4;
  static readonly BYTE_ALIGN: number = WaitQueueWords.ALIGN * 4;

  constructor(space: LockSpace, byteOffset: number, name = "WaitQueue") {
    super("WaitQueue", WaitQueueWords, space, byteOffset, name);
  }

  /**
   * Sleeps until `holds()` is true; false when the timeout came first. `holds` is asked again after each wake-up; it
   * may take locks, and may take what it finds (then give `exclusive`, and `notify` wakes one such waiter).
   */
  waitUntil(holds: () => boolean, milliseconds = Number.POSITIVE_INFINITY, exclusive = false): boolean {
    const { cpu, at } = this;
    const deadline = deadlineAfter(cpu, timeoutUs("WaitQueue.waitUntil", milliseconds));
    try {
      for (let expired = false; ; ) {
        if (exclusive) runToEnd(prepareToWaitExclusive(cpu, at));
        else runToEnd(prepareToWait(cpu, at));
        if (holds()) return true;
        if (expired) return false;
        const ended = runToEnd(sleepOnQueue(cpu, at, this.cls, leftUntil(cpu, deadline), false));
        expired = ended === SLEEP_TIMED_OUT;
      }
    } finally {
      // A wake-up for an exclusive waiter that has what it wants already goes on to the next.
      if (runToEnd(finishWait(cpu, at)) && exclusive) runToEnd(wakeUp(cpu, at));
    }
  }

  /** Wakes all waiters that are not exclusive, and one that is. */
  notify(): void {
    runToEnd(wakeUp(this.cpu, this.at));
  }

  notifyAll(): void {
    runToEnd(wakeUpAll(this.cpu, this.at));
  }
}
