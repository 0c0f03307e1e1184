/** Bugs that protocols are known for, by their number, and how they show here. */

import type { Protocol } from "../oom/protocols/protocol.ts";

/**
 * A page table, VMA or page that two CPUs believe to be theirs: which invariant sees it first depends on the moment. I7 is
 * among them because a page table may go while its lock is held.
 */
const USE_AFTER_FREE = ["I1", "I2", "I3", "I4", "I7"];

/** Invariants that a bug breaks. Others cost time only, or need what the emulated kernel does not do by itself. */
const BREAKS: Readonly<Record<string, readonly string[]>> = {
  B1: ["I5"],
  B3: USE_AFTER_FREE,
};

/** What the bugs are, for reports. */
const TEXTS: Readonly<Record<string, string>> = {
  B1: "MMF_OOM_SKIP over memory that is still mapped: a second process dies for nothing",
  B3: "the last mmput by a bystander does not wait for the reaper: use after free",
};

/** The bug that explains why `invariant` broke under `protocol`; undefined when none does. One broken on purpose may break any. */
export function knownBug(protocol: Protocol, invariant: string): string | undefined {
  if (protocol.brokenOnPurpose) return protocol.bugs[0];
  return protocol.bugs.find((bug) => BREAKS[bug]?.includes(invariant));
}

/** Bugs of the protocol that show as a broken invariant: a long run is expected to meet each of them. */
export function visibleBugs(protocol: Protocol): readonly string[] {
  return protocol.brokenOnPurpose ? protocol.bugs.slice(0, 1) : protocol.bugs.filter((bug) => bug in BREAKS);
}

export function bugText(bug: string): string {
  return TEXTS[bug] ?? "broken on purpose";
}
