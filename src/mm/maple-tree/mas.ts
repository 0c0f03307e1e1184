/**
 * A place in a maple tree that moves from entry to entry: `struct ma_state` with mas_find, mas_find_rev, mas_next and
 * mas_prev (lib/maple_tree.c, v6.1; what happens past either end follows v6.6 and later).
 *
 * The state is words that the caller places, in per-CPU memory for example. It holds a node's address: the owner's
 * lock must be held from one call to the next, for read at least, and after a change of the tree or a release of the
 * lock the caller sets a new index (`masSet`). Moving costs O(1) on average, from leaf to leaf through the parents.
 */

import type { Cpu } from "../../arena/cpu.ts";
import { load, store } from "../../arena/mem.ts";
import { struct } from "../../arena/struct.ts";
import { loadVpn, storeVpn, VPN_WORDS } from "../vpn.ts";
import { nodeCount, pivotAt, slotAt } from "./node.ts";
import { findLeaf, findSlot, nextLeaf, prevLeaf, slotFirst } from "./walk.ts";

export const MaState = struct("maState", {
  tree: 1,
  /** Leaf, or one of the MAS_ marks. */
  node: 1,
  /** Slot in the leaf. */
  offset: 1,
  /** Range of that slot, as page numbers. */
  index: VPN_WORDS,
  last: VPN_WORDS,
});

/** Not begun: the first call looks at `index`. */
export const MAS_START = 0;
/** A walk upwards has met its limit, kept in `index`. */
export const MAS_OVERFLOW = -1;
/** A walk downwards has met its limit, kept in `index`. */
export const MAS_UNDERFLOW = -2;

/** A state for `tree` that begins at `index`. */
export function masInit(cpu: Cpu, mas: number, tree: number, index: number): void {
  store(cpu, mas + MaState.tree, tree);
  masSet(cpu, mas, index);
}

/** Begins anew at `index`. */
export function masSet(cpu: Cpu, mas: number, index: number): void {
  setPlace(cpu, mas, MAS_START, 0, index, index);
}

/** First page of the entry that was found. */
export function masIndex(cpu: Cpu, mas: number): number {
  return loadVpn(cpu, mas + MaState.index);
}

/** Last page of the entry that was found. */
export function masLast(cpu: Cpu, mas: number): number {
  return loadVpn(cpu, mas + MaState.last);
}

/** At first the entry at or above the index, then the next one each time; 0 when it begins above `max`. */
export function masFind(cpu: Cpu, mas: number, max: number): number {
  return load(cpu, mas + MaState.node) === MAS_START
    ? entryFrom(cpu, mas, masIndex(cpu, mas), max)
    : masNext(cpu, mas, max);
}

/** At first the entry at or below the index, then the previous one each time; 0 when it ends below `min`. */
export function masFindRev(cpu: Cpu, mas: number, min: number): number {
  return load(cpu, mas + MaState.node) === MAS_START
    ? entryDownFrom(cpu, mas, masIndex(cpu, mas), min)
    : masPrev(cpu, mas, min);
}

/** The entry above the one at the state's place; 0 when it begins above `max`. */
export function masNext(cpu: Cpu, mas: number, max: number): number {
  const node = load(cpu, mas + MaState.node);
  const index = masIndex(cpu, mas);
  if (node === MAS_UNDERFLOW) return entryFrom(cpu, mas, index, max);
  if (node === MAS_OVERFLOW) return entryFrom(cpu, mas, index + 1, max);
  if (node === MAS_START && !walkTo(cpu, mas, index)) return passEnd(cpu, mas, MAS_OVERFLOW, max);
  return stepUp(cpu, mas, max);
}

/** The entry below the one at the state's place; 0 when it ends below `min`. */
export function masPrev(cpu: Cpu, mas: number, min: number): number {
  const node = load(cpu, mas + MaState.node);
  const index = masIndex(cpu, mas);
  if (node === MAS_OVERFLOW) return entryDownFrom(cpu, mas, index, min);
  if (node === MAS_UNDERFLOW) return entryDownFrom(cpu, mas, index - 1, min);
  if (node === MAS_START && !walkTo(cpu, mas, index)) return passEnd(cpu, mas, MAS_UNDERFLOW, min);
  return stepDown(cpu, mas, min);
}

/** The entry at or above `index`. */
function entryFrom(cpu: Cpu, mas: number, index: number, max: number): number {
  if (index > max || !walkTo(cpu, mas, index)) return passEnd(cpu, mas, MAS_OVERFLOW, max);
  const entry = entryAt(cpu, mas);
  return entry !== 0 ? entry : stepUp(cpu, mas, max);
}

/** The entry at or below `index`. */
function entryDownFrom(cpu: Cpu, mas: number, index: number, min: number): number {
  if (index < min || !walkTo(cpu, mas, index)) return passEnd(cpu, mas, MAS_UNDERFLOW, min);
  const entry = entryAt(cpu, mas);
  return entry !== 0 ? entry : stepDown(cpu, mas, min);
}

/** Puts the state on the slot that covers `index`; false when the tree is empty. */
function walkTo(cpu: Cpu, mas: number, index: number): boolean {
  const leaf = findLeaf(cpu, load(cpu, mas + MaState.tree), index);
  if (leaf === 0) return false;
  const slot = findSlot(cpu, leaf, index);
  setPlace(cpu, mas, leaf, slot, slotFirst(cpu, leaf, slot), pivotAt(cpu, leaf, slot));
  return true;
}

function entryAt(cpu: Cpu, mas: number): number {
  return slotAt(cpu, load(cpu, mas + MaState.node), load(cpu, mas + MaState.offset));
}

/** Moves up from a slot to the next entry. The slots cover every page, so below `max` there is always another. */
function stepUp(cpu: Cpu, mas: number, max: number): number {
  let leaf = load(cpu, mas + MaState.node);
  let slot = load(cpu, mas + MaState.offset);
  let first = masLast(cpu, mas) + 1;
  let count = nodeCount(cpu, leaf);
  while (first <= max) {
    slot++;
    if (slot === count) {
      leaf = nextLeaf(cpu, leaf);
      count = nodeCount(cpu, leaf);
      slot = 0;
    }
    const last = pivotAt(cpu, leaf, slot);
    const entry = slotAt(cpu, leaf, slot);
    if (entry !== 0) {
      setPlace(cpu, mas, leaf, slot, first, last);
      return entry;
    }
    first = last + 1;
  }
  return passEnd(cpu, mas, MAS_OVERFLOW, max);
}

/** Moves down from a slot to the previous entry. */
function stepDown(cpu: Cpu, mas: number, min: number): number {
  let leaf = load(cpu, mas + MaState.node);
  let slot = load(cpu, mas + MaState.offset);
  let last = masIndex(cpu, mas) - 1;
  while (last >= min) {
    slot--;
    if (slot < 0) {
      leaf = prevLeaf(cpu, leaf);
      slot = nodeCount(cpu, leaf) - 1;
    }
    const first = slotFirst(cpu, leaf, slot);
    const entry = slotAt(cpu, leaf, slot);
    if (entry !== 0) {
      setPlace(cpu, mas, leaf, slot, first, last);
      return entry;
    }
    last = first - 1;
  }
  return passEnd(cpu, mas, MAS_UNDERFLOW, min);
}

function passEnd(cpu: Cpu, mas: number, mark: number, limit: number): number {
  setPlace(cpu, mas, mark, 0, limit, limit);
  return 0;
}

function setPlace(cpu: Cpu, mas: number, node: number, offset: number, index: number, last: number): void {
  store(cpu, mas + MaState.node, node);
  store(cpu, mas + MaState.offset, offset);
  storeVpn(cpu, mas + MaState.index, index);
  storeVpn(cpu, mas + MaState.last, last);
}
