/**
 * Search for free pages (lib/maple_tree.c: mas_empty_area, mas_empty_area_rev), as `vm_unmapped_area` needs it.
 * The gap sizes above the leaves steer it: O(log n). Callers hold the owner's lock, for read at least.
 */

import type { Cpu } from "../../arena/cpu.ts";
import { assert } from "../../base/assert.ts";
import { loadVpn, MAX_VPN } from "../vpn.ts";
import { gapWord, isLeaf, nodeCount, nodeParent, nodeParentSlot, pivotAt, slotAt } from "./node.ts";
import { findLeaf, findSlot, slotFirst } from "./walk.ts";

/** No gap of that size there (the kernel's -EBUSY). */
export const NO_EMPTY_AREA = -1;

/** Lowest page from which `size` pages within [min, max] are free, or NO_EMPTY_AREA. */
export function masEmptyArea(cpu: Cpu, tree: number, min: number, max: number, size: number): number {
  requireWindow(min, max, size);
  let leaf = findLeaf(cpu, tree, min);
  if (leaf === 0) return max - min + 1 >= size ? min : NO_EMPTY_AREA;
  let slot = findSlot(cpu, leaf, min);
  for (;;) {
    const count = nodeCount(cpu, leaf);
    for (; slot < count; slot++) {
      const first = Math.max(min, slotFirst(cpu, leaf, slot));
      if (first + size - 1 > max) return NO_EMPTY_AREA;
      if (slotAt(cpu, leaf, slot) === 0 && pivotAt(cpu, leaf, slot) - first + 1 >= size) return first;
    }
    leaf = leafWithGapAbove(cpu, leaf, size);
    if (leaf === 0) return NO_EMPTY_AREA;
    slot = 0;
  }
}

/** Highest page from which `size` pages within [min, max] are free, or NO_EMPTY_AREA. */
export function masEmptyAreaRev(cpu: Cpu, tree: number, min: number, max: number, size: number): number {
  requireWindow(min, max, size);
  let leaf = findLeaf(cpu, tree, max);
  if (leaf === 0) return max - min + 1 >= size ? max - size + 1 : NO_EMPTY_AREA;
  let slot = findSlot(cpu, leaf, max);
  for (;;) {
    for (; slot >= 0; slot--) {
      const last = Math.min(max, pivotAt(cpu, leaf, slot));
      if (last - size + 1 < min) return NO_EMPTY_AREA;
      if (slotAt(cpu, leaf, slot) === 0 && last - slotFirst(cpu, leaf, slot) + 1 >= size) return last - size + 1;
    }
    leaf = leafWithGapBelow(cpu, leaf, size);
    if (leaf === 0) return NO_EMPTY_AREA;
    slot = nodeCount(cpu, leaf) - 1;
  }
}

function requireWindow(min: number, max: number, size: number): void {
  assert(min >= 0 && min <= max && max <= MAX_VPN, "masEmptyArea: expected 0 <= min <= max < 2^45");
  assert(size > 0, "masEmptyArea: expected a size of at least one page");
}

/** Nearest leaf to the right that has a gap of `size`, 0 when there is none. */
function leafWithGapAbove(cpu: Cpu, leaf: number, size: number): number {
  let node = leaf;
  for (;;) {
    const parent = nodeParent(cpu, node);
    if (parent === 0) return 0;
    let slot = gapSlotAbove(cpu, parent, nodeParentSlot(cpu, node) + 1, size);
    node = parent;
    while (slot >= 0) {
      node = slotAt(cpu, node, slot);
      if (isLeaf(cpu, node)) return node;
      slot = gapSlotAbove(cpu, node, 0, size);
      assert(slot >= 0, "masEmptyArea: a gap is missing below the node that promises it");
    }
  }
}

/** Nearest leaf to the left that has a gap of `size`, 0 when there is none. */
function leafWithGapBelow(cpu: Cpu, leaf: number, size: number): number {
  let node = leaf;
  for (;;) {
    const parent = nodeParent(cpu, node);
    if (parent === 0) return 0;
    let slot = gapSlotBelow(cpu, parent, nodeParentSlot(cpu, node) - 1, size);
    node = parent;
    while (slot >= 0) {
      node = slotAt(cpu, node, slot);
      if (isLeaf(cpu, node)) return node;
      slot = gapSlotBelow(cpu, node, nodeCount(cpu, node) - 1, size);
      assert(slot >= 0, "masEmptyAreaRev: a gap is missing below the node that promises it");
    }
  }
}

function gapSlotAbove(cpu: Cpu, node: number, from: number, size: number): number {
  const count = nodeCount(cpu, node);
  for (let slot = from; slot < count; slot++) if (loadVpn(cpu, gapWord(node, slot)) >= size) return slot;
  return -1;
}

function gapSlotBelow(cpu: Cpu, node: number, from: number, size: number): number {
  for (let slot = from; slot >= 0; slot--) if (loadVpn(cpu, gapWord(node, slot)) >= size) return slot;
  return -1;
}
