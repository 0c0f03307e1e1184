/** The detector against a model that knows no clocks: who happens before whom is looked up in the graph of all events. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OP_ADD, OP_CMPXCHG, OP_LOAD, OP_SPIN, OP_STORE, OP_WAIT, OP_WAKE, UNORDERED } from "../../src/arena/mem.ts";
import { Violation } from "../../src/base/errors.ts";
import { describeRace, RaceDetector } from "../../src/explore/race-detector.ts";

const CPUS = 3;
const WORDS = 3;

/** How an event reads, writes and orders; `pending` is what a CPU announces for it, none for a plain access. */
interface Kind {
  readonly reads: boolean;
  readonly writes: boolean;
  readonly pending?: readonly [kind: number, a: number, b: number];
  /** Leaves its past to whoever reads the word next. */
  readonly releases?: boolean;
}

/** Every word holds 0 all the time, so a compareExchange that expects 1 fails. */
const KINDS = {
  read: { reads: true, writes: false },
  write: { reads: false, writes: true },
  load: { reads: true, writes: false, pending: [OP_LOAD, 0, 0] },
  spin: { reads: true, writes: false, pending: [OP_SPIN, 0, 1] },
  wait: { reads: true, writes: false, pending: [OP_WAIT, 0, -1] },
  lost: { reads: true, writes: false, pending: [OP_CMPXCHG, 1, 2] },
  won: { reads: true, writes: true, releases: true, pending: [OP_CMPXCHG, 0, 2] },
  add: { reads: true, writes: true, releases: true, pending: [OP_ADD, 1, 0] },
  store: { reads: false, writes: true, releases: true, pending: [OP_STORE, 1, 0] },
  hint: { reads: false, writes: true, pending: [OP_STORE, 1, UNORDERED] },
  wake: { reads: false, writes: false, pending: [OP_WAKE, 1, 0] },
} as const satisfies Record<string, Kind>;
type KindName = keyof typeof KINDS;

interface TraceEvent {
  readonly cpu: number;
  readonly kind: KindName;
  readonly word: number;
  /** Of a wake: who wakes up. */
  readonly woken: number;
}

const kindNames = Object.keys(KINDS) as KindName[];
const event: fc.Arbitrary<TraceEvent> = fc.record({
  cpu: fc.nat(CPUS - 1),
  kind: fc.constantFrom(...kindNames),
  word: fc.nat(WORDS - 1),
  woken: fc.nat(CPUS - 1),
});
const trace = fc.array(event, { maxLength: 40 });

/** For each word the number of the event at which its first race shows; -1 for none. */
type Verdict = readonly number[];

/** Tells the detector of the events, but not of those that `deaf` names. */
function detected(events: readonly TraceEvent[], deaf?: KindName, detector = collector()): Verdict {
  const verdict = Array<number>(WORDS).fill(-1);
  const words = new Int32Array(WORDS);
  detector.reset();
  for (const [at, { cpu, kind, word, woken }] of events.entries()) {
    if (kind === deaf) continue;
    const { pending } = KINDS[kind] as Kind;
    if (kind === "read") detector.read(cpu, word);
    else if (kind === "write") detector.write(cpu, word);
    else if (pending) detector.operation(cpu, words, Int32Array.of(pending[0], word, pending[1], pending[2]), 0);
    if (kind === "wake" && woken !== cpu) detector.woke(cpu, woken);
    for (const race of detector.races) if (verdict[race.word] === -1) verdict[race.word] = at;
  }
  return verdict;
}

function collector(): RaceDetector {
  return new RaceDetector({ cpus: CPUS, words: WORDS, describe: String, collect: true });
}

/** The definition, word for word. */
function defined(events: readonly TraceEvent[]): Verdict {
  const verdict = Array<number>(WORDS).fill(-1);
  const before = graphOf(events);
  for (const [at, { kind, word, cpu }] of events.entries()) {
    const now: Kind = KINDS[kind];
    if (verdict[word] !== -1 || !(now.reads || now.writes)) continue;
    const past = reachable(before, at);
    const races = events.slice(0, at).some((other, i) => {
      const then: Kind = KINDS[other.kind];
      const conflict = other.word === word && other.cpu !== cpu && (then.reads || then.writes);
      const plain = !then.pending || !now.pending;
      return conflict && plain && (then.writes || now.writes) && !past.has(i);
    });
    if (races) verdict[word] = at;
  }
  return verdict;
}

/** For each event those directly before it: the CPU's last, what it read from, and who woke it. */
function graphOf(events: readonly TraceEvent[]): number[][] {
  const last = Array<number>(CPUS).fill(-1);
  const wakers: number[][] = Array.from({ length: CPUS }, () => []);
  const released: number[][] = Array.from({ length: WORDS }, () => []);
  return events.map(({ cpu, kind, word, woken }, at) => {
    const { reads, writes, pending, releases = false }: Kind = KINDS[kind];
    const sources = pending && reads ? (released[word] as number[]) : [];
    const before = [last[cpu] as number, ...sources, ...(wakers[cpu] as number[])];
    if (writes) released[word] = releases ? [...sources, at] : [];
    wakers[cpu] = [];
    last[cpu] = at;
    if (kind === "wake" && woken !== cpu) (wakers[woken] as number[]).push(at);
    return before.filter((earlier) => earlier >= 0);
  });
}

function reachable(before: readonly number[][], from: number): Set<number> {
  const seen = new Set<number>();
  const left = [from];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    for (const earlier of before[at] as number[]) {
      if (seen.has(earlier)) continue;
      seen.add(earlier);
      left.push(earlier);
    }
  }
  return seen;
}

const runs = { numRuns: 5000, seed: 1 };

test("finds the first race of every word where the definition has it, and no other", () => {
  fc.assert(
    fc.property(trace, (events) => {
      expect(detected(events)).toEqual(defined(events));
    }),
    runs,
  );
});

test("one detector serves execution after execution", () => {
  const detector = collector();
  fc.assert(
    fc.property(trace, (events) => {
      expect(detected(events, undefined, detector)).toEqual(defined(events));
    }),
    runs,
  );
});

describe("every edge counts: a detector that misses one is found out", () => {
  test.each<KindName>(["load", "spin", "wait", "lost", "won", "add", "store", "hint", "wake"])("%s", (deaf) => {
    const same = fc.property(trace, (events) => {
      expect(detected(events, deaf)).toEqual(defined(events));
    });
    expect(fc.check(same, runs).failed).toBe(true);
  });
});

test("says who did what to which word, and stops there", () => {
  const detector = new RaceDetector({ cpus: 2, words: 4, describe: (word) => `words[${word}]` });
  detector.reset();
  detector.write(0, 2);
  const late = () => detector.operation(1, new Int32Array(4), Int32Array.of(OP_LOAD, 2, 0, 0), 0);
  expect(late).toThrow(Violation);
  expect(detector.races).toEqual([{ word: 2, cpu: 1, kind: 2, otherCpu: 0, otherKind: 1 }]);
  expect(describeRace(detector.races[0] as never, () => "flag")).toBe(
    "flag: CPU 1 atomically reads it and CPU 0 wrote it before, and nothing orders the two",
  );
});
