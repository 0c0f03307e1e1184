/** Gap sizes kept above the leaves (lib/maple_tree.c: mas_leaf_max_gap, mas_update_gap, mas_parent_gap). */

import type { Cpu } from "../../arena/cpu.ts";
import { loadVpn, storeVpn } from "../vpn.ts";
import { gapWord, isLeaf, nodeCount, nodeParent, nodeParentSlot, pivotAt, slotAt } from "./node.ts";
import { slotFirst } from "./walk.ts";

/** Largest gap in or below a node, in pages. */
export function largestGap(cpu: Cpu, node: number): number {
  const leaf = isLeaf(cpu, node);
  const count = nodeCount(cpu, node);
  let largest = 0;
  for (let slot = 0; slot < count; slot++) {
    const gap = leaf ? leafGap(cpu, node, slot) : loadVpn(cpu, gapWord(node, slot));
    if (gap > largest) largest = gap;
  }
  return largest;
}

/** Pages of a leaf's slot when it is a gap, 0 when it holds an entry. Gaps are never adjacent. */
function leafGap(cpu: Cpu, leaf: number, slot: number): number {
  return slotAt(cpu, leaf, slot) === 0 ? pivotAt(cpu, leaf, slot) - slotFirst(cpu, leaf, slot) + 1 : 0;
}

/** Writes a node's largest gap into the node above; false when it was there already, or at the root. */
export function refreshGap(cpu: Cpu, node: number): boolean {
  const parent = nodeParent(cpu, node);
  if (parent === 0) return false;
  const at = gapWord(parent, nodeParentSlot(cpu, node));
  const gap = largestGap(cpu, node);
  if (loadVpn(cpu, at) === gap) return false;
  storeVpn(cpu, at, gap);
  return true;
}

/** After a change in a node: makes the gap sizes above it right, as far up as they change. */
export function propagateGap(cpu: Cpu, node: number): void {
  let below = node;
  while (refreshGap(cpu, below)) below = nodeParent(cpu, below);
}
