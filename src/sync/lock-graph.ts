/**
 * Which class was asked for while which was held, after the kernel's kernel/locking/lockdep.c (as of v5.10, where it
 * learnt recursive readers), and the search for an order that can close into a deadlock.
 *
 * An edge from A to B has two properties: how A was held (alone or shared) and how B was asked for (a recursive
 * reader waits only for a writer that is in; everybody else can also wait for a reader). A cycle deadlocks only if
 * nowhere in it somebody arrives as a recursive reader at a class that the next one merely shares.
 */

import { probeOr } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { MAX_LOCK_CLASSES } from "./lock-class.ts";

/** Edge kinds: bit 0 = asked for as a recursive reader, bit 1 = the lock before it is held shared. */
const EDGE_RECURSIVE = 1;
const EDGE_SHARED = 2;
const EDGE_KINDS = 4;

/** One word per class and kind; bit n = an edge to class n. */
export const LockGraph = struct("lockGraph", { edges: MAX_LOCK_CLASSES * EDGE_KINDS });
assert(MAX_LOCK_CLASSES <= 32, "LockGraph: a row of the matrix is one word");

function edgeWord(graph: number, from: number, kind: number): number {
  return graph + LockGraph.edges + from * EDGE_KINDS + kind;
}

/** Adds the edge; true when it is new. Safe from several CPUs at once: whoever closes a cycle last sees all of it. */
export function addEdge(
  words: Int32Array,
  graph: number,
  from: number,
  fromShared: boolean,
  to: number,
  toRecursive: boolean,
): boolean {
  const kind = (toRecursive ? EDGE_RECURSIVE : 0) | (fromShared ? EDGE_SHARED : 0);
  const bit = 1 << to;
  return (probeOr(words, edgeWord(graph, from, kind), bit) & bit) === 0;
}

/**
 * Shortest chain of classes `from`, ..., `to` that together with a new edge from `to` (held `toShared`) to `from`
 * (asked for `fromRecursive`) is a cycle that deadlocks; empty when there is none.
 */
export function findCycle(
  words: Int32Array,
  graph: number,
  from: number,
  fromRecursive: boolean,
  to: number,
  toShared: boolean,
): number[] {
  // A state is a class and how the chain arrived there; breadth first, so the first hit is the shortest.
  const start = from * 2 + (fromRecursive ? 1 : 0);
  const parent = new Map<number, number>([[start, -1]]);
  for (const state of parent.keys()) {
    const recursive = (state & 1) !== 0;
    if (state >> 1 === to && !(recursive && toShared)) return chainTo(parent, state);
    for (let kind = 0; kind < EDGE_KINDS; kind++) {
      if (recursive && (kind & EDGE_SHARED) !== 0) continue;
      const row = probeOr(words, edgeWord(graph, state >> 1, kind), 0);
      for (let cls = 0; cls < MAX_LOCK_CLASSES; cls++) {
        const next = cls * 2 + (kind & EDGE_RECURSIVE);
        if ((row & (1 << cls)) !== 0 && !parent.has(next)) parent.set(next, state);
      }
    }
  }
  return [];
}

function chainTo(parent: ReadonlyMap<number, number>, last: number): number[] {
  const chain: number[] = [];
  for (let state = last; state >= 0; state = parent.get(state) as number) chain.unshift(state >> 1);
  return chain;
}
