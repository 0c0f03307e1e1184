import { expect, it } from "vitest";
import { MapleNode, MapleTree, mapleCheck } from "../../src/mm/maple-tree/index.ts";
import { VPN_WORDS } from "../../src/mm/vpn.ts";
import { insert, type MapleLab, makeTree } from "./maple-lab.ts";

/** A tree of three levels, and its leftmost path. */
function sample(): MapleLab & { root: number; middle: number; leaf: number } {
  const t = makeTree();
  for (let i = 0; i < 150; i++) insert(t, i * 10, i * 10 + 5, i + 1);
  const root = t.words[t.tree + MapleTree.root] as number;
  const middle = t.words[root + MapleNode.slots] as number;
  const leaf = t.words[middle + MapleNode.slots] as number;
  return { ...t, root, middle, leaf };
}

it.each<[string, RegExp, (t: ReturnType<typeof sample>) => number]>([
  ["a parent word", /takes .* for its parent/, (t) => t.leaf + MapleNode.parent],
  ["a parent slot", /takes .* for its parent/, (t) => t.leaf + MapleNode.parentSlot],
  ["a level", /has level 1, expected 0/, (t) => t.leaf + MapleNode.level],
  ["a kept gap", /largest gap kept as/, (t) => t.root + MapleNode.gaps],
  ["a pivot above the leaves", /ends at \d+, expected/, (t) => t.middle + MapleNode.pivots],
  ["the root's parent", /has a parent/, (t) => t.root + MapleNode.parent],
  ["a node set aside", /set aside/, (t) => t.tree + MapleTree.spare],
])("mapleCheck notices a change of %s", (_, finding, word) => {
  const t = sample();
  expect(mapleCheck(t.words, t.tree)).toEqual([]);
  const at = word(t);
  t.words[at] = (t.words[at] as number) + 1;
  expect(mapleCheck(t.words, t.tree).join("\n")).toMatch(finding);
});

it.each<[string, RegExp, (t: ReturnType<typeof sample>) => void]>([
  [
    "too few slots",
    /has 6 slots, expected 7 to 16/,
    (t) => t.words.fill(6, t.leaf + MapleNode.count, t.leaf + MapleNode.count + 1),
  ],
  [
    "too many slots",
    /has 17 slots, expected 7 to 16/,
    (t) => t.words.fill(17, t.leaf + MapleNode.count, t.leaf + MapleNode.count + 1),
  ],
  [
    "pivots out of order",
    /ends at 0, before it begins/,
    (t) => t.words.fill(0, t.leaf + MapleNode.pivots + VPN_WORDS, t.leaf + MapleNode.pivots + 2 * VPN_WORDS),
  ],
  [
    "two gaps side by side",
    /a gap next to a gap/,
    (t) => t.words.fill(0, t.leaf + MapleNode.slots, t.leaf + MapleNode.slots + 2),
  ],
  [
    "a child that is no address",
    /is no address of a node/,
    (t) => t.words.fill(-5, t.middle + MapleNode.slots, t.middle + MapleNode.slots + 1),
  ],
  [
    "a root that is none",
    /root -5 is no address/,
    (t) => t.words.fill(-5, t.tree + MapleTree.root, t.tree + MapleTree.root + 1),
  ],
])("mapleCheck notices %s", (_, finding, damage) => {
  const t = sample();
  damage(t);
  expect(mapleCheck(t.words, t.tree).join("\n")).toMatch(finding);
});
