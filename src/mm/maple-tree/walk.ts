/** Finding one's way in a maple tree (lib/maple_tree.c: mtree_range_walk, mas_next_node, mas_prev_node). */

import type { Cpu } from "../../arena/cpu.ts";
import { load } from "../../arena/mem.ts";
import { isLeaf, MapleTree, nodeCount, nodeParent, nodeParentSlot, pivotAt, setPivot, slotAt } from "./node.ts";

/** Slot of a node that `index` falls into; the node must cover it. */
export function findSlot(cpu: Cpu, node: number, index: number): number {
  let slot = 0;
  while (pivotAt(cpu, node, slot) < index) slot++;
  return slot;
}

/** Leaf that covers `index`, 0 when the tree is empty. */
export function findLeaf(cpu: Cpu, tree: number, index: number): number {
  let node = load(cpu, tree + MapleTree.root);
  if (node === 0) return 0;
  while (!isLeaf(cpu, node)) node = slotAt(cpu, node, findSlot(cpu, node, index));
  return node;
}

/** First page of a node: the one after the last of its left neighbour, on whatever level that one hangs. */
export function nodeFirst(cpu: Cpu, node: number): number {
  let below = node;
  for (;;) {
    const parent = nodeParent(cpu, below);
    if (parent === 0) return 0;
    const slot = nodeParentSlot(cpu, below);
    if (slot > 0) return pivotAt(cpu, parent, slot - 1) + 1;
    below = parent;
  }
}

/** Last page of a node. */
export function nodeLast(cpu: Cpu, node: number): number {
  return pivotAt(cpu, node, nodeCount(cpu, node) - 1);
}

/** Moves the end of a node, in the node and in all above it that end there too. */
export function setNodeLast(cpu: Cpu, node: number, last: number): void {
  let below = node;
  for (;;) {
    setPivot(cpu, below, nodeCount(cpu, below) - 1, last);
    const parent = nodeParent(cpu, below);
    if (parent === 0) return;
    const slot = nodeParentSlot(cpu, below);
    if (slot !== nodeCount(cpu, parent) - 1) {
      setPivot(cpu, parent, slot, last);
      return;
    }
    below = parent;
  }
}

/** First page of a slot. */
export function slotFirst(cpu: Cpu, node: number, slot: number): number {
  return slot > 0 ? pivotAt(cpu, node, slot - 1) + 1 : nodeFirst(cpu, node);
}

/** The leaf to the right, 0 at the end. */
export function nextLeaf(cpu: Cpu, leaf: number): number {
  let node = leaf;
  for (;;) {
    const parent = nodeParent(cpu, node);
    if (parent === 0) return 0;
    const slot = nodeParentSlot(cpu, node) + 1;
    if (slot < nodeCount(cpu, parent)) return firstLeaf(cpu, slotAt(cpu, parent, slot));
    node = parent;
  }
}

/** The leaf to the left, 0 at the beginning. */
export function prevLeaf(cpu: Cpu, leaf: number): number {
  let node = leaf;
  for (;;) {
    const parent = nodeParent(cpu, node);
    if (parent === 0) return 0;
    const slot = nodeParentSlot(cpu, node) - 1;
    if (slot >= 0) return lastLeaf(cpu, slotAt(cpu, parent, slot));
    node = parent;
  }
}

/** Leftmost leaf below a node. */
export function firstLeaf(cpu: Cpu, node: number): number {
  let below = node;
  while (!isLeaf(cpu, below)) below = slotAt(cpu, below, 0);
  return below;
}

function lastLeaf(cpu: Cpu, node: number): number {
  let below = node;
  while (!isLeaf(cpu, below)) below = slotAt(cpu, below, nodeCount(cpu, below) - 1);
  return below;
}
