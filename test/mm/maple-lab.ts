/** A maple tree with a sorted-array model beside it, for the tests of both. */

import { expect } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { struct } from "../../src/arena/struct.ts";
import {
  MapleNode,
  MapleTree,
  MaState,
  MTREE_EXISTS,
  MTREE_OK,
  mapleCheck,
  masFind,
  masFindRev,
  masIndex,
  masInit,
  masLast,
  mtreeErase,
  mtreeInit,
  mtreeInsert,
  mtreeLoad,
  mtreeStore,
} from "../../src/mm/maple-tree/index.ts";
import { slabInUse } from "../../src/mm/slab.ts";
import { MAX_VPN } from "../../src/mm/vpn.ts";
import { type Bench, makeBench, poolOf, slabRegion } from "./pool-cpu.ts";

const Lab = struct("lab", { tree: MapleTree, mas: MaState });

export interface Range {
  readonly first: number;
  readonly last: number;
  readonly entry: number;
}

export interface MapleLab extends Bench {
  readonly tree: number;
  readonly mas: number;
  readonly slab: number;
}

/** An empty tree over a pool of `nodes` nodes. */
export function makeTree(nodes = 4000): MapleLab {
  const bench = makeBench([slabRegion("slab"), { name: "nodes", struct: MapleNode, count: nodes }, lab]);
  const slab = poolOf(bench, "slab", "nodes");
  const tree = bench.at("lab") + Lab.tree;
  mtreeInit(bench.cpu, tree, slab);
  return { ...bench, tree, mas: bench.at("lab") + Lab.mas, slab };
}

const lab = { name: "lab", struct: Lab, count: 1 };

export const insert = (t: MapleLab, first: number, last: number, entry: number): number =>
  runToEnd(mtreeInsert(t.cpu, t.tree, first, last, entry));
export const overwrite = (t: MapleLab, first: number, last: number, entry: number): number =>
  runToEnd(mtreeStore(t.cpu, t.tree, first, last, entry));
export const erase = (t: MapleLab, index: number): number => runToEnd(mtreeErase(t.cpu, t.tree, index));
export const look = (t: MapleLab, index: number): number => mtreeLoad(t.cpu, t.tree, index);
/** Levels of the tree, 0 when it is empty. */
export function height(t: MapleLab): number {
  const root = t.words[t.tree + MapleTree.root] as number;
  return root === 0 ? 0 : (t.words[root + MapleNode.level] as number) + 1;
}

export const nodesInUse = (t: MapleLab): number => slabInUse(t.words, t.slab);

/** The state's place after it found `entry`. */
export function place(t: MapleLab, entry: number): Range | null {
  return entry === 0 ? null : { first: masIndex(t.cpu, t.mas), last: masLast(t.cpu, t.mas), entry };
}

/** All entries, low to high. */
export function forward(t: MapleLab, from = 0, max = MAX_VPN): Range[] {
  const found: Range[] = [];
  masInit(t.cpu, t.mas, t.tree, from);
  for (let r = place(t, masFind(t.cpu, t.mas, max)); r; r = place(t, masFind(t.cpu, t.mas, max))) found.push(r);
  return found;
}

/** All entries, high to low. */
export function backward(t: MapleLab, from = MAX_VPN, min = 0): Range[] {
  const found: Range[] = [];
  masInit(t.cpu, t.mas, t.tree, from);
  for (let r = place(t, masFindRev(t.cpu, t.mas, min)); r; r = place(t, masFindRev(t.cpu, t.mas, min))) found.push(r);
  return found;
}

/** Fails unless the tree is sound and holds exactly these ranges, in both directions. */
export function expectHolds(t: MapleLab, ranges: readonly Range[], hint = ""): void {
  expect(mapleCheck(t.words, t.tree), hint).toEqual([]);
  expect(forward(t), hint).toEqual(ranges);
  expect(backward(t), hint).toEqual([...ranges].reverse());
}

/** What a maple tree does, on a plain sorted array. */
export class Model {
  ranges: Range[] = [];

  at(index: number): Range | undefined {
    return this.ranges.find((r) => r.first <= index && index <= r.last);
  }

  insert(first: number, last: number, entry: number): number {
    const above = this.ranges.find((r) => r.last >= first);
    if (above && above.first <= last) return MTREE_EXISTS;
    return this.store(first, last, entry);
  }

  store(first: number, last: number, entry: number): number {
    const from = this.ranges.findIndex((r) => r.last >= first);
    const at = from < 0 ? this.ranges.length : from;
    const to = this.ranges.findLastIndex((r) => r.first <= last) + 1;
    const pieces: Range[] = [];
    const [below, above] = [this.ranges[at], this.ranges[to - 1]];
    if (below && below.first < first) pieces.push({ ...below, last: first - 1 });
    if (entry !== 0) pieces.push({ first, last, entry });
    if (above && above.last > last) pieces.push({ ...above, first: last + 1 });
    this.ranges.splice(at, to - at, ...pieces);
    return MTREE_OK;
  }

  erase(index: number): number {
    const found = this.at(index);
    this.ranges = this.ranges.filter((r) => r !== found);
    return found?.entry ?? 0;
  }

  /** First range that ends at or above `index`, unless it begins above `max`. */
  find(index: number, max: number): Range | null {
    const found = this.ranges.find((r) => r.last >= index);
    return found && index <= max && found.first <= max ? found : null;
  }

  /** Last range that begins at or below `index`, unless it ends below `min`. */
  findRev(index: number, min: number): Range | null {
    const found = this.ranges.findLast((r) => r.first <= index);
    return found && index >= min && found.last >= min ? found : null;
  }

  gaps(): { first: number; last: number }[] {
    const ends = [-1, ...this.ranges.map((r) => r.last)];
    const starts = [...this.ranges.map((r) => r.first), MAX_VPN + 1];
    return ends.map((end, i) => ({ first: end + 1, last: (starts[i] as number) - 1 })).filter((g) => g.first <= g.last);
  }

  emptyArea(min: number, max: number, size: number): number {
    for (const gap of this.gaps()) {
      const first = Math.max(gap.first, min);
      if (Math.min(gap.last, max) - first + 1 >= size) return first;
    }
    return -1;
  }

  emptyAreaRev(min: number, max: number, size: number): number {
    for (const gap of this.gaps().reverse()) {
      const last = Math.min(gap.last, max);
      if (last - Math.max(gap.first, min) + 1 >= size) return last - size + 1;
    }
    return -1;
  }
}
