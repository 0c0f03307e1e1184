/**
 * Nodes of the maple tree: `struct maple_node` (include/linux/maple_tree.h, v6.1), 256 bytes like the kernel's.
 *
 * A node covers a range of page numbers and splits it among `count` slots; pivot i is the last page of slot i. The
 * first slot begins where the node begins, which only the nodes above know. Unlike in the kernel, the last slot has a
 * pivot too (the node's last page), and type and parent slot have words of their own instead of low pointer bits.
 * In a leaf (level 0) a slot holds an entry, 0 for a gap. Above, it holds a node, and beside it the size of the
 * largest gap below.
 *
 * Everything here is guarded by the lock of the tree's owner (`mmapLock`): read to walk, write to change.
 */

import type { Cpu } from "../../arena/cpu.ts";
import { load, store } from "../../arena/mem.ts";
import { CACHE_PAIR, struct } from "../../arena/struct.ts";
import { assert } from "../../base/assert.ts";
import { SlabObject } from "../slab.ts";
import { loadVpn, storeVpn, VPN_WORDS } from "../vpn.ts";

/** Slots of a leaf. */
export const MAPLE_RANGE64_SLOTS = 16;
/** Slots of a node that tracks gaps. */
export const MAPLE_ARANGE64_SLOTS = 10;

export const MapleTree = struct("mapleTree", {
  /** Topmost node, 0 when the tree holds nothing. */
  root: 1,
  /** Word address of the Slab that nodes come from. */
  slab: 1,
  /** Nodes set aside for the store that is under way, chained by `parent`; 0 between stores. */
  spare: 1,
});

export const MapleNode = struct(
  "mapleNode",
  {
    slab: SlabObject,
    /** Node above, 0 at the root, and the slot in it that holds this node. */
    parent: 1,
    parentSlot: 1,
    /** Distance to the leaves. */
    level: 1,
    /** Slots in use. */
    count: 1,
    slots: MAPLE_RANGE64_SLOTS,
    pivots: MAPLE_ARANGE64_SLOTS * VPN_WORDS,
    /** In a leaf: the remaining pivots. Above: the largest gap below each slot, in pages. */
    gaps: MAPLE_ARANGE64_SLOTS * VPN_WORDS,
  },
  CACHE_PAIR,
);
assert(MapleNode.WORDS * 4 === 256, "MapleNode: must take 256 bytes");
assert(
  MapleNode.gaps === MapleNode.pivots + MAPLE_ARANGE64_SLOTS * VPN_WORDS,
  "MapleNode: pivots must run on into gaps",
);
assert(MAPLE_RANGE64_SLOTS <= 2 * MAPLE_ARANGE64_SLOTS, "MapleNode: a leaf's pivots must fit");

export function nodeParent(cpu: Cpu, node: number): number {
  return load(cpu, node + MapleNode.parent);
}

export function nodeParentSlot(cpu: Cpu, node: number): number {
  return load(cpu, node + MapleNode.parentSlot);
}

export function isLeaf(cpu: Cpu, node: number): boolean {
  return load(cpu, node + MapleNode.level) === 0;
}

export function nodeCount(cpu: Cpu, node: number): number {
  return load(cpu, node + MapleNode.count);
}

export function setNodeCount(cpu: Cpu, node: number, count: number): void {
  store(cpu, node + MapleNode.count, count);
}

/** Entry (leaf) or node of a slot. */
export function slotAt(cpu: Cpu, node: number, slot: number): number {
  return load(cpu, node + MapleNode.slots + slot);
}

export function setSlot(cpu: Cpu, node: number, slot: number, value: number): void {
  store(cpu, node + MapleNode.slots + slot, value);
}

/** Last page of a slot. */
export function pivotAt(cpu: Cpu, node: number, slot: number): number {
  return loadVpn(cpu, node + MapleNode.pivots + slot * VPN_WORDS);
}

export function setPivot(cpu: Cpu, node: number, slot: number, last: number): void {
  storeVpn(cpu, node + MapleNode.pivots + slot * VPN_WORDS, last);
}

/** Word address of the gap size of a slot; not in leaves. */
export function gapWord(node: number, slot: number): number {
  return node + MapleNode.gaps + slot * VPN_WORDS;
}

/** Most slots a node of this kind holds. */
export function slotLimit(leaf: boolean): number {
  return leaf ? MAPLE_RANGE64_SLOTS : MAPLE_ARANGE64_SLOTS;
}

/** Fewest slots of a node that is not the root (`mt_min_slot_count`). */
export function slotMinimum(leaf: boolean): number {
  return slotLimit(leaf) / 2 - 1;
}

/** Most nodes that a tree of so many entries can have, every node at its minimum and a gap beside every entry. */
export function mapleNodesFor(entries: number): number {
  let level = Math.ceil((2 * entries + 1) / slotMinimum(true));
  let nodes = level;
  while (level > 1) {
    level = Math.ceil(level / slotMinimum(false));
    nodes += level;
  }
  return nodes;
}

/** Makes `child` the node in a slot of `parent`. */
export function attachChild(cpu: Cpu, parent: number, slot: number, child: number): void {
  setSlot(cpu, parent, slot, child);
  store(cpu, child + MapleNode.parent, parent);
  store(cpu, child + MapleNode.parentSlot, slot);
}

/** Moves `n` slots from `at` of one node to `to` of another of the same level, or within one. Counts stay. */
export function moveSlots(cpu: Cpu, from: number, at: number, into: number, to: number, n: number): void {
  const leaf = isLeaf(cpu, from);
  const upwards = from === into && to > at;
  for (let i = 0; i < n; i++) {
    const step = upwards ? n - 1 - i : i;
    copySlot(cpu, leaf, from, at + step, into, to + step);
  }
}

function copySlot(cpu: Cpu, leaf: boolean, from: number, at: number, into: number, to: number): void {
  setPivot(cpu, into, to, pivotAt(cpu, from, at));
  if (leaf) {
    setSlot(cpu, into, to, slotAt(cpu, from, at));
    return;
  }
  attachChild(cpu, into, to, slotAt(cpu, from, at));
  storeVpn(cpu, gapWord(into, to), loadVpn(cpu, gapWord(from, at)));
}

/** Drops `n` slots from `at` on; those behind close up. */
export function removeSlots(cpu: Cpu, node: number, at: number, n: number): void {
  const count = nodeCount(cpu, node);
  moveSlots(cpu, node, at + n, node, at, count - at - n);
  setNodeCount(cpu, node, count - n);
}
