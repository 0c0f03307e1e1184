/** Which shared operations the order of can matter, by what their pending registers say. */

import { OP_LOAD, OP_NONE, OP_SPIN, OP_WAIT } from "../arena/mem.ts";

/** True when the operation only looks. A wait looks, too: what it adds to the sleepers only a wake of its word can see. */
export function reads(kind: number): boolean {
  return kind === OP_LOAD || kind === OP_SPIN || kind === OP_WAIT;
}

/**
 * True when executing the two in either order may differ: same word, and not both only look. Errs on the safe side: an
 * add or a failing compareExchange counts as a write. Waits and wakes of a word depend on each other, as a wake is none
 * that only looks.
 */
export function dependent(kind: number, word: number, otherKind: number, otherWord: number): boolean {
  if (kind === OP_NONE || otherKind === OP_NONE || word !== otherWord) return false;
  if (kind === OP_WAIT && otherKind === OP_WAIT) return true;
  return !(reads(kind) && reads(otherKind));
}
