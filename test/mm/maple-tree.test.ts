/** Cases named after those of the kernel's lib/test_maple_tree.c, written anew for this interface. */

import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import {
  MTREE_EXISTS,
  MTREE_NO_NODES,
  MTREE_OK,
  mapleCheck,
  mapleNodesFor,
  masEmptyArea,
  masEmptyAreaRev,
  masFind,
  masInit,
  masNext,
  masPrev,
  mtreeDestroy,
  NO_EMPTY_AREA,
} from "../../src/mm/maple-tree/index.ts";
import { MAX_VPN } from "../../src/mm/vpn.ts";
import {
  backward,
  erase,
  expectHolds,
  forward,
  height,
  insert,
  look,
  type MapleLab,
  makeTree,
  nodesInUse,
  overwrite,
  place,
  type Range,
} from "./maple-lab.ts";

const INDICES = [5015, 5014, 5017, 25, 1000, 1001, 1002, 1003, 1005, 0, 5003, 5002];

/** `count` ranges [i * stride, i * stride + pages - 1] with entries i + 1. */
function comb(count: number, stride: number, pages: number): Range[] {
  return Array.from({ length: count }, (_, i) => ({ first: i * stride, last: i * stride + pages - 1, entry: i + 1 }));
}

function treeOf(ranges: readonly Range[], nodes?: number): MapleLab {
  const t = makeTree(nodes);
  for (const r of ranges) expect(insert(t, r.first, r.last, r.entry)).toBe(MTREE_OK);
  return t;
}

/** The ranges without what lies in [first, last]; a range that reaches in is cut. */
function without(ranges: readonly Range[], first: number, last: number): Range[] {
  return ranges
    .flatMap((r) => [
      { ...r, last: Math.min(r.last, first - 1) },
      { ...r, first: Math.max(r.first, last + 1) },
    ])
    .filter((r) => r.first <= r.last);
}

describe("maple tree, the kernel's cases", () => {
  it("insert and load", () => {
    const t = makeTree();
    for (const [i, index] of INDICES.entries()) {
      expect(look(t, index)).toBe(0);
      expect(insert(t, index, index, index + 1)).toBe(MTREE_OK);
      for (const known of INDICES.slice(0, i + 1)) expect(look(t, known)).toBe(known + 1);
      expect(mapleCheck(t.words, t.tree)).toEqual([]);
    }
    for (const absent of [1, 24, 26, 999, 1004, 1006, 5001, 5004, 5013, 5016, 5018, MAX_VPN])
      expect(look(t, absent)).toBe(0);
    expectHolds(
      t,
      INDICES.toSorted((a, b) => a - b).map((index) => ({ first: index, last: index, entry: index + 1 })),
    );
  });

  it.each([16, 1000])("check_seq %i", (count) => {
    const ranges = comb(count, 1, 1);
    const t = treeOf(ranges);
    expectHolds(t, ranges);
    for (const r of ranges) expect(look(t, r.first)).toBe(r.entry);
    expect(look(t, count)).toBe(0);
  });

  it("check_rev_seq 1000", () => {
    const ranges = comb(1000, 1, 1);
    expectHolds(treeOf(ranges.toReversed()), ranges);
  });

  it("check_dup", () => {
    const t = treeOf(comb(100, 10, 5));
    for (let i = 0; i < 100; i++) {
      expect(insert(t, i * 10 + 4, i * 10 + 7, 7)).toBe(MTREE_EXISTS);
      expect(insert(t, i * 10 + 7, i * 10 + 10, 7)).toBe(i === 99 ? MTREE_OK : MTREE_EXISTS);
    }
  });

  /** A leaf of 16 slots: 15 ranges side by side, and the gap behind them. */
  const fullLeaf = comb(15, 10, 10);

  it.each([
    ["check_lower_bound_split", 0, 4],
    ["check_upper_bound_split", 145, 149],
    ["check_mid_split", 73, 76],
    ["a range across the seam of the split", 75, 84],
  ])("%s", (_, first, last) => {
    const t = treeOf(fullLeaf);
    expect(height(t)).toBe(1);
    expect(overwrite(t, first, last, 99)).toBe(MTREE_OK);
    expect(height(t)).toBe(2);
    const expected = [...without(fullLeaf, first, last), { first, last, entry: 99 }];
    expectHolds(
      t,
      expected.sort((a, b) => a.first - b.first),
    );
  });

  it("check_next_entry and check_prev_entry", () => {
    const ranges = comb(300, 10, 6);
    const t = treeOf(ranges);
    for (let i = 0; i < 299; i++) {
      for (const from of [i * 10, i * 10 + 5]) {
        masInit(t.cpu, t.mas, t.tree, from);
        expect(place(t, masNext(t.cpu, t.mas, MAX_VPN))).toEqual(ranges[i + 1]);
        expect(place(t, masPrev(t.cpu, t.mas, 0))).toEqual(ranges[i]);
      }
    }
  });

  it("check_find: powers of two up to 2^44", () => {
    const ranges = Array.from({ length: 45 }, (_, i) => ({ first: 2 ** i, last: 2 ** i, entry: i + 1 }));
    const t = treeOf(ranges);
    for (let i = 0; i < 45; i++) {
      expect(forward(t, 2 ** i)).toEqual(ranges.slice(i));
      expect(forward(t, 2 ** i + 1)).toEqual(ranges.slice(i === 0 ? 1 : i + 1));
      expect(backward(t, 2 ** i)).toEqual(ranges.slice(0, i + 1).toReversed());
    }
    expect(insert(t, MAX_VPN, MAX_VPN, 77)).toBe(MTREE_OK);
    expect(look(t, MAX_VPN)).toBe(77);
  });

  it("check_find_2: entries go one by one", () => {
    let ranges = comb(300, 1, 1);
    const t = treeOf(ranges);
    while (ranges.length > 0) {
      const gone = ranges[(ranges.length * 7) % 3 === 0 ? 0 : ranges.length >> 1] as Range;
      expect(erase(t, gone.first)).toBe(gone.entry);
      ranges = ranges.filter((r) => r !== gone);
      expect(forward(t)).toEqual(ranges);
    }
    expect(nodesInUse(t)).toBe(0);
  });

  it("check_gap_combining: neighbours that go leave one gap, also across leaves", () => {
    const ranges = comb(400, 10, 10);
    const t = treeOf(ranges);
    for (let i = 100; i < 300; i++) {
      expect(masEmptyArea(t.cpu, t.tree, 0, 3999, (i - 100) * 10 + 1)).toBe(NO_EMPTY_AREA);
      expect(erase(t, i * 10 + 3)).toBe(i + 1);
      expect(mapleCheck(t.words, t.tree)).toEqual([]);
      expect(masEmptyArea(t.cpu, t.tree, 0, 3999, (i - 99) * 10)).toBe(1000);
      expect(masEmptyAreaRev(t.cpu, t.tree, 0, 3999, (i - 99) * 10)).toBe(1000);
    }
  });

  it.each([
    ["check_node_overwrite", 4000, 100, 51, 319951, 367950],
    ["check_spanning_relatives", 1000, 10, 6, 9365, 9955],
    ["check_bnode_min_spanning", 50, 10, 10, 240, 509],
    ["all but the ends", 1000, 10, 6, 3, 9993],
    ["everything", 1000, 10, 6, 0, MAX_VPN],
  ])("%s", (_, count, stride, pages, first, last) => {
    const ranges = comb(count, stride, pages);
    const t = treeOf(ranges);
    expect(overwrite(t, first, last, 0)).toBe(MTREE_OK);
    expectHolds(t, without(ranges, first, last));
  });

  it("one entry over everything leaves one leaf", () => {
    const t = treeOf(comb(1000, 10, 6));
    expect(overwrite(t, 0, MAX_VPN, 5)).toBe(MTREE_OK);
    expectHolds(t, [{ first: 0, last: MAX_VPN, entry: 5 }]);
    expect(nodesInUse(t)).toBe(1);
    expect(masEmptyArea(t.cpu, t.tree, 0, MAX_VPN, 1)).toBe(NO_EMPTY_AREA);
  });

  it("next_prev_test: past either end and back", () => {
    const ranges = comb(200, 10, 6);
    const t = treeOf(ranges);
    masInit(t.cpu, t.mas, t.tree, 1990);
    expect(masNext(t.cpu, t.mas, MAX_VPN)).toBe(0);
    expect(masNext(t.cpu, t.mas, MAX_VPN)).toBe(0);
    expect(place(t, masPrev(t.cpu, t.mas, 0))).toEqual(ranges[199]);
    expect(place(t, masPrev(t.cpu, t.mas, 0))).toEqual(ranges[198]);
    masInit(t.cpu, t.mas, t.tree, 3);
    expect(masPrev(t.cpu, t.mas, 0)).toBe(0);
    expect(masPrev(t.cpu, t.mas, 0)).toBe(0);
    expect(place(t, masNext(t.cpu, t.mas, MAX_VPN))).toEqual(ranges[0]);
    masInit(t.cpu, t.mas, t.tree, 700);
    expect(masNext(t.cpu, t.mas, 709)).toBe(0);
    expect(place(t, masNext(t.cpu, t.mas, 720))).toEqual(ranges[71]);
    expect(masPrev(t.cpu, t.mas, 706)).toBe(0);
    expect(place(t, masPrev(t.cpu, t.mas, 0))).toEqual(ranges[70]);
  });

  it("check_rev_find", () => {
    const ranges = comb(200, 10, 6);
    const t = treeOf(ranges);
    for (const from of [1995, 1996, 2005, MAX_VPN]) expect(backward(t, from)).toEqual(ranges.toReversed());
    expect(backward(t, 1987, 55)).toEqual(ranges.slice(5, 199).toReversed());
    expect(backward(t, 1987, 56)).toEqual(ranges.slice(6, 199).toReversed());
    expect(backward(t, 9, 6)).toEqual([]);
    expect(backward(t, 4, 5)).toEqual([]);
  });

  it("check_empty_area_window", () => {
    const t = treeOf(comb(20, 10, 10));
    for (const gone of [5, 10, 11, 19]) erase(t, gone * 10);
    const area = (min: number, max: number, size: number): number[] => [
      masEmptyArea(t.cpu, t.tree, min, max, size),
      masEmptyAreaRev(t.cpu, t.tree, min, max, size),
    ];
    expect(area(0, 189, 10)).toEqual([50, 110]);
    expect(area(0, 59, 10)).toEqual([50, 50]);
    expect(area(0, 58, 10)).toEqual([NO_EMPTY_AREA, NO_EMPTY_AREA]);
    expect(area(51, 99, 10)).toEqual([NO_EMPTY_AREA, NO_EMPTY_AREA]);
    expect(area(53, 57, 5)).toEqual([53, 53]);
    expect(area(51, 189, 11)).toEqual([100, 109]);
    expect(area(0, 189, 21)).toEqual([NO_EMPTY_AREA, NO_EMPTY_AREA]);
    expect(area(195, 2 ** 40, 5)).toEqual([195, 2 ** 40 - 4]);
    expect(area(0, MAX_VPN, MAX_VPN - 189)).toEqual([190, 190]);
    expect(area(0, MAX_VPN, MAX_VPN - 188)).toEqual([NO_EMPTY_AREA, NO_EMPTY_AREA]);
  });

  it("check_empty_area_fill: what the search finds can be inserted, until the window is full", () => {
    const t = treeOf(comb(100, 64, 3));
    const window = 100 * 64 - 1;
    for (let size = 23; size > 0; size--) {
      for (let upwards = true; ; upwards = !upwards) {
        const first = (upwards ? masEmptyArea : masEmptyAreaRev)(t.cpu, t.tree, 0, window, size);
        if (first === NO_EMPTY_AREA) break;
        expect(insert(t, first, first + size - 1, size)).toBe(MTREE_OK);
      }
      expect(mapleCheck(t.words, t.tree)).toEqual([]);
    }
    expect(forward(t).reduce((pages, r) => pages + r.last - r.first + 1, 0)).toBe(100 * 64);
  });
});

describe("maple tree", () => {
  it("finds no place in an empty tree but the whole window", () => {
    const t = makeTree();
    expect(forward(t)).toEqual([]);
    expect(backward(t)).toEqual([]);
    expect(masNext(t.cpu, t.mas, 5)).toBe(0);
    expect(masEmptyArea(t.cpu, t.tree, 5, 8, 4)).toBe(5);
    expect(masEmptyAreaRev(t.cpu, t.tree, 5, 8, 3)).toBe(6);
    expect(masEmptyArea(t.cpu, t.tree, 5, 8, 5)).toBe(NO_EMPTY_AREA);
    expect(erase(t, 5)).toBe(0);
    expect(overwrite(t, 5, 6, 0)).toBe(MTREE_OK);
    expect(nodesInUse(t)).toBe(0);
  });

  it("has the nodes that mapleNodesFor allows, to the last one", () => {
    expect([0, 1, 4, 100, 30_000].map(mapleNodesFor)).toEqual([1, 1, 3, 40, 11_432]);
    treeOf(comb(1000, 10, 6), mapleNodesFor(1000));
  });

  it("survives the exhaustion of its nodes unchanged, whichever split hits it", () => {
    const failures = new Set<number>();
    for (let nodes = 1; nodes <= 40; nodes++) {
      const t = makeTree(nodes);
      let i = 0;
      while (insert(t, i * 3, i * 3 + 1, i + 1) === MTREE_OK) i++;
      const kept = comb(i, 3, 2);
      const inUse = nodesInUse(t);
      failures.add(nodes - inUse);
      expectHolds(t, kept);
      expect(insert(t, i * 3, i * 3 + 1, 1)).toBe(MTREE_NO_NODES);
      expect(overwrite(t, i * 3 - 1, MAX_VPN, 9)).toBe(MTREE_OK);
      expect(overwrite(t, i * 3 - 1, MAX_VPN, 0)).toBe(MTREE_OK);
      expectHolds(t, kept);
      for (const r of kept) expect(erase(t, r.first)).toBe(r.entry);
      expect(nodesInUse(t)).toBe(0);
    }
    expect([...failures].sort()).toEqual([0, 1, 2]);
  });

  it("gives all nodes back when destroyed, and walks of it then stop as use after free", () => {
    const t = treeOf(comb(2000, 10, 6));
    masInit(t.cpu, t.mas, t.tree, 0);
    expect(masFind(t.cpu, t.mas, MAX_VPN)).toBe(1);
    runToEnd(mtreeDestroy(t.cpu, t.tree));
    expect(nodesInUse(t)).toBe(0);
    expect(() => masFind(t.cpu, t.mas, MAX_VPN)).toThrow(/I1: use after free by CPU 0: nodes\[\d+\]\.count/);
    expect(forward(t)).toEqual([]);
    runToEnd(mtreeDestroy(t.cpu, t.tree));
    expect(insert(t, 1, 2, 3)).toBe(MTREE_OK);
  });

  it("catches a place that a removal has freed", () => {
    const t = treeOf(comb(200, 10, 6));
    masInit(t.cpu, t.mas, t.tree, 1000);
    expect(masFind(t.cpu, t.mas, MAX_VPN)).toBe(101);
    expect(overwrite(t, 500, 1500, 0)).toBe(MTREE_OK);
    expect(() => masFind(t.cpu, t.mas, MAX_VPN)).toThrow(/I1: use after free/);
  });

  it("refuses ranges outside the key space", () => {
    const t = makeTree();
    for (const [first, last] of [
      [-1, 5],
      [6, 5],
      [0, MAX_VPN + 1],
    ] as const) {
      expect(() => insert(t, first, last, 1)).toThrow(/mtreeStore: expected/);
    }
    expect(() => insert(t, 1, 2, 0)).toThrow("mtreeInsert: 0 stands for a gap");
    expect(() => masEmptyArea(t.cpu, t.tree, 5, 4, 1)).toThrow(/masEmptyArea: expected/);
    expect(() => masEmptyArea(t.cpu, t.tree, 4, 5, 0)).toThrow(/masEmptyArea: expected a size/);
  });
});
