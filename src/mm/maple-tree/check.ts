/** Soundness of a maple tree (lib/maple_tree.c: mt_validate and its parts). Reads the arena only. */

import { MAX_VPN, readVpn, VPN_WORDS } from "../vpn.ts";
import { MapleNode, MapleTree, slotLimit, slotMinimum } from "./node.ts";

interface Visit {
  readonly words: Int32Array;
  readonly findings: string[];
  /** Was the slot to the left, in whatever leaf, a gap? */
  afterGap: boolean;
}

/** What is wrong with the tree: shape, order, occupancy, gap sizes, adjacent gaps. Empty when it is sound. */
export function mapleCheck(words: Int32Array, tree: number): string[] {
  const visit: Visit = { words, findings: [], afterGap: false };
  const root = words[tree + MapleTree.root] as number;
  if (words[tree + MapleTree.spare] !== 0) visit.findings.push("nodes are set aside although no store is under way");
  if (root !== 0) checkRoot(visit, root);
  return visit.findings;
}

function checkRoot(visit: Visit, root: number): void {
  const { words, findings } = visit;
  if (!isNode(words, root)) {
    findings.push(`root ${root} is no address of a node`);
    return;
  }
  const leaf = words[root + MapleNode.level] === 0;
  const count = words[root + MapleNode.count] as number;
  if (words[root + MapleNode.parent] !== 0) findings.push(`root ${root} has a parent`);
  if (!leaf && count < 2) findings.push(`root ${root} has ${count} children, expected 2 or more`);
  if (leaf && count === 1 && words[root + MapleNode.slots] === 0) findings.push(`root ${root} is one gap`);
  checkNode(visit, root, 0, MAX_VPN, 1);
}

function isNode(words: Int32Array, node: number): boolean {
  return node > 0 && node + MapleNode.WORDS <= words.length;
}

/** Checks a node that must cover [first, last] and hold at least `minimum` slots; returns its largest gap. */
function checkNode(visit: Visit, node: number, first: number, last: number, minimum: number): number {
  const { words, findings } = visit;
  const leaf = words[node + MapleNode.level] === 0;
  const count = words[node + MapleNode.count] as number;
  if (count < minimum || count > slotLimit(leaf)) {
    findings.push(`node ${node} has ${count} slots, expected ${minimum} to ${slotLimit(leaf)}`);
    return 0;
  }
  let from = first;
  let largest = 0;
  for (let slot = 0; slot < count; slot++) {
    const pivot = readVpn(words, node + MapleNode.pivots + slot * VPN_WORDS);
    if (pivot < from) findings.push(`node ${node} slot ${slot} ends at ${pivot}, before it begins at ${from}`);
    const gap = leaf ? leafSlot(visit, node, slot, pivot - from + 1) : childSlot(visit, node, slot, from, pivot);
    largest = Math.max(largest, gap);
    from = pivot + 1;
  }
  if (from !== last + 1) findings.push(`node ${node} ends at ${from - 1}, expected ${last}`);
  return largest;
}

/** Checks one slot of a leaf; returns its pages when it is a gap, else 0. */
function leafSlot(visit: Visit, leaf: number, slot: number, pages: number): number {
  const gap = visit.words[leaf + MapleNode.slots + slot] === 0;
  if (gap && visit.afterGap) visit.findings.push(`leaf ${leaf} slot ${slot}: a gap next to a gap`);
  visit.afterGap = gap;
  return gap ? pages : 0;
}

/** Checks one slot of an upper node and all below it; returns the largest gap there. */
function childSlot(visit: Visit, node: number, slot: number, first: number, last: number): number {
  const { words, findings } = visit;
  const child = words[node + MapleNode.slots + slot] as number;
  if (!isNode(words, child)) {
    findings.push(`node ${node} slot ${slot}: ${child} is no address of a node`);
    return 0;
  }
  const level = words[node + MapleNode.level] as number;
  const below = words[child + MapleNode.level] as number;
  if (below !== level - 1) {
    findings.push(`node ${child} has level ${below}, expected ${level - 1}`);
    return 0;
  }
  const place = `${words[child + MapleNode.parent]}[${words[child + MapleNode.parentSlot]}]`;
  if (place !== `${node}[${slot}]`) findings.push(`node ${child} takes ${place} for its parent, not ${node}[${slot}]`);
  const gap = checkNode(visit, child, first, last, slotMinimum(below === 0));
  const kept = readVpn(words, node + MapleNode.gaps + slot * VPN_WORDS);
  if (kept !== gap) findings.push(`node ${node} slot ${slot}: largest gap kept as ${kept}, is ${gap}`);
  return gap;
}
