/**
 * Wakeup trees (Abdulla, Aronsson, Jonsson and Sagonas: Source Sets, JACM 2017): what is still to be tried from a state,
 * as sequences that share beginnings, in the order in which they were put there.
 */

import { type Effect, effectOf } from "./effect.ts";
import type { Sequence } from "./sequence.ts";

export interface WakeupNode {
  readonly effect: Effect;
  readonly children: WakeupNode[];
}

/** Puts the sequence into the tree, unless one that is there leads to all that this one leads to. Consumes the sequence. */
export function insertSequence(tree: WakeupNode[], sequence: Sequence): void {
  let branches = tree;
  for (;;) {
    const next = branches.find(({ effect }) => sequence.canBeginWith(effect));
    if (!next) break;
    const at = sequence.positionOf(next.effect.cpu);
    if (at >= 0) sequence.remove(at);
    if (sequence.effects.length === 0 || next.children.length === 0) return;
    branches = next.children;
  }
  for (const effect of sequence.effects) {
    const node: WakeupNode = { effect: effectOf(effect), children: [] };
    branches.push(node);
    branches = node.children;
  }
}
