/**
 * What a store needs beyond one leaf: swallowing the leaves that its range covers, and bringing nodes back to their
 * minimum (lib/maple_tree.c: mas_wr_spanning_store, mas_spanning_rebalance, mas_rebalance). Only frees nodes.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { load, store } from "../../arena/mem.ts";
import { slabFree } from "../slab.ts";
import { propagateGap, refreshGap } from "./gap.ts";
import {
  isLeaf,
  MapleNode,
  MapleTree,
  moveSlots,
  nodeCount,
  nodeParent,
  nodeParentSlot,
  pivotAt,
  removeSlots,
  setNodeCount,
  setPivot,
  slotAt,
  slotLimit,
  slotMinimum,
} from "./node.ts";
import { findSlot, nextLeaf, nodeLast, setNodeLast } from "./walk.ts";

/** Extends the last slot of a leaf to end at `last`, over whatever the leaves to the right hold there. */
export function* mapleSwallow(cpu: Cpu, tree: number, leaf: number, last: number): Steps<void> {
  while (nodeLast(cpu, leaf) < last) {
    const next = nextLeaf(cpu, leaf);
    const end = nodeLast(cpu, next);
    if (end <= last) {
      setNodeLast(cpu, leaf, end);
      yield* mapleDropNode(cpu, tree, next);
    } else {
      removeSlots(cpu, next, 0, slotsUpTo(cpu, next, last));
      setNodeLast(cpu, leaf, last);
      propagateGap(cpu, next);
    }
  }
  propagateGap(cpu, leaf);
}

/** Leading slots of a leaf that end at `last` or before; the leaf reaches beyond it. */
function slotsUpTo(cpu: Cpu, leaf: number, last: number): number {
  const slot = findSlot(cpu, leaf, last);
  return pivotAt(cpu, leaf, slot) === last ? slot + 1 : slot;
}

/** Takes a node out of the tree, and those above it that it leaves empty. */
function* mapleDropNode(cpu: Cpu, tree: number, node: number): Steps<void> {
  let dead = node;
  let parent = nodeParent(cpu, dead);
  while (nodeCount(cpu, parent) === 1) {
    yield* mapleFreeNode(cpu, tree, dead);
    dead = parent;
    parent = nodeParent(cpu, dead);
  }
  removeSlots(cpu, parent, nodeParentSlot(cpu, dead), 1);
  yield* mapleFreeNode(cpu, tree, dead);
  propagateGap(cpu, parent);
}

export function* mapleFreeNode(cpu: Cpu, tree: number, node: number): Steps<void> {
  yield* slabFree(cpu, load(cpu, tree + MapleTree.slab), node);
}

/** Brings every node on the way to `index` back to its minimum, from the top down: there a parent has two children. */
export function* mapleRebalance(cpu: Cpu, tree: number, index: number): Steps<void> {
  for (;;) {
    yield* mapleShrinkRoot(cpu, tree);
    const node = topmostUnderfull(cpu, tree, index);
    if (node === 0) return;
    yield* mapleFill(cpu, tree, node);
  }
}

/** A root with one child gives way to it; a root leaf that is one gap goes. */
function* mapleShrinkRoot(cpu: Cpu, tree: number): Steps<void> {
  for (;;) {
    const root = load(cpu, tree + MapleTree.root);
    if (root === 0 || nodeCount(cpu, root) > 1) return;
    const only = slotAt(cpu, root, 0);
    if (isLeaf(cpu, root) && only !== 0) return;
    store(cpu, tree + MapleTree.root, only);
    if (only !== 0) store(cpu, only + MapleNode.parent, 0);
    yield* mapleFreeNode(cpu, tree, root);
  }
}

function topmostUnderfull(cpu: Cpu, tree: number, index: number): number {
  let node = load(cpu, tree + MapleTree.root);
  if (node === 0) return 0;
  while (!isLeaf(cpu, node)) {
    node = slotAt(cpu, node, findSlot(cpu, node, index));
    if (nodeCount(cpu, node) < slotMinimum(isLeaf(cpu, node))) return node;
  }
  return 0;
}

/** Joins a node with a neighbour under the same parent, or evens the two out when they do not fit in one. */
function* mapleFill(cpu: Cpu, tree: number, node: number): Steps<void> {
  const parent = nodeParent(cpu, node);
  const slot = nodeParentSlot(cpu, node);
  const leftSlot = slot + 1 < nodeCount(cpu, parent) ? slot : slot - 1;
  const left = slotAt(cpu, parent, leftSlot);
  const right = slotAt(cpu, parent, leftSlot + 1);
  const total = nodeCount(cpu, left) + nodeCount(cpu, right);
  const joined = total <= slotLimit(isLeaf(cpu, left));
  shiftSlots(cpu, left, right, joined ? total : total >> 1);
  setPivot(cpu, parent, leftSlot, nodeLast(cpu, left));
  if (joined) {
    removeSlots(cpu, parent, leftSlot + 1, 1);
    yield* mapleFreeNode(cpu, tree, right);
  } else {
    refreshGap(cpu, right);
  }
  refreshGap(cpu, left);
}

/** Moves slots across the seam of two neighbours until the left one has `keep`. */
function shiftSlots(cpu: Cpu, left: number, right: number, keep: number): void {
  const inLeft = nodeCount(cpu, left);
  const inRight = nodeCount(cpu, right);
  const moved = keep - inLeft;
  if (moved >= 0) {
    moveSlots(cpu, right, 0, left, inLeft, moved);
    moveSlots(cpu, right, moved, right, 0, inRight - moved);
  } else {
    moveSlots(cpu, right, 0, right, -moved, inRight);
    moveSlots(cpu, left, keep, right, 0, -moved);
  }
  setNodeCount(cpu, left, keep);
  setNodeCount(cpu, right, inRight - moved);
}
