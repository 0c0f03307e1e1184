/** What the lock-order checker found, kept in the arena so that any thread can read it after the run. */

import { probeAdd, probeOr } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { CpuSync, MAX_HELD } from "./cpu-sync.ts";
import { lockClassNames, MAX_LOCK_CLASSES } from "./lock-class.ts";
import { LockGraph } from "./lock-graph.ts";

/** How a lock is taken, as the checker sees it; shares a word with the class number. */
export const HELD_WRITE = 0;
export const HELD_READ = 1 << 8;
/** A reader that may nest inside itself (rwlock). */
export const HELD_READ_RECURSIVE = 1 << 9;
/** A trylock: joins the held stack but adds no edge, as it never waits. */
export const HELD_TRY = 1 << 10;
export const HELD_CLASS_MASK = 0xff;

export const FOUND_RECURSION = 1;
export const FOUND_INVERSION = 2;

/** Held locks that a finding remembers, the latest ones. */
const FOUND_HELD = 12;
/** Findings kept of one run; later ones are only counted. */
const MAX_FINDINGS = 8;

const LockFinding = struct("lockFinding", {
  /** FOUND_*; written last, 0 while the rest is incomplete. */
  kind: 1,
  /** CPU number. */
  cpu: 1,
  /** Class and HELD_* of the lock asked for. */
  asked: 1,
  heldCount: 1,
  /** Class and HELD_* of what the CPU held, the oldest first. */
  held: FOUND_HELD,
  chainLength: 1,
  /** Inversion: classes in the order seen before, from the one asked for to the one held. */
  chain: MAX_LOCK_CLASSES,
});

/** One per arena; `Cpu.lockOrder` is its word address. */
export const LockOrder = struct(
  "lockOrder",
  {
    graph: LockGraph,
    /** Bit n: a recursion in class n has been reported. */
    recursed: 1,
    findingCount: 1,
    findings: [LockFinding, MAX_FINDINGS],
  },
  CACHE_PAIR,
);

/** Records a finding of CPU number `id`, whose per-CPU sync struct is `sync`. */
export function recordFinding(
  words: Int32Array,
  base: number,
  kind: number,
  id: number,
  sync: number,
  asked: number,
  chain: readonly number[],
): void {
  const slot = probeAdd(words, base + LockOrder.findingCount, 1);
  if (slot >= MAX_FINDINGS) return;
  const at = base + LockOrder.findings + slot * LockFinding.WORDS;
  words[at + LockFinding.cpu] = id;
  words[at + LockFinding.asked] = asked;
  const heldCount = words[sync + CpuSync.heldCount] as number;
  const first = Math.max(0, heldCount - FOUND_HELD);
  words[at + LockFinding.heldCount] = heldCount - first;
  for (let i = first; i < heldCount; i++) {
    words[at + LockFinding.held + i - first] = words[sync + CpuSync.held + i * 2 + 1] as number;
  }
  words[at + LockFinding.chainLength] = chain.length;
  words.set(chain, at + LockFinding.chain);
  probeOr(words, at + LockFinding.kind, kind);
}

/** "mmap_lock (read)" */
function takenAs(taken: number): string {
  const name = lockClassNames()[taken & HELD_CLASS_MASK] ?? `class ${taken & HELD_CLASS_MASK}`;
  if ((taken & (HELD_READ | HELD_READ_RECURSIVE)) !== 0) return `${name} (read)`;
  return name;
}

/** Locks that a CPU holds, the oldest first, by class: "mmap_lock (read)". `sync`: its per-CPU sync struct. */
export function heldLocks(words: Int32Array, sync: number): string[] {
  const count = Math.min(words[sync + CpuSync.heldCount] as number, MAX_HELD);
  return Array.from({ length: count }, (_, i) => takenAs(words[sync + CpuSync.held + i * 2 + 1] as number));
}

function describeFinding(words: Int32Array, at: number): string {
  const asked = words[at + LockFinding.asked] as number;
  const held = Array.from(words.subarray(at + LockFinding.held, at + LockFinding.held + FOUND_HELD))
    .slice(0, words[at + LockFinding.heldCount])
    .map(takenAs);
  const who = `CPU ${words[at + LockFinding.cpu]} holds ${held.join(", ")} and asks for ${takenAs(asked)}`;
  if (words[at + LockFinding.kind] === FOUND_RECURSION) return `recursion: ${takenAs(asked)}; ${who}`;
  const names = lockClassNames();
  const chain = Array.from(words.subarray(at + LockFinding.chain, at + LockFinding.chain + MAX_LOCK_CLASSES))
    .slice(0, words[at + LockFinding.chainLength])
    .map((cls) => names[cls]);
  return `inversion: ${[...chain, chain[0]].join(" -> ")}; ${who}`;
}

/**
 * What was found so far, a sentence each: "inversion: mmap_lock -> pte_lock -> mmap_lock; CPU 1 holds ...".
 * `base`: address of the LockOrder struct. The last one says how many more there were than the arena keeps.
 */
export function lockOrderFindings(words: Int32Array, base: number): string[] {
  const count = words[base + LockOrder.findingCount] as number;
  const found: string[] = [];
  for (let slot = 0; slot < Math.min(count, MAX_FINDINGS); slot++) {
    const at = base + LockOrder.findings + slot * LockFinding.WORDS;
    if (words[at + LockFinding.kind] !== 0) found.push(describeFinding(words, at));
  }
  if (count > MAX_FINDINGS) found.push(`${count - MAX_FINDINGS} more, not kept`);
  return found;
}
