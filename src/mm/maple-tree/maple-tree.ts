/**
 * The maple tree: ranges of page numbers with an entry each, gaps between them (lib/maple_tree.c, v6.1, as used for
 * VMAs: MT_FLAGS_ALLOC_RANGE | MT_FLAGS_LOCK_EXTERN). An entry is any word but 0, here a VMA's address.
 *
 * Not modelled: RCU mode (v6.3 and later: writers publish new nodes and mark old ones dead, readers restart). Nodes
 * change in place and are freed at once, so every reader must hold the owner's lock. Single entries at index 0 are
 * not kept in the root word. Entries are not merged, even when equal; gaps always are.
 *
 * Callers hold `mmapLock`: for read to load, for write to insert, store, erase and destroy. A store that cannot get
 * its nodes changes nothing.
 */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { load, store } from "../../arena/mem.ts";
import { assert } from "../../base/assert.ts";
import { slabAlloc } from "../slab.ts";
import { MAX_VPN } from "../vpn.ts";
import { mapleFreeNode, mapleRebalance, mapleSwallow } from "./balance.ts";
import {
  MapleTree,
  nodeCount,
  nodeParent,
  nodeParentSlot,
  pivotAt,
  setNodeCount,
  setPivot,
  slotAt,
  slotMinimum,
} from "./node.ts";
import { mapleReserve, nodesNeeded, splitLeaf, writeLeaf } from "./split.ts";
import { findLeaf, findSlot, firstLeaf, nodeLast, slotFirst } from "./walk.ts";

/** Results of a store, with the kernel's errno values. */
export const MTREE_OK = 0;
/** No nodes left (-ENOMEM); nothing has changed. */
export const MTREE_NO_NODES = -12;
/** Something is there already (-EEXIST). */
export const MTREE_EXISTS = -17;

/** An empty tree whose nodes come from the pool `slab`. */
export function mtreeInit(cpu: Cpu, tree: number, slab: number): void {
  store(cpu, tree + MapleTree.root, 0);
  store(cpu, tree + MapleTree.slab, slab);
  store(cpu, tree + MapleTree.spare, 0);
}

/** Entry at `index`, 0 in a gap. */
export function mtreeLoad(cpu: Cpu, tree: number, index: number): number {
  const leaf = findLeaf(cpu, tree, index);
  return leaf === 0 ? 0 : slotAt(cpu, leaf, findSlot(cpu, leaf, index));
}

/** Puts `entry` over the gap [first, last]: MTREE_OK, MTREE_EXISTS or MTREE_NO_NODES. */
export function* mtreeInsert(cpu: Cpu, tree: number, first: number, last: number, entry: number): Steps<number> {
  assert(entry !== 0, "mtreeInsert: 0 stands for a gap");
  requireRange(first, last);
  const leaf = findLeaf(cpu, tree, first);
  if (leaf !== 0) {
    const slot = findSlot(cpu, leaf, first);
    if (slotAt(cpu, leaf, slot) !== 0 || pivotAt(cpu, leaf, slot) < last) return MTREE_EXISTS;
  }
  return yield* mapleWrite(cpu, tree, first, last, entry);
}

/**
 * Puts `entry` (0: a gap) over [first, last], whatever was there: entries inside go, those that reach in are cut
 * (`mas_store`). MTREE_OK or MTREE_NO_NODES.
 */
export function* mtreeStore(cpu: Cpu, tree: number, first: number, last: number, entry: number): Steps<number> {
  requireRange(first, last);
  if (entry !== 0) return yield* mapleWrite(cpu, tree, first, last, entry);
  if (load(cpu, tree + MapleTree.root) === 0) return MTREE_OK;
  const from = first > 0 ? gapFirst(cpu, tree, first - 1) : first;
  const to = last < MAX_VPN ? gapLast(cpu, tree, last + 1) : last;
  return yield* mapleWrite(cpu, tree, from, to, 0);
}

/** Removes the entry that covers `index`, whole, and returns it; 0 in a gap. Needs no nodes. */
export function* mtreeErase(cpu: Cpu, tree: number, index: number): Steps<number> {
  const leaf = findLeaf(cpu, tree, index);
  if (leaf === 0) return 0;
  const slot = findSlot(cpu, leaf, index);
  const entry = slotAt(cpu, leaf, slot);
  if (entry === 0) return 0;
  const first = slotFirst(cpu, leaf, slot);
  const result = yield* mtreeStore(cpu, tree, first, pivotAt(cpu, leaf, slot), 0);
  assert(result === MTREE_OK, "mtreeErase: must not need a node");
  return entry;
}

/** Frees all nodes; what the entries stand for is the caller's (`__mt_destroy`). */
export function* mtreeDestroy(cpu: Cpu, tree: number): Steps<void> {
  const root = load(cpu, tree + MapleTree.root);
  store(cpu, tree + MapleTree.root, 0);
  let node = root === 0 ? 0 : firstLeaf(cpu, root);
  while (node !== 0) {
    const parent = nodeParent(cpu, node);
    const slot = nodeParentSlot(cpu, node) + 1;
    yield* mapleFreeNode(cpu, tree, node);
    node = parent !== 0 && slot < nodeCount(cpu, parent) ? firstLeaf(cpu, slotAt(cpu, parent, slot)) : parent;
  }
}

function requireRange(first: number, last: number): void {
  assert(first >= 0 && first <= last && last <= MAX_VPN, "mtreeStore: expected 0 <= first <= last < 2^45");
}

/** Where the gap that ends at `index` begins; `index` + 1 when there is none. */
function gapFirst(cpu: Cpu, tree: number, index: number): number {
  const leaf = findLeaf(cpu, tree, index);
  const slot = findSlot(cpu, leaf, index);
  return slotAt(cpu, leaf, slot) === 0 ? slotFirst(cpu, leaf, slot) : index + 1;
}

/** Where the gap that begins at `index` ends; `index` - 1 when there is none. */
function gapLast(cpu: Cpu, tree: number, index: number): number {
  const leaf = findLeaf(cpu, tree, index);
  const slot = findSlot(cpu, leaf, index);
  return slotAt(cpu, leaf, slot) === 0 ? pivotAt(cpu, leaf, slot) : index - 1;
}

/**
 * The one way to change the tree. Writes what lies in the first leaf, splitting it if it must (all nodes for that
 * are set aside before), then lets the written slot swallow the rest of the range.
 */
function* mapleWrite(cpu: Cpu, tree: number, first: number, last: number, entry: number): Steps<number> {
  if (load(cpu, tree + MapleTree.root) === 0 && !(yield* maplePlant(cpu, tree))) return MTREE_NO_NODES;
  const leaf = findLeaf(cpu, tree, first);
  const end = nodeLast(cpu, leaf);
  const spanning = last > end;
  const inLeaf = spanning ? end : last;
  const needed = nodesNeeded(cpu, leaf, first, inLeaf);
  if (needed > 0 && !(yield* mapleReserve(cpu, tree, needed))) return MTREE_NO_NODES;
  const target = needed > 0 ? splitLeaf(cpu, tree, leaf, first, inLeaf) : leaf;
  writeLeaf(cpu, target, first, inLeaf, entry);
  if (spanning) yield* mapleSwallow(cpu, tree, target, last);
  if (spanning || nodeCount(cpu, target) < slotMinimum(true)) yield* mapleRebalance(cpu, tree, first);
  if (spanning && last < MAX_VPN) yield* mapleRebalance(cpu, tree, last + 1);
  return MTREE_OK;
}

/** Gives an empty tree its first leaf, one gap from end to end; false when the pool is exhausted. */
function* maplePlant(cpu: Cpu, tree: number): Steps<boolean> {
  const leaf = yield* slabAlloc(cpu, load(cpu, tree + MapleTree.slab));
  if (leaf === 0) return false;
  setPivot(cpu, leaf, 0, MAX_VPN);
  setNodeCount(cpu, leaf, 1);
  store(cpu, tree + MapleTree.root, leaf);
  return true;
}
