/**
 * The verdicts of the kernel's lib/locking-selftest.c, by single-CPU programs that run one after another and never
 * hang: the checker must know from the order alone. Plus what the selftest does not ask.
 */

import { describe, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { CACHE_PAIR } from "../../src/arena/struct.ts";
import { Random } from "../../src/base/random.ts";
import { CpuSync } from "../../src/sync/cpu-sync.ts";
import { lockClass } from "../../src/sync/lock-class.ts";
import {
  afterAcquire,
  assertNoLockIn,
  assertNothingHeld,
  beforeAcquire,
  beforeRelease,
  HELD_READ,
  HELD_READ_RECURSIVE,
  HELD_TRY,
  HELD_WRITE,
  heldLocks,
  LockOrder,
  lockOrderFindings,
} from "../../src/sync/lock-order.ts";
import { mutexLock, mutexUnlock } from "../../src/sync/mutex.ts";
import { readLock, readUnlock, writeLock, writeUnlock } from "../../src/sync/rwlock.ts";
import {
  downgradeWrite,
  downRead,
  downReadTrylock,
  downWrite,
  initRwsem,
  RULES_MODERN,
  Rwsem,
  upRead,
  upWrite,
} from "../../src/sync/rwsem.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import { syncCpu } from "../../src/sync/sync-cpu.ts";

const CPUS = 2;
const ORDER = CACHE_PAIR;
const SYNC = ORDER + LockOrder.WORDS;
const LOCKS = SYNC + CPUS * CpuSync.WORDS;
/** Instances of each class: two, for nesting inside a class. */
const INSTANCES = 2;
const NAMES = ["A", "B", "C", "D"];
const classes = NAMES.map((name) => lockClass(name));

interface Machine {
  readonly words: Int32Array;
  readonly cpus: readonly Cpu[];
  readonly findings: () => string[];
}

function machine(): Machine {
  const locks = NAMES.length * INSTANCES;
  const words = new Int32Array(new SharedArrayBuffer((LOCKS + locks * Rwsem.WORDS) * 4));
  for (let i = 0; i < locks; i++) initRwsem(words, LOCKS + i * Rwsem.WORDS, RULES_MODERN);
  const cpus = Array.from({ length: CPUS }, (_, id) => ({ ...syncCpu(words, SYNC, id, soloPort()), lockOrder: ORDER }));
  return { words, cpus, findings: () => lockOrderFindings(words, ORDER) };
}

interface Kind {
  readonly lock: (cpu: Cpu, lock: number, cls: number) => Steps<void>;
  readonly unlock: (cpu: Cpu, lock: number, cls: number) => Steps<void>;
}

const spin: Kind = { lock: spinLock, unlock: spinUnlock };
const mutex: Kind = { lock: mutexLock, unlock: mutexUnlock };
const wlock: Kind = { lock: writeLock, unlock: writeUnlock };
const rlock: Kind = { lock: readLock, unlock: readUnlock };
const wsem: Kind = { lock: downWrite, unlock: upWrite };
const rsem: Kind = { lock: downRead, unlock: upRead };

/** Class by letter; a prime names its second instance ("A'"). */
function place(name: string): { lock: number; cls: number } {
  const index = NAMES.indexOf(name.charAt(0));
  const instance = name.endsWith("'") ? 1 : 0;
  return { lock: LOCKS + (index * INSTANCES + instance) * Rwsem.WORDS, cls: classes[index] as number };
}

/**
 * Runs "A B" as lock A, lock B, unlock B, unlock A; lower case is the second kind. A lock that cannot be had ends
 * the program, as its CPU would wait for itself: what it held is forgotten.
 */
function run(cpu: Cpu, program: string, kind: Kind, lowerKind: Kind = kind): void {
  const steps = program.split(" ").map((name) => {
    const lower = name !== name.toUpperCase();
    return { ...place(name.toUpperCase()), kind: lower ? lowerKind : kind };
  });
  try {
    for (const { lock, cls, kind } of steps) runToEnd(kind.lock(cpu, lock, cls));
    for (const { lock, cls, kind } of steps.reverse()) runToEnd(kind.unlock(cpu, lock, cls));
  } catch (error) {
    expect(String(error)).toMatch(/already holds it|would sleep for ever/);
    cpu.words.fill(0, cpu.sync, cpu.sync + CpuSync.WORDS);
    for (let i = 0; i < NAMES.length * INSTANCES; i++) initRwsem(cpu.words, LOCKS + i * Rwsem.WORDS, RULES_MODERN);
  }
}

/** What is found when the programs run one after another, alternating between the CPUs. */
function verdict(programs: readonly string[], kind: Kind, lowerKind?: Kind): string[] {
  const { cpus, findings } = machine();
  programs.forEach((program, i) => {
    run(cpus[i % CPUS] as Cpu, program, kind, lowerKind);
  });
  return findings();
}

describe("locking-selftest: every kind of lock", () => {
  const all = { spin, wlock, rlock, mutex, wsem, rsem };
  const strict = Object.entries(all).filter(([name]) => name !== "rlock");

  const circles = [
    ["A B", "B A"],
    ["A B", "B C", "C A"],
    ["A B", "C A", "B C"],
    ["A B", "B C", "C D", "D A"],
    ["A B", "C D", "B D", "D A"],
    ["A B", "C D", "B C", "D A"],
  ];

  test.each(strict)("%s: A A", (_name, kind) => {
    expect(verdict(["A A"], kind)).toEqual([expect.stringMatching(/^recursion: A( \(read\))?; CPU 0 holds A/)]);
  });

  test.each(strict)("%s: the circles", (_name, kind) => {
    for (const circle of circles) {
      const found = verdict(circle, kind);
      expect(found, circle.join(", ")).toHaveLength(1);
      expect(found[0]).toMatch(/^inversion: /);
      expect(verdict(circle.slice(0, -1), kind), "not before the last program").toEqual([]);
    }
  });

  test.each(Object.entries(all))("%s: double unlock", (_name, kind) => {
    const { cpus } = machine();
    const { lock, cls } = place("A");
    run(cpus[0] as Cpu, "A", kind);
    expect(() => runToEnd(kind.unlock(cpus[0] as Cpu, lock, cls))).toThrow(/not held|does not hold/);
  });

  test.each(Object.entries(all))("%s: initialised while held", (_name, kind) => {
    const { cpus } = machine();
    const cpu = cpus[0] as Cpu;
    const { lock, cls } = place("A");
    runToEnd(kind.lock(cpu, lock, cls));
    expect(() => assertNoLockIn(cpu, lock, lock + Rwsem.WORDS)).toThrow(/^I7: CPU 0 frees or initialises A/);
    expect(() => assertNoLockIn(cpu, lock + 1, lock + Rwsem.WORDS)).not.toThrow();
  });
});

describe("locking-selftest: readers and writers", () => {
  const pairs = { rwlock: { read: rlock, write: wlock }, rwsem: { read: rsem, write: wsem } };
  /** Upper case writes, lower case reads. `good`: the kinds for which it is no deadlock. */
  const table = [
    { what: "recursive read", programs: ["a a"], good: ["rwlock"] },
    { what: "recursive read, other lock of the class", programs: ["a a'"], good: ["rwlock"] },
    { what: "read, then write", programs: ["a A"], good: [] },
    { what: "write, then read", programs: ["A a"], good: [] },
    { what: "read/read ABBA", programs: ["a b", "b a"], good: ["rwlock"] },
    { what: "read-lock/lock-write ABBA", programs: ["a B", "B A"], good: [] },
    { what: "read-lock/lock-read ABBA", programs: ["a B", "B a"], good: ["rwlock"] },
    { what: "write/write ABBA", programs: ["A B", "B A"], good: [] },
    { what: "a circle of readers", programs: ["a b", "b c", "c a"], good: ["rwlock"] },
    { what: "a circle in which readers meet once", programs: ["a b", "b C", "C A"], good: ["rwlock"] },
    { what: "a circle in which every reader meets a writer", programs: ["A b", "B c", "C A"], good: [] },
  ];

  test.each(table)("$what", ({ programs, good }) => {
    for (const [name, { read, write }] of Object.entries(pairs)) {
      expect(verdict(programs, write, read).length === 0, name).toBe(good.includes(name));
    }
  });

  test("a circle that readers kept open is closed by one CPU that writes where they met", () => {
    expect(verdict(["A b", "b C", "C A"], wlock, rlock)).toEqual([]);
    expect(verdict(["A b", "b C", "C A", "B C"], wlock, rlock)).toHaveLength(1);
  });
});

describe("lock-order checker", () => {
  test("says the order seen before, what the CPU holds and what it asks for", () => {
    expect(verdict(["A B", "B C", "C a"], wsem, rsem)).toEqual([
      "inversion: A -> B -> C -> A; CPU 0 holds C and asks for A (read)",
    ]);
    expect(verdict(["D a a"], wsem, rsem)).toEqual([
      "recursion: A (read); CPU 0 holds D, A (read) and asks for A (read)",
    ]);
  });

  test("a trylock adds no order, but what is asked for while it is held does", () => {
    const trysem: Kind = {
      lock: function* (cpu, lock, cls) {
        expect(yield* downReadTrylock(cpu, lock, cls)).toBe(true);
      },
      unlock: upRead,
    };
    expect(verdict(["A b", "B A"], wsem, trysem)).toEqual([]);
    expect(verdict(["A a'"], wsem, trysem)).toEqual([]);
    expect(verdict(["a B", "B A"], wsem, trysem)).toHaveLength(1);
  });

  test("after a downgrade the lock counts as shared", () => {
    const { words, cpus } = machine();
    const cpu = cpus[0] as Cpu;
    const { lock, cls } = place("A");
    runToEnd(downWrite(cpu, lock, cls));
    expect(heldLocks(words, cpu.sync)).toEqual(["A"]);
    runToEnd(downgradeWrite(cpu, lock, cls));
    expect(heldLocks(words, cpu.sync)).toEqual(["A (read)"]);
    runToEnd(upRead(cpu, lock, cls));
    expect(heldLocks(words, cpu.sync)).toEqual([]);
  });

  test("finds a circle over several lock kinds", () => {
    expect(verdict(["A b", "B a"], wsem, mutex)).toHaveLength(1);
    expect(verdict(["A b", "b a"], wlock, spin)).toHaveLength(1);
  });

  test("releases may come in any order; what is not held cannot be released", () => {
    const { words, cpus } = machine();
    const [cpu, other] = cpus as [Cpu, Cpu];
    const [a, b] = [place("A"), place("B")];
    afterAcquire(cpu, a.lock, a.cls, HELD_WRITE);
    afterAcquire(cpu, b.lock, b.cls, HELD_READ | HELD_TRY);
    beforeRelease(cpu, a.lock, a.cls);
    expect(heldLocks(words, cpu.sync)).toEqual(["B (read)"]);
    expect(() => beforeRelease(cpu, a.lock, a.cls)).toThrow("I7: CPU 0 releases A that it does not hold");
    expect(() => beforeRelease(other, b.lock, b.cls)).toThrow("I7: CPU 1 releases B that it does not hold");
    expect(() => assertNothingHeld(cpu)).toThrow("I7: CPU 0 ends and still holds B (read)");
    beforeRelease(cpu, b.lock, b.cls);
    assertNothingHeld(cpu);
  });

  test("keeps the held stack, but no order, where lockOrder is 0", () => {
    const { words, cpus } = machine();
    const cpu = { ...(cpus[0] as Cpu), lockOrder: 0 };
    run(cpu, "A B", spin);
    run(cpu, "B A", spin);
    expect(lockOrderFindings(words, ORDER)).toEqual([]);
    expect(words.slice(ORDER, SYNC).every((word) => word === 0)).toBe(true);
    expect(() => beforeRelease(cpu, LOCKS, classes[0] as number)).toThrow("I7");
  });

  test("reports an inversion once, a recursion once for a class, and counts what it cannot keep", () => {
    expect(verdict(["A B", "B A", "B A", "A B", "A A'", "A A'"], wsem)).toHaveLength(2);
    const some = Array.from({ length: 10 }, (_, cls) => cls);
    const { cpus, findings } = machine();
    const cpu = cpus[0] as Cpu;
    for (const cls of some) {
      afterAcquire(cpu, LOCKS, cls, HELD_WRITE);
      beforeAcquire(cpu, LOCKS, cls, HELD_WRITE);
      beforeRelease(cpu, LOCKS, cls);
    }
    expect(findings()).toHaveLength(9);
    expect(findings()[8]).toBe("2 more, not kept");
  });

  test("agrees with a search over all chains of holders, on random programs", () => {
    for (let seed = 0; seed < 2000; seed++) {
      const random = new Random(seed);
      const { cpus, findings } = machine();
      const edges: Edge[] = [];
      let expected = false;
      const HOWS = [HELD_WRITE, HELD_READ, HELD_READ | HELD_READ_RECURSIVE];
      for (let i = 0; i < 6; i++) {
        const cpu = cpus[i % CPUS] as Cpu;
        const from = random.below(4);
        const to = (from + 1 + random.below(3)) % 4;
        const [held, asked] = [HOWS[random.below(3)] as number, HOWS[random.below(3)] as number];
        const [a, b] = [place(NAMES[from] as string), place(NAMES[to] as string)];
        edges.push({ from, to, shared: held !== HELD_WRITE, recursive: (asked & HELD_READ_RECURSIVE) !== 0 });
        expected ||= deadlocks(edges);
        beforeAcquire(cpu, a.lock, a.cls, held);
        afterAcquire(cpu, a.lock, a.cls, held);
        beforeAcquire(cpu, b.lock, b.cls, asked);
        beforeRelease(cpu, a.lock, a.cls);
      }
      expect(findings().length > 0, `seed ${seed}: ${JSON.stringify(edges)}`).toBe(expected);
    }
  });
});

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly shared: boolean;
  readonly recursive: boolean;
}

/** Do some of these edges form a circle in which everybody really waits for the next? Tries all simple paths. */
function deadlocks(edges: readonly Edge[]): boolean {
  const waits = (arriving: Edge, holding: Edge): boolean =>
    arriving.to === holding.from && !(arriving.recursive && holding.shared);
  const search = (path: readonly Edge[]): boolean => {
    const last = path.at(-1) as Edge;
    if (waits(last, path[0] as Edge)) return true;
    return edges.some((edge) => !path.includes(edge) && waits(last, edge) && search([...path, edge]));
  };
  return edges.some((edge) => search([edge]));
}
