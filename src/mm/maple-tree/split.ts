/**
 * Writing a range into one leaf, and splitting what gets too full (lib/maple_tree.c: mas_wr_modify, mas_split,
 * mas_alloc_nodes). Nodes change in place: the writer holds the lock, nobody walks.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { load, store } from "../../arena/mem.ts";
import { assert } from "../../base/assert.ts";
import { slabAlloc, slabFree } from "../slab.ts";
import { propagateGap, refreshGap } from "./gap.ts";
import {
  attachChild,
  MAPLE_ARANGE64_SLOTS,
  MAPLE_RANGE64_SLOTS,
  MapleNode,
  MapleTree,
  moveSlots,
  nodeCount,
  nodeParent,
  nodeParentSlot,
  pivotAt,
  setNodeCount,
  setPivot,
  setSlot,
  slotAt,
} from "./node.ts";
import { findSlot, nodeLast, slotFirst } from "./walk.ts";

/** Nodes that storing [first, last], which lies in this leaf, takes: one per node that splits, one for a new root. */
export function nodesNeeded(cpu: Cpu, leaf: number, first: number, last: number): number {
  if (countAfter(cpu, leaf, first, last) <= MAPLE_RANGE64_SLOTS) return 0;
  let needed = 1;
  let parent = nodeParent(cpu, leaf);
  while (parent !== 0 && nodeCount(cpu, parent) === MAPLE_ARANGE64_SLOTS) {
    needed++;
    parent = nodeParent(cpu, parent);
  }
  return parent === 0 ? needed + 1 : needed;
}

/** Slots of the leaf after the store. */
function countAfter(cpu: Cpu, leaf: number, first: number, last: number): number {
  const from = findSlot(cpu, leaf, first);
  const to = findSlot(cpu, leaf, last);
  const before = slotFirst(cpu, leaf, from) < first ? 1 : 0;
  const after = pivotAt(cpu, leaf, to) > last ? 1 : 0;
  return nodeCount(cpu, leaf) - (to - from + 1) + before + 1 + after;
}

/** Sets nodes aside for a store, so that it cannot fail half way; false, with none kept, when the pool is exhausted. */
export function* mapleReserve(cpu: Cpu, tree: number, needed: number): Steps<boolean> {
  const slab = load(cpu, tree + MapleTree.slab);
  for (let i = 0; i < needed; i++) {
    const node = yield* slabAlloc(cpu, slab);
    if (node === 0) {
      yield* mapleUnreserve(cpu, tree);
      return false;
    }
    store(cpu, node + MapleNode.parent, load(cpu, tree + MapleTree.spare));
    store(cpu, tree + MapleTree.spare, node);
  }
  return true;
}

function* mapleUnreserve(cpu: Cpu, tree: number): Steps<void> {
  for (;;) {
    const node = load(cpu, tree + MapleTree.spare);
    if (node === 0) return;
    store(cpu, tree + MapleTree.spare, nodeParent(cpu, node));
    yield* slabFree(cpu, load(cpu, tree + MapleTree.slab), node);
  }
}

/** One of the nodes set aside, without parent. */
function takeSpare(cpu: Cpu, tree: number, level: number): number {
  const node = load(cpu, tree + MapleTree.spare);
  assert(node !== 0, "takeSpare: fewer nodes set aside than the store needs");
  store(cpu, tree + MapleTree.spare, nodeParent(cpu, node));
  store(cpu, node + MapleNode.parent, 0);
  store(cpu, node + MapleNode.level, level);
  return node;
}

/** Puts an entry over [first, last] of one leaf; the leaf must have room. What sticks out on both sides stays. */
export function writeLeaf(cpu: Cpu, leaf: number, first: number, last: number, entry: number): void {
  const count = nodeCount(cpu, leaf);
  const from = findSlot(cpu, leaf, first);
  const to = findSlot(cpu, leaf, last);
  const before = slotFirst(cpu, leaf, from) < first ? 1 : 0;
  const after = pivotAt(cpu, leaf, to) > last ? 1 : 0;
  const above = slotAt(cpu, leaf, to);
  const end = pivotAt(cpu, leaf, to);
  const at = from + before;
  moveSlots(cpu, leaf, to + 1, leaf, at + 1 + after, count - to - 1);
  if (before > 0) setPivot(cpu, leaf, from, first - 1);
  setSlot(cpu, leaf, at, entry);
  setPivot(cpu, leaf, at, last);
  if (after > 0) {
    setSlot(cpu, leaf, at + 1, above);
    setPivot(cpu, leaf, at + 1, end);
  }
  setNodeCount(cpu, leaf, count - (to - from + 1) + before + 1 + after);
  propagateGap(cpu, leaf);
}

/** Splits a leaf that is to take [first, last], not through that range; returns the half that covers it. */
export function splitLeaf(cpu: Cpu, tree: number, leaf: number, first: number, last: number): number {
  let keep = nodeCount(cpu, leaf) >> 1;
  const seam = pivotAt(cpu, leaf, keep - 1);
  if (first <= seam && last > seam) keep++;
  const right = splitNode(cpu, tree, leaf, keep);
  return nodeLast(cpu, leaf) < first ? right : leaf;
}

/** Moves the slots from `keep` on into a new right neighbour and returns it. Splits the nodes above as needed. */
function splitNode(cpu: Cpu, tree: number, node: number, keep: number): number {
  if (nodeParent(cpu, node) === 0) growTree(cpu, tree, node);
  const above = nodeParent(cpu, node);
  if (nodeCount(cpu, above) === MAPLE_ARANGE64_SLOTS) splitNode(cpu, tree, above, MAPLE_ARANGE64_SLOTS / 2);
  const parent = nodeParent(cpu, node);
  const slot = nodeParentSlot(cpu, node);
  const right = takeSpare(cpu, tree, load(cpu, node + MapleNode.level));
  const moved = nodeCount(cpu, node) - keep;
  moveSlots(cpu, node, keep, right, 0, moved);
  setNodeCount(cpu, node, keep);
  setNodeCount(cpu, right, moved);

  const behind = nodeCount(cpu, parent) - slot - 1;
  moveSlots(cpu, parent, slot + 1, parent, slot + 2, behind);
  setNodeCount(cpu, parent, slot + 2 + behind);
  setPivot(cpu, parent, slot, nodeLast(cpu, node));
  setPivot(cpu, parent, slot + 1, nodeLast(cpu, right));
  attachChild(cpu, parent, slot + 1, right);
  refreshGap(cpu, node);
  refreshGap(cpu, right);
  return right;
}

/** Puts a new root above the old one. */
function growTree(cpu: Cpu, tree: number, root: number): void {
  const top = takeSpare(cpu, tree, load(cpu, root + MapleNode.level) + 1);
  setNodeCount(cpu, top, 1);
  setPivot(cpu, top, 0, nodeLast(cpu, root));
  attachChild(cpu, top, 0, root);
  refreshGap(cpu, root);
  store(cpu, tree + MapleTree.root, top);
}
