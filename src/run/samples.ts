/** What one measured kill leaves behind, as data. Times are nanoseconds, pages are 4 KiB. */

export type Role = "victim" | "reaper" | "allocator";

/** One lock class on one CPU during one trial. */
export interface LockSample {
  /** Class name, "pte_lock". */
  readonly class: string;
  /** Kind of lock, "spinlock" or "rwsem". */
  readonly type: string;
  readonly acquired: number;
  /** Acquisitions that had to wait. */
  readonly contended: number;
  readonly waitNs: number;
  /** The part of waitNs that was spun: it burnt CPU time. */
  readonly spinNs: number;
  readonly maxNs: number;
  /** Times the waiter slept. */
  readonly parked: number;
  /** trylock calls that failed. */
  readonly tryFailed: number;
}

/** Waits of an allocator whom the watermarks refused, in emulated microseconds. */
export interface StallSample {
  readonly count: number;
  readonly totalUs: number;
  readonly longestUs: number;
  /** Each stall. */
  readonly eachUs: readonly number[];
}

/** One CPU of one trial. */
export interface ActorSample {
  readonly role: Role;
  /** Barrier release until it left its last VMA; for an allocator, until it stopped. */
  readonly wallNs: number;
  /** null where the system cannot say. */
  readonly cpuNs: number | null;
  /** Pages it unmapped; for an allocator, pages it got. */
  readonly pages: number;
  readonly locks: readonly LockSample[];
  /** null for victim and reaper. */
  readonly stalls: StallSample | null;
}

/** One kill. Trials of different variants with the same position in their lists form a pair: same seed. */
export interface TrialSample {
  readonly seed: number;
  /** Barrier release until victim and reaper have both left their last VMA. */
  readonly phaseNs: number;
  /** Barrier release until the victim has exited (exit_mmap has returned) and both sides have left their last VMA. */
  readonly teardownNs: number;
  /** Pages unmapped by victim and reaper together. */
  readonly pages: number;
  readonly actors: readonly ActorSample[];
}

/** What it took to bring a victim's machine to the start barrier, in real time. */
export interface StagingSample {
  /** The whole machine: frames, page tables, everything. */
  readonly arenaBytes: number;
  readonly bootNs: number;
  /** Building the address space, killing the victim, finding it for the reaper. */
  readonly buildNs: number;
}
