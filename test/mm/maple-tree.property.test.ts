import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "../../src/base/random.ts";
import {
  mapleCheck,
  mapleNodesFor,
  masEmptyArea,
  masEmptyAreaRev,
  masFind,
  masFindRev,
  masInit,
  masNext,
  masPrev,
  masSet,
} from "../../src/mm/maple-tree/index.ts";
import { MAX_VPN } from "../../src/mm/vpn.ts";
import {
  erase,
  expectHolds,
  height,
  insert,
  look,
  type MapleLab,
  Model,
  makeTree,
  nodesInUse,
  overwrite,
  place,
} from "./maple-lab.ts";

/** One command on both sides; throws where they differ. */
type Command = (t: MapleLab, m: Model) => void;

/** A range of page numbers out of `universe`, and an entry. */
interface Draw {
  readonly first: number;
  readonly last: number;
  readonly entry: number;
  readonly size: number;
}

const COMMANDS: Record<string, (d: Draw) => Command> = {
  insert: (d) => (t, m) => {
    expect(insert(t, d.first, d.last, d.entry)).toBe(m.insert(d.first, d.last, d.entry));
  },
  insertOne: (d) => (t, m) => {
    expect(insert(t, d.first, d.first, d.entry)).toBe(m.insert(d.first, d.first, d.entry));
  },
  overwrite: (d) => (t, m) => {
    expect(overwrite(t, d.first, d.last, d.entry)).toBe(m.store(d.first, d.last, d.entry));
  },
  clear: (d) => (t, m) => {
    expect(overwrite(t, d.first, d.last, 0)).toBe(m.store(d.first, d.last, 0));
  },
  erase: (d) => (t, m) => {
    expect(erase(t, d.first)).toBe(m.erase(d.first));
  },
  look: (d) => (t, m) => {
    expect(look(t, d.first)).toBe(m.at(d.first)?.entry ?? 0);
  },
  find: (d) => (t, m) => {
    masInit(t.cpu, t.mas, t.tree, d.first);
    let expected = m.find(d.first, d.last);
    for (let i = 0; i < 4; i++) {
      expect(place(t, masFind(t.cpu, t.mas, d.last))).toEqual(expected);
      if (expected) expected = m.find(expected.last + 1, d.last);
    }
  },
  findRev: (d) => (t, m) => {
    masInit(t.cpu, t.mas, t.tree, d.last);
    let expected = m.findRev(d.last, d.first);
    for (let i = 0; i < 4; i++) {
      expect(place(t, masFindRev(t.cpu, t.mas, d.first))).toEqual(expected);
      if (expected) expected = m.findRev(expected.first - 1, d.first);
    }
  },
  nextAndPrev: (d) => (t, m) => {
    masInit(t.cpu, t.mas, t.tree, d.first);
    const above = m.find((m.at(d.first)?.last ?? d.first) + 1, MAX_VPN);
    expect(place(t, masNext(t.cpu, t.mas, MAX_VPN))).toEqual(above);
    const back = above ? m.findRev(above.first - 1, 0) : m.findRev(MAX_VPN, 0);
    expect(place(t, masPrev(t.cpu, t.mas, 0))).toEqual(back);
    masSet(t.cpu, t.mas, d.first);
    const below = m.findRev((m.at(d.first)?.first ?? d.first) - 1, 0);
    expect(place(t, masPrev(t.cpu, t.mas, 0))).toEqual(below);
    const up = below ? m.find(below.last + 1, MAX_VPN) : m.find(0, MAX_VPN);
    expect(place(t, masNext(t.cpu, t.mas, MAX_VPN))).toEqual(up);
  },
  emptyArea: (d) => (t, m) => {
    expect(masEmptyArea(t.cpu, t.tree, d.first, d.last, d.size)).toBe(m.emptyArea(d.first, d.last, d.size));
    expect(masEmptyAreaRev(t.cpu, t.tree, d.first, d.last, d.size)).toBe(m.emptyAreaRev(d.first, d.last, d.size));
  },
};

/** Draws a range: numbers below `universe`, spread by `scale` and shifted to the top of the key space on request. */
function draws(universe: number, widest: number, place: (n: number) => number): fc.Arbitrary<Draw> {
  return fc
    .record({
      first: fc.nat(universe - widest - 1),
      width: fc.nat(widest),
      entry: fc.integer({ min: 1, max: 2 ** 30 }),
      size: fc.integer({ min: 1, max: widest }),
    })
    .map((d) => ({
      first: place(d.first),
      last: place(d.first + d.width),
      entry: d.entry,
      size: place(d.size) - place(0),
    }));
}

function programs(universe: number, widest: number, place: (n: number) => number = (n) => n) {
  const name = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom("insert", "insertOne") },
    { weight: 3, arbitrary: fc.constantFrom(...Object.keys(COMMANDS)) },
  );
  return fc.array(fc.tuple(name, draws(universe, widest, place)), { minLength: 1, maxLength: 250, size: "max" });
}

type Program = readonly (readonly [string, Draw])[];

/** Runs a program over a tree that already holds two pages out of each three below `filled`. */
function runProgram(program: Program, filled = 0): void {
  const t = makeTree(300);
  const m = new Model();
  for (let page = 0; page < filled; page += 3) {
    insert(t, page, page + 1, page + 1);
    m.insert(page, page + 1, page + 1);
  }
  for (const [name, draw] of program) {
    COMMANDS[name]!(draw)(t, m);
    const findings = mapleCheck(t.words, t.tree);
    if (findings.length > 0) throw new Error(`${name} ${JSON.stringify(draw)}: ${findings.join("; ")}`);
  }
  expectHolds(t, m.ranges);
  for (const r of m.ranges) erase(t, r.first);
  expectHolds(t, []);
  expect(nodesInUse(t)).toBe(0);
}

/** Checks a property; when it fails, shrinks for a while only. */
function check(program: fc.Arbitrary<Program>, filled: number, numRuns: number): void {
  const property = fc.property(program, (commands) => runProgram(commands, filled));
  fc.assert(property, { numRuns, interruptAfterTimeLimit: 20_000 });
}

describe("maple tree against a sorted array", () => {
  it("crowded keys, short ranges", () => {
    check(programs(400, 3), 0, 50);
  });

  it("long overwrites that span many leaves", () => {
    check(programs(1200, 250), 1200, 30);
  });

  it("keys of 45 bits, at the very top and far apart", () => {
    check(
      programs(500, 6, (n) => MAX_VPN - 499 + n),
      0,
      30,
    );
    check(
      programs(500, 6, (n) => n * (2 ** 36 + 12345)),
      0,
      30,
    );
  });

  it("a tall tree under 6,000 random changes", () => {
    const t = makeTree(3000);
    const m = new Model();
    const random = new Random(20250915);
    for (let i = 0; i < 6000; i++) {
      const first = random.below(40_000);
      const last = first + (random.below(40) === 0 ? random.below(3000) : random.below(8));
      const draw: Draw = { first, last, entry: i + 1, size: 1 + random.below(30) };
      const name = ["insertOne", "insertOne", "insertOne", "insert", "insert", "overwrite", "erase", "emptyArea"][
        random.below(8)
      ]!;
      COMMANDS[random.below(60) === 0 ? "clear" : name]!(draw)(t, m);
      expect(nodesInUse(t)).toBeLessThanOrEqual(mapleNodesFor(m.ranges.length));
      if (i % 200 === 0) expectHolds(t, m.ranges, `after ${i} changes`);
    }
    expectHolds(t, m.ranges);
    expect(height(t)).toBeGreaterThan(3);
  });
});
