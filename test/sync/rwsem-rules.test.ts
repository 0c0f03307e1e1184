/** What sets the rule sets apart: who overtakes whom, who is woken together, who may claim the lock. */

import { describe, expect, test } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import type { Random } from "../../src/base/random.ts";
import type { Scheduler, StepView } from "../../src/explore/scheduler.ts";
import { CpuSync, LockStat, QueueNode } from "../../src/sync/cpu-sync.ts";
import { lockStat } from "../../src/sync/lock-stat.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { stealRead } from "../../src/sync/rwsem/modern.ts";
import {
  addWaiter,
  RWSEM_WAIT_TIMEOUT_US,
  RWSEM_WAITING_FOR_READ,
  RWSEM_WAITING_FOR_WRITE,
  RWSEM_WAKE_ANY,
} from "../../src/sync/rwsem/queue.ts";
import { markWake, tryWriteLock } from "../../src/sync/rwsem/rules.ts";
import {
  RWSEM_FLAG_HANDOFF,
  RWSEM_FLAG_WAITERS,
  RWSEM_LOCK_MASK,
  RWSEM_NONSPINNABLE,
  RWSEM_READER_BIAS,
  RWSEM_READER_SHIFT,
  RWSEM_WRITER_LOCKED,
} from "../../src/sync/rwsem/state.ts";
import {
  describeRwsem,
  downgradeWrite,
  downRead,
  downReadTrylock,
  downReadUnfair,
  downWrite,
  downWriteKillable,
  downWriteTrylock,
  initRwsem,
  RULES_FIFO_2010,
  RULES_MODERN,
  RULES_PRE_V5_3,
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
  type Observer,
  type Program,
  queued,
  runWorld,
  sem,
  until,
  type World,
} from "./rwsem-world.ts";

const SEEDS = 1000;

/** Waits until `ready`, then takes the lock, stays in until `done`, and releases it. */
function visitor(
  kind: "r" | "w",
  seen: Observer,
  ready: (cpu: Cpu) => boolean,
  done: (cpu: Cpu) => boolean = () => true,
): Program {
  return function* (cpu: Cpu) {
    yield* until(cpu, () => ready(cpu));
    if (kind === "r") yield* downRead(cpu, sem, cls);
    else yield* downWrite(cpu, sem, cls);
    seen.enter(kind, cpu);
    yield* until(cpu, () => done(cpu));
    seen.leave(kind);
    if (kind === "r") yield* upRead(cpu, sem, cls);
    else yield* upWrite(cpu, sem, cls);
  };
}

const always = (): boolean => true;
const waiting =
  (count: number) =>
  (cpu: Cpu): boolean =>
    queued(cpu.words) === count;

/**
 * CPU 0 comes in as `plan[0]`, the others queue up behind it in order, then CPU 0 leaves. "R0 W1" reads: CPU 0
 * holds it for reading, CPU 1 wants to write.
 */
function lineUp(seen: Observer, plan: string): Program[] {
  const kinds = plan.split(" ").map((word) => (word.startsWith("R") ? "r" : "w"));
  return kinds.map((kind, id) => {
    if (id === 0) return visitor(kind, seen, always, waiting(kinds.length - 1));
    return visitor(kind, seen, (cpu) => seen.entered.length > 0 && queued(cpu.words) === id - 1);
  });
}

/** All orders in which they came in, over the seeds. */
function ordersOf(rules: number, plan: string): string[] {
  const orders = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const world = runWorld({ rules, seed, programs: (seen) => lineUp(seen, plan) });
    expectSound(world);
    orders.add(world.seen.entered.join(" "));
  }
  return [...orders].sort();
}

describe("who is woken together", () => {
  test("before v5.3 and in 2010 the queue is served in order, one batch of readers per writer", () => {
    for (const rules of [RULES_PRE_V5_3, RULES_FIFO_2010]) {
      expect(ordersOf(rules, "R0 W1 R2 W3 R4")).toEqual(["r0 w1 r2 w3 r4"]);
      expect(ordersOf(rules, "W0 R1 R2 W3 R4")).toEqual(["w0 r1 r2 w3 r4", "w0 r2 r1 w3 r4"]);
    }
  });

  test("from v5.3 on a wake takes all readers, past the writers between them", () => {
    expect(ordersOf(RULES_MODERN, "R0 W1 R2 W3 R4")).toEqual(["r0 w1 r2 r4 w3", "r0 w1 r4 r2 w3"]);
    expect(ordersOf(RULES_MODERN, "W0 R1 W2 W3 R4")).toEqual(["w0 r1 r4 w2 w3", "w0 r4 r1 w2 w3"]);
  });

  test("at most 256 readers are woken at once", () => {
    const words = new Int32Array(new SharedArrayBuffer((sem + Rwsem.WORDS + 301 * CpuSync.WORDS) * 4));
    initRwsem(words, sem, RULES_MODERN);
    const cpuOf = (id: number): Cpu => syncCpu(words, sem + Rwsem.WORDS, id, soloPort());
    runToEnd(downWrite(cpuOf(0), sem, cls));
    for (let id = 1; id <= 300; id++) addWaiter(cpuOf(id), sem, RWSEM_WAITING_FOR_READ, false);
    words[sem + Rwsem.count] = (words[sem + Rwsem.count] as number) | RWSEM_FLAG_WAITERS;
    runToEnd(upWrite(cpuOf(0), sem, cls));
    const count = words[sem + Rwsem.count] as number;
    expect(count >> RWSEM_READER_SHIFT).toBe(256);
    expect(count & RWSEM_FLAG_WAITERS).toBe(RWSEM_FLAG_WAITERS);
    const granted = Array.from({ length: 300 }, (_, i) => words[cpuOf(i + 1).sync + CpuSync.node + QueueNode.granted]);
    expect(granted.indexOf(0)).toBe(256);
    expect(describeRwsem(words, sem, cpuOf(0))).toMatch(/^read-held by 256, CPU 1 came last; queue: CPU 257 read/);
  });

  test.each(ALL_RULES)("downgrade lets readers join and no writer ($name)", ({ rules }) => {
    const joining = rules === RULES_MODERN ? 2 : 1;
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = runWorld({
        rules,
        seed,
        programs: (seen) => {
          const [, ...behind] = lineUp(seen, "W0 R1 W2 R3");
          const downgrader: Program = function* (cpu) {
            yield* downWrite(cpu, sem, cls);
            seen.enter("w", cpu);
            yield* until(cpu, () => queued(cpu.words) === 3);
            seen.leave("w");
            yield* downgradeWrite(cpu, sem, cls);
            seen.enter("r", cpu);
            yield* until(cpu, () => seen.entered.length === 2 + joining);
            seen.leave("r");
            yield* upRead(cpu, sem, cls);
          };
          return [downgrader, ...behind];
        },
      });
      expectSound(world);
      const order = world.seen.entered.filter((who) => who !== "r0").join(" ");
      expect(order).toMatch(rules === RULES_MODERN ? /^w0 (r1 r3|r3 r1) w2$/ : /^w0 r1 w2 r3$/);
    }
  });
});

describe("who overtakes whom", () => {
  /** A newcomer arrives while CPU 1, queued, is about to get the lock. Seeds in which the newcomer is first. */
  function overtakings(rules: number, newcomer: "r" | "w"): number {
    let count = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = runWorld({
        rules,
        seed,
        programs: (seen) => [
          visitor("w", seen, always, (cpu) => queued(cpu.words) > 0),
          visitor("w", seen, () => seen.entered.length > 0),
          visitor(newcomer, seen, (cpu) => queued(cpu.words) > 0 || seen.entered.length > 1),
        ],
      });
      expectSound(world);
      if (world.seen.entered[1] === `${newcomer}2`) count++;
    }
    return count;
  }

  test("in 2010 nobody", () => {
    expect(overtakings(RULES_FIFO_2010, "w")).toBe(0);
    expect(overtakings(RULES_FIFO_2010, "r")).toBe(0);
  });

  test("before v5.3 writers only", () => {
    expect(overtakings(RULES_PRE_V5_3, "w")).toBeGreaterThan(0);
    expect(overtakings(RULES_PRE_V5_3, "r")).toBe(0);
  });

  test("from v5.11 on readers too", () => {
    expect(overtakings(RULES_MODERN, "w")).toBeGreaterThan(0);
    expect(overtakings(RULES_MODERN, "r")).toBeGreaterThan(0);
  });

  test.each(ALL_RULES)("a trylock fails while anybody is queued, even behind a reader ($name)", ({ rules }) => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const tried: boolean[] = [];
      const world = runWorld({
        rules,
        seed,
        programs: (seen) => [
          visitor("r", seen, always, () => tried.length === 3),
          visitor("w", seen, () => tried.length === 1),
          function* (cpu) {
            yield* until(cpu, () => seen.entered.length === 1);
            tried.push(yield* downReadTrylock(cpu, sem, cls));
            yield* upRead(cpu, sem, cls);
            yield* until(cpu, () => ((cpu.words[sem + Rwsem.count] as number) & RWSEM_FLAG_WAITERS) !== 0);
            tried.push(yield* downReadTrylock(cpu, sem, cls), yield* downWriteTrylock(cpu, sem, cls));
          },
        ],
      });
      expectSound(world);
      expect(tried).toEqual([true, false, false]);
    }
  });
});

describe("the deadlock of 2010", () => {
  /** T4 holds it for reading until T2 has come by, T3 is queued to write, T2 wants to read. */
  function story(rules: number, seed: number, unfair: boolean): World {
    let passed = false;
    return runWorld({
      rules,
      seed,
      maxSteps: 600,
      programs: (seen) => [
        visitor("r", seen, always, () => passed),
        visitor("w", seen, () => seen.entered.length > 0),
        function* (cpu) {
          yield* until(cpu, () => queued(cpu.words) === 1);
          if (unfair) yield* downReadUnfair(cpu, sem, cls);
          else yield* downRead(cpu, sem, cls);
          passed = true;
          yield* upRead(cpu, sem, cls);
        },
      ],
    });
  }

  test("a reader waits behind a queued writer, and with it whoever waits for that reader", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = story(RULES_FIFO_2010, seed, false);
      expect(world.outcome.state, world.about).toBe("livelock");
      expect(world.about).toContain("read-held by 1, CPU 0 came last; queue: CPU 1 write, CPU 2 read");
    }
  });

  test("downReadUnfair passes the queued writer", () => {
    for (let seed = 0; seed < SEEDS; seed++) expectSound(story(RULES_FIFO_2010, seed, true));
  });

  test("downReadUnfair waits for an active writer, ahead of everybody", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = runWorld({
        rules: RULES_FIFO_2010,
        seed,
        programs: (seen) => [
          visitor("w", seen, always, waiting(2)),
          visitor("w", seen, () => seen.entered.length > 0),
          function* (cpu) {
            yield* until(cpu, () => queued(cpu.words) === 1);
            yield* downReadUnfair(cpu, sem, cls);
            seen.enter("r", cpu);
            seen.leave("r");
            yield* upRead(cpu, sem, cls);
          },
        ],
      });
      expectSound(world);
      expect(world.seen.entered).toEqual(["w0", "r2", "w1"]);
    }
  });
});

describe.each(ALL_RULES)("who is killed while queued, $name", ({ rules }) => {
  function killable(died: boolean[]): Program {
    return function* (cpu) {
      yield* until(cpu, () => ((cpu.words[sem + Rwsem.count] as number) & RWSEM_LOCK_MASK) !== 0);
      died.push(!(yield* downWriteKillable(cpu, sem, cls)));
    };
  }

  test("takes WAITERS along when nobody else is queued", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const died: boolean[] = [];
      let tried = false;
      const world = runWorld({
        rules,
        seed,
        programs: (seen) => [
          visitor("r", seen, always, () => tried),
          killable(died),
          function* (cpu) {
            yield* until(cpu, () => queued(cpu.words) === 1);
            yield* sendSigkill(cpu, 1);
            yield* until(cpu, () => died.length === 1);
            tried = yield* downReadTrylock(cpu, sem, cls);
            expect(tried, "the lock is read-held and nobody is queued").toBe(true);
            yield* upRead(cpu, sem, cls);
          },
        ],
      });
      expectSound(world);
      expect(died).toEqual([true]);
    }
  });

  test("lets the reader behind it join the readers that are in", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const died: boolean[] = [];
      const world = runWorld({
        rules,
        seed,
        programs: (seen) => [
          visitor("r", seen, always, () => seen.entered.length === 2),
          killable(died),
          visitor("r", seen, waiting(1)),
          function* (cpu) {
            yield* until(cpu, () => queued(cpu.words) === 2);
            yield* sendSigkill(cpu, 1);
          },
        ],
      });
      expectSound(world);
      expect(died).toEqual([true]);
    }
  });
});

describe("hand-off", () => {
  const ROUNDS = 24;

  /**
   * CPU 0 takes and releases the write lock over and over; CPU 1 wants it. The scheduler is CPU 1's enemy: it lets
   * that one run only while the lock is held, so every wake-up comes to nothing. Returns CPU 0's rounds before.
   */
  function roundsBefore(rules: number, usPerStep: number, seed: number): number {
    let claimed = false;
    const world = runWorld({
      rules,
      seed,
      usPerStep,
      programs: (seen) => [
        function* (cpu) {
          for (let round = 0; round < ROUNDS; round++) {
            yield* downWrite(cpu, sem, cls);
            seen.enter("w", cpu);
            yield* dwell(cpu, 3);
            claimed ||= ((cpu.words[sem + Rwsem.count] as number) & RWSEM_FLAG_HANDOFF) !== 0;
            seen.leave("w");
            yield* upWrite(cpu, sem, cls);
          }
        },
        visitor("w", seen, always),
      ],
      scheduler: enemyOfCpu1,
    });
    expectSound(world);
    const rounds = world.seen.entered.indexOf("w1");
    if (rules !== RULES_MODERN) expect(claimed).toBe(false);
    else expect(claimed, world.about).toBe(rounds < ROUNDS);
    return rounds;
  }

  function enemyOfCpu1(): Scheduler {
    return {
      name: "enemy",
      begin: () => {},
      pick: (view: StepView) => {
        const held = ((view.words[sem + Rwsem.count] as number) & RWSEM_LOCK_MASK) !== 0;
        const can = (cpu: number): boolean => view.enabled.subarray(0, view.enabledCount).includes(cpu);
        if (!can(0)) return 1;
        return held && can(1) ? 1 : 0;
      },
    };
  }

  test("a queued writer gets the lock after 4 ms, although another keeps stealing", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const rounds = roundsBefore(RULES_MODERN, 500, seed);
      expect(rounds).toBeGreaterThan(0);
      expect(rounds).toBeLessThan(10);
    }
  });

  test("while the clock stands still, and before v5.3, it starves", () => {
    for (let seed = 0; seed < 100; seed++) {
      expect(roundsBefore(RULES_MODERN, 0, seed)).toBe(ROUNDS);
      expect(roundsBefore(RULES_PRE_V5_3, 500, seed)).toBe(ROUNDS);
    }
  });

  test("in 2010 every release is a hand-off", () => {
    for (let seed = 0; seed < 100; seed++) expect(roundsBefore(RULES_FIFO_2010, 0, seed)).toBe(1);
  });
});

describe("optimistic spinning", () => {
  /** CPU 0 leaves once CPU 1 wants to write. Seeds in which CPU 1 waited, by whether it had to queue. */
  function spins(rules: number, holder: "r" | "w"): { queued: number; spun: number } {
    const tally = { queued: 0, spun: 0 };
    for (let seed = 0; seed < SEEDS; seed++) {
      let writer: Cpu | undefined;
      const world = runWorld({
        rules,
        seed,
        programs: (seen) => [
          visitor(
            holder,
            seen,
            always,
            () => writer !== undefined && writer.words[writer.sync + CpuSync.awaited] === sem,
          ),
          visitor("w", seen, (cpu) => {
            writer = cpu;
            return seen.entered.length > 0;
          }),
        ],
      });
      expectSound(world);
      const { sync } = writer as Cpu;
      if (world.words[lockStat(writer as Cpu, cls) + LockStat.contended] === 0) continue;
      if (world.words[sync + CpuSync.node + QueueNode.deadline] === 0) tally.spun++;
      else tally.queued++;
    }
    return tally;
  }

  test("modern writers spin on writers and on readers", () => {
    for (const holder of ["r", "w"] as const) {
      const { queued, spun } = spins(RULES_MODERN, holder);
      expect(spun).toBeGreaterThan(SEEDS / 20);
      expect(queued).toBeGreaterThan(SEEDS / 20);
    }
  });

  test("before v5.3 they spin on writers only, in 2010 on nobody", () => {
    expect(spins(RULES_PRE_V5_3, "w").spun).toBeGreaterThan(SEEDS / 20);
    expect(spins(RULES_PRE_V5_3, "r").spun).toBe(0);
    expect(spins(RULES_FIFO_2010, "w").spun).toBe(0);
    expect(spins(RULES_FIFO_2010, "r").spun).toBe(0);
  });

  test("a writer that gave up on readers keeps others from trying, until these readers have left", () => {
    const nonspinnable = (cpu: Cpu): boolean => ((cpu.words[sem + Rwsem.owner] as number) & RWSEM_NONSPINNABLE) !== 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const whileHeld: boolean[] = [];
      const world = runWorld({
        rules: RULES_MODERN,
        seed,
        programs: (seen: Observer, _random: Random) => [
          visitor("r", seen, always, (cpu) => {
            if (queued(cpu.words) !== 1) return false;
            whileHeld.push(nonspinnable(cpu));
            return true;
          }),
          visitor("w", seen, () => seen.entered.length > 0),
        ],
      });
      expectSound(world);
      expect(whileHeld).toEqual([true]);
      expect((world.words[sem + Rwsem.owner] as number) & RWSEM_NONSPINNABLE).toBe(0);
    }
  });
});

describe("modern rules, one operation at a time", () => {
  /** Three CPUs with a clock that the test sets, and a lock in a state of the test's making. */
  function staged(count: number): { words: Int32Array; cpus: [Cpu, Cpu, Cpu]; clock: { us: number } } {
    const words = new Int32Array(new SharedArrayBuffer((sem + Rwsem.WORDS + 3 * CpuSync.WORDS) * 4));
    initRwsem(words, sem, RULES_MODERN);
    words[sem + Rwsem.count] = count;
    const clock = { us: 1 };
    const port = { ...soloPort(), nowNs: () => clock.us * 1000 };
    const cpus = [0, 1, 2].map((id) => syncCpu(words, sem + Rwsem.WORDS, id, port)) as [Cpu, Cpu, Cpu];
    return { words, cpus, clock };
  }

  const granted = (cpu: Cpu): boolean => cpu.words[cpu.sync + CpuSync.node + QueueNode.granted] === 1;

  test("a queued reader that a writer forestalls claims the lock after 4 ms", () => {
    const { words, cpus, clock } = staged(0);
    const [writer, reader] = cpus;
    runToEnd(downWrite(writer, sem, cls));
    addWaiter(reader, sem, RWSEM_WAITING_FOR_READ, false);
    words[sem + Rwsem.count] = RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS;
    clock.us += RWSEM_WAIT_TIMEOUT_US;
    expect(runToEnd(markWake(writer, sem, RWSEM_WAKE_ANY))).toBe(0);
    expect(words[sem + Rwsem.count]).toBe(RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS);
    clock.us++;
    expect(runToEnd(markWake(writer, sem, RWSEM_WAKE_ANY))).toBe(0);
    expect(words[sem + Rwsem.count]).toBe(RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS | RWSEM_FLAG_HANDOFF);
    runToEnd(upWrite(writer, sem, cls));
    expect(words[sem + Rwsem.count], "the claim ends when readers are in").toBe(RWSEM_READER_BIAS);
  });

  test("only the first waiter claims the lock, and only after 4 ms", () => {
    const held = RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS;
    const { words, cpus, clock } = staged(held);
    const [, first, second] = cpus;
    for (const cpu of [first, second]) addWaiter(cpu, sem, RWSEM_WAITING_FOR_WRITE, false);
    expect(runToEnd(tryWriteLock(first, sem))).toBe(false);
    clock.us += RWSEM_WAIT_TIMEOUT_US + 1;
    expect(runToEnd(tryWriteLock(second, sem))).toBe(false);
    expect(words[sem + Rwsem.count]).toBe(held);
    expect(runToEnd(tryWriteLock(first, sem))).toBe(false);
    expect(words[sem + Rwsem.count]).toBe(held | RWSEM_FLAG_HANDOFF);
  });

  test("a reader steals a free lock and takes queued readers along, but respects a claim", () => {
    const { words, cpus } = staged(RWSEM_FLAG_WAITERS);
    const [waiter, thief, late] = cpus;
    addWaiter(waiter, sem, RWSEM_WAITING_FOR_READ, false);
    runToEnd(downRead(thief, sem, cls));
    expect(granted(waiter)).toBe(true);
    expect(words[sem + Rwsem.count]).toBe(2 * RWSEM_READER_BIAS);
    const claimed = RWSEM_FLAG_WAITERS | RWSEM_FLAG_HANDOFF;
    expect(runToEnd(stealRead(late, sem, RWSEM_READER_BIAS | claimed))).toBe(false);
  });

  test("when the last reader leaves, writers may spin again", () => {
    const { words, cpus } = staged(0);
    const [reader, writer] = cpus;
    runToEnd(downRead(reader, sem, cls));
    addWaiter(writer, sem, RWSEM_WAITING_FOR_WRITE, false);
    words[sem + Rwsem.count] = RWSEM_READER_BIAS | RWSEM_FLAG_WAITERS;
    words[sem + Rwsem.owner] = (words[sem + Rwsem.owner] as number) | RWSEM_NONSPINNABLE;
    runToEnd(upRead(reader, sem, cls));
    expect((words[sem + Rwsem.owner] as number) & RWSEM_NONSPINNABLE).toBe(0);
  });
});
