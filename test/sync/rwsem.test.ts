import { describe, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { fetchAdd, runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { CACHE_PAIR } from "../../src/arena/struct.ts";
import type { Random } from "../../src/base/random.ts";
import { CpuSync, LockStat } from "../../src/sync/cpu-sync.ts";
import { lockStat } from "../../src/sync/lock-stat.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { RWSEM_READER_BIAS, RWSEM_WRITER_LOCKED } from "../../src/sync/rwsem/state.ts";
import {
  describeRwsem,
  downgradeWrite,
  downRead,
  downReadKillable,
  downReadTrylock,
  downReadUnfair,
  downWrite,
  downWriteKillable,
  downWriteTrylock,
  initRwsem,
  RULES_FIFO_2010,
  RULES_MODERN,
  Rwsem,
  upRead,
  upWrite,
} from "../../src/sync/rwsem.ts";
import { syncCpu } from "../../src/sync/sync-cpu.ts";
import {
  ALL_RULES,
  SEM_CLASS as cls,
  dwell,
  expectSound,
  faultOf,
  type Observer,
  type Program,
  runWorld,
  sem,
} from "./rwsem-world.ts";

const SEEDS = 1000;

/** Holds for reading what it already has, then releases. */
function* readSection(cpu: Cpu, seen: Observer, operations: number): Steps<void> {
  seen.enter("r", cpu);
  yield* dwell(cpu, operations);
  seen.leave("r");
  yield* upRead(cpu, sem, cls);
}

function* writeSection(cpu: Cpu, seen: Observer, operations: number): Steps<void> {
  seen.enter("w", cpu);
  yield* dwell(cpu, operations);
  seen.leave("w");
  yield* upWrite(cpu, sem, cls);
}

/** One operation of each kind, by number. */
function* operation(cpu: Cpu, seen: Observer, kind: number, length: number): Steps<void> {
  switch (kind) {
    case 0:
      yield* downRead(cpu, sem, cls);
      return yield* readSection(cpu, seen, length);
    case 1:
      yield* downWrite(cpu, sem, cls);
      return yield* writeSection(cpu, seen, length);
    case 2:
      if (yield* downReadTrylock(cpu, sem, cls)) yield* readSection(cpu, seen, length);
      return;
    case 3:
      if (yield* downWriteTrylock(cpu, sem, cls)) yield* writeSection(cpu, seen, length);
      return;
    default:
      yield* downWrite(cpu, sem, cls);
      seen.enter("w", cpu);
      yield* dwell(cpu, length);
      seen.leave("w");
      yield* downgradeWrite(cpu, sem, cls);
      return yield* readSection(cpu, seen, length);
  }
}

/** A CPU that does a few operations drawn at random, before the run, so that the program is a function of the seed. */
function mixed(seen: Observer, random: Random, kinds: number): Program {
  const plan = Array.from({ length: 2 + random.below(3) }, () => [random.below(kinds), random.below(3)] as const);
  return function* (cpu: Cpu) {
    for (const [kind, length] of plan) yield* operation(cpu, seen, kind, length);
  };
}

function repeat(count: number, make: () => Program): Program[] {
  return Array.from({ length: count }, make);
}

describe.each(ALL_RULES)("rwsem, $name", ({ rules }) => {
  test("excludes writers and comes to rest", () => {
    let together = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = runWorld({
        rules,
        seed,
        usPerStep: seed % 3 === 0 ? 0 : 400,
        programs: (seen, random) => repeat(2 + random.below(4), () => mixed(seen, random, 5)),
      });
      expectSound(world);
      together = Math.max(together, world.seen.mostReaders);
    }
    expect(together).toBeGreaterThan(2);
  });

  test("lets all readers in together", () => {
    let most = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = runWorld({
        rules,
        seed,
        programs: (seen) => repeat(4, () => (cpu) => operation(cpu, seen, 0, 3)),
      });
      expectSound(world);
      most = Math.max(most, world.seen.mostReaders);
      expect(world.words[sem + Rwsem.waiters], "readers alone never queue").toBe(0);
    }
    expect(most).toBe(4);
  });

  test("a lost wake-up, a lost release and a careless trylock would be noticed", () => {
    const faults = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      for (const wrong of [wakesNobody, neverReleases, looksNowhere]) {
        const world = runWorld({
          rules,
          seed,
          maxSteps: 5000,
          programs: (seen, random) => [(cpu) => wrong(cpu, seen), ...repeat(2, () => mixed(seen, random, 2))],
        });
        const fault = faultOf(world);
        if (fault) faults.add(`${wrong.name}: ${fault}`);
      }
    }
    expect([...faults]).toEqual(
      expect.arrayContaining([
        "wakesNobody: deadlock",
        "neverReleases: violation",
        expect.stringMatching(/^looksNowhere: 1 writers and \d readers are in$/),
      ]),
    );
  });

  test("killed waiters leave the queue as if they had never come", () => {
    const died = { r: 0, w: 0 };
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = runWorld({
        rules,
        seed,
        usPerStep: 300,
        programs: (seen, random) => killing(seen, random, died),
      });
      expectSound(world);
    }
    expect(died.r).toBeGreaterThan(SEEDS / 20);
    expect(died.w).toBeGreaterThan(SEEDS / 20);
  });

  test("a pending signal does not matter to who need not wait", () => {
    const world = runWorld({
      rules,
      seed: 1,
      programs: (seen) => [
        function* (cpu) {
          yield* sendSigkill(cpu, cpu.id);
          expect(yield* downReadKillable(cpu, sem, cls)).toBe(true);
          yield* readSection(cpu, seen, 0);
          expect(yield* downWriteKillable(cpu, sem, cls)).toBe(true);
          yield* writeSection(cpu, seen, 0);
        },
      ],
    });
    expectSound(world);
  });

  test("counts what happened, and times what was contended", () => {
    const totals = { acquired: 0, contended: 0, parked: 0, tryFailed: 0, holds: 0 };
    let entered = 0;
    for (let seed = 0; seed < 200; seed++) {
      const cpus: Cpu[] = [];
      const world = runWorld({
        rules,
        seed,
        usPerStep: 10,
        programs: (seen, random) =>
          repeat(3, () => {
            const program = mixed(seen, random, 4);
            return function* (cpu) {
              cpus.push(cpu);
              yield* program(cpu);
            };
          }),
      });
      expectSound(world);
      entered += world.seen.entered.length;
      for (const cpu of cpus) {
        const stat = lockStat(cpu, cls);
        for (const field of Object.keys(totals) as (keyof typeof totals)[]) {
          totals[field] += world.words[stat + LockStat[field]] as number;
        }
        expect(world.words[cpu.sync + CpuSync.awaited]).toBe(0);
      }
    }
    expect(totals.acquired).toBe(entered);
    expect(totals.holds).toBe(totals.contended);
    expect(totals.contended).toBeGreaterThan(0);
    expect(totals.parked).toBeGreaterThan(0);
    expect(totals.tryFailed).toBeGreaterThan(0);
  });
});

/** Wrong on purpose: releases, but does not look for waiters. */
function* wakesNobody(cpu: Cpu, seen: Observer): Steps<void> {
  yield* downWrite(cpu, sem, cls);
  seen.enter("w", cpu);
  yield* dwell(cpu, 20);
  seen.leave("w");
  cpu.words[cpu.sync + CpuSync.heldCount] = 0;
  cpu.words[sem + Rwsem.owner] = 0;
  yield* fetchAdd(cpu, sem + Rwsem.count, -RWSEM_WRITER_LOCKED);
}

/** Wrong on purpose: forgets to release. */
function* neverReleases(cpu: Cpu): Steps<void> {
  yield* downRead(cpu, sem, cls);
}

/** Wrong on purpose: a trylock that does not look for a writer. */
function* looksNowhere(cpu: Cpu, seen: Observer): Steps<void> {
  yield* dwell(cpu, 8);
  yield* fetchAdd(cpu, sem + Rwsem.count, RWSEM_READER_BIAS);
  seen.enter("r", cpu);
  yield* dwell(cpu, 8);
  seen.leave("r");
  yield* fetchAdd(cpu, sem + Rwsem.count, -RWSEM_READER_BIAS);
}

/** Three CPUs that wait killably again and again until they are killed or done, one that does not, and a killer. */
function killing(seen: Observer, random: Random, died: { r: number; w: number }): Program[] {
  const waits = [0, 1, 2].map(() => [0, 1, 2].map(() => random.below(2)));
  const pauses = [0, 1, 2].map(() => random.below(40));
  const victims = waits.map(
    (plan): Program =>
      function* (cpu) {
        for (const kind of plan) {
          if (kind === 0) {
            if (yield* downReadKillable(cpu, sem, cls)) yield* readSection(cpu, seen, 4);
            else died.r++;
          } else {
            if (yield* downWriteKillable(cpu, sem, cls)) yield* writeSection(cpu, seen, 4);
            else died.w++;
          }
        }
      },
  );
  const killer: Program = function* (cpu) {
    for (let id = 0; id < 3; id++) {
      yield* dwell(cpu, pauses[id] as number);
      yield* sendSigkill(cpu, id);
    }
  };
  return [...victims, mixed(seen, random, 2), killer];
}

describe("rwsem, misuse and report", () => {
  function alone(rules = RULES_MODERN): Cpu {
    const words = new Int32Array(new SharedArrayBuffer((sem + Rwsem.WORDS + 2 * CpuSync.WORDS) * 4));
    initRwsem(words, sem, rules);
    return syncCpu(words, sem + Rwsem.WORDS, 1, soloPort());
  }

  test("a release without a hold stops at once", () => {
    const cpu = alone();
    expect(() => runToEnd(upRead(cpu, sem, cls))).toThrow("I7: CPU 1 releases sem that it does not hold");
    runToEnd(downRead(cpu, sem, cls));
    expect(() => runToEnd(upWrite(cpu, sem, cls))).toThrow("upWrite: not held for write by CPU 1");
  });

  test("the lock itself notices too, where no held stack is kept", () => {
    const cpu = alone();
    const pretendHeld = (): void => {
      cpu.words[cpu.sync + CpuSync.held] = sem;
      cpu.words[cpu.sync + CpuSync.held + 1] = cls;
      cpu.words[cpu.sync + CpuSync.heldCount] = 1;
    };
    pretendHeld();
    expect(() => runToEnd(upWrite(cpu, sem, cls))).toThrow("upWrite: not held for write by CPU 1");
    pretendHeld();
    expect(() => runToEnd(downgradeWrite(cpu, sem, cls))).toThrow("downgradeWrite: not held for write by CPU 1");
    pretendHeld();
    expect(() => runToEnd(upRead(cpu, sem, cls))).toThrow("upRead: no reader holds it");
  });

  test("unfair readers exist under the rules of 2010 only, and rules are checked", () => {
    expect(() => runToEnd(downReadUnfair(alone(), sem, cls))).toThrow("downReadUnfair: only the 2010 rules have it");
    const cpu = alone(RULES_FIFO_2010);
    runToEnd(downReadUnfair(cpu, sem, cls));
    runToEnd(upRead(cpu, sem, cls));
    expect(() => initRwsem(cpu.words, sem, 3)).toThrow("initRwsem: no such rules");
  });

  test("says who holds it and who waits", () => {
    const cpu = alone();
    const report = (): string => describeRwsem(cpu.words, sem, cpu);
    expect(report()).toBe("free");
    runToEnd(downWrite(cpu, sem, cls));
    expect(report()).toBe("write-held by CPU 1");
    runToEnd(downgradeWrite(cpu, sem, cls));
    expect(report()).toBe("read-held by 1, CPU 1 came last");
  });

  test("has cache lines of its own", () => {
    expect(Rwsem.ALIGN).toBe(CACHE_PAIR);
    expect(Rwsem.WORDS).toBe(CACHE_PAIR);
  });
});
