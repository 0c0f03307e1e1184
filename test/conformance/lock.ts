/** What every lock must do, whatever its queue looks like. Run for each lock in `LOCKS`. */

import { describe, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, load, runToEnd, store } from "../../src/arena/mem.ts";
import { Violation } from "../../src/base/errors.ts";
import type { LockContract } from "../../src/sync/lock-contract.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { checkAtMost, checkEqual, createLab, exploreSeeds, type Program } from "../sync/lock-lab.ts";

/** Words of the lab's scratch. */
const WRITERS_IN = 0;
const READERS_IN = 1;
const COUNTER = 2;
const MOST_READERS = 3;
const ROUNDS = 2;

function broken(message: string): never {
  throw new Violation("I7", message);
}

/** Inside a write hold: nobody else is in, now and after others have had their turn. */
function* stayAsWriter(cpu: Cpu, scratch: number): Steps<void> {
  if (load(cpu, scratch + WRITERS_IN) !== 0) broken("writer meets writer");
  if (load(cpu, scratch + READERS_IN) !== 0) broken("writer meets reader");
  store(cpu, scratch + WRITERS_IN, 1);
  const counter = load(cpu, scratch + COUNTER);
  yield* atomicLoad(cpu, scratch);
  store(cpu, scratch + COUNTER, counter + 1);
  store(cpu, scratch + WRITERS_IN, 0);
}

/** Inside a read hold: no writer is in. */
function* stayAsReader(cpu: Cpu, scratch: number): Steps<void> {
  if (load(cpu, scratch + WRITERS_IN) !== 0) broken("reader meets writer");
  const readers = load(cpu, scratch + READERS_IN) + 1;
  store(cpu, scratch + READERS_IN, readers);
  if (readers > load(cpu, scratch + MOST_READERS)) store(cpu, scratch + MOST_READERS, readers);
  yield* atomicLoad(cpu, scratch);
  if (load(cpu, scratch + WRITERS_IN) !== 0) broken("writer enters beside a reader");
  store(cpu, scratch + READERS_IN, load(cpu, scratch + READERS_IN) - 1);
}

export function lockConformance(kind: LockContract): void {
  const lab = createLab(kind.struct, kind.initLock);
  const { lock, cls, scratch } = lab;
  const counter = (): number => lab.words[scratch + COUNTER] as number;
  const { read, killable, downgrade } = kind;

  const writer: Program = function* (cpu) {
    for (let round = 0; round < ROUNDS; round++) {
      yield* kind.lockWrite(cpu, lock, cls);
      yield* stayAsWriter(cpu, scratch);
      yield* kind.unlockWrite(cpu, lock, cls);
    }
  };

  /** Returns how often it got the lock. */
  const tryingWriter: Program = function* (cpu) {
    let got = 0;
    for (let round = 0; round < ROUNDS; round++) {
      if (!(yield* kind.trylockWrite(cpu, lock, cls))) continue;
      got++;
      yield* stayAsWriter(cpu, scratch);
      yield* kind.unlockWrite(cpu, lock, cls);
    }
    return got;
  };

  /** The lock is free and works, and the statistics of the run add up. */
  function checkSettled(acquired: number): void {
    const totals = lab.totals();
    checkEqual("acquired", totals.acquired, acquired);
    checkAtMost("holds", totals.holds, totals.contended);
    checkAtMost("spinNs", totals.spinNs, totals.waitNs);
    checkAtMost("waitMaxNs", totals.waitMaxNs, totals.waitNs);
    checkAtMost("parked without waiting", Math.min(totals.parked, 1), totals.contended);
    checkEqual("writer", kind.writerOf(lab.words, lock), -1);
    const cpu = lab.solo(0);
    checkEqual("trylock", runToEnd(kind.trylockWrite(cpu, lock, cls)), true);
    checkEqual("writer", kind.writerOf(lab.words, lock), 0);
    runToEnd(kind.unlockWrite(cpu, lock, cls));
  }

  describe(kind.name, () => {
    test.each([2, 4])("%i writers exclude each other and all finish", (cpus) => {
      let contended = 0;
      let parked = 0;
      exploreSeeds(lab, Array(cpus).fill(writer), () => {
        checkEqual("counter", counter(), cpus * ROUNDS);
        contended += lab.totals().contended;
        parked += lab.totals().parked;
        checkSettled(cpus * ROUNDS);
      });
      expect(contended).toBeGreaterThan(0);
      expect(parked).toBeGreaterThan(0);
    });

    test("trylock beside waiting writers: takes the lock or leaves it, and never waits", () => {
      let got = 0;
      let failed = 0;
      exploreSeeds(lab, [writer, tryingWriter, writer, tryingWriter], (results) => {
        const tried = (results[1] as number) + (results[3] as number);
        got += tried;
        failed += lab.totals().tryFailed;
        checkEqual("tryFailed", lab.totals().tryFailed, 2 * ROUNDS - tried);
        checkEqual("counter", counter(), 2 * ROUNDS + tried);
        checkSettled(2 * ROUNDS + tried);
      });
      expect(got).toBeGreaterThan(0);
      expect(failed).toBeGreaterThan(0);
    });

    test("trylock fails while somebody holds it", () => {
      lab.reset();
      runToEnd(kind.lockWrite(lab.solo(0), lock, cls));
      expect(kind.writerOf(lab.words, lock)).toBe(0);
      expect(runToEnd(kind.trylockWrite(lab.solo(1), lock, cls))).toBe(false);
      expect(runToEnd(kind.trylockWrite(lab.solo(0), lock, cls))).toBe(false);
      runToEnd(kind.unlockWrite(lab.solo(0), lock, cls));
      expect(runToEnd(kind.trylockWrite(lab.solo(1), lock, cls))).toBe(true);
    });

    test("an unlock by somebody else, or of a free lock, is refused and changes nothing", () => {
      lab.reset();
      expect(() => runToEnd(kind.unlockWrite(lab.solo(3), lock, cls))).toThrow(/I7: .*CPU 3/);
      runToEnd(kind.lockWrite(lab.solo(1), lock, cls));
      expect(() => runToEnd(kind.unlockWrite(lab.solo(3), lock, cls))).toThrow(/I7: .*CPU 3/);
      expect(kind.writerOf(lab.words, lock)).toBe(1);
      runToEnd(kind.unlockWrite(lab.solo(1), lock, cls));
    });

    if (read) {
      const reader: Program = function* (cpu) {
        for (let round = 0; round < ROUNDS; round++) {
          yield* read.lockRead(cpu, lock, cls);
          yield* stayAsReader(cpu, scratch);
          yield* read.unlockRead(cpu, lock, cls);
        }
      };

      const tryingReader: Program = function* (cpu) {
        let got = 0;
        for (let round = 0; round < ROUNDS; round++) {
          if (!(yield* read.trylockRead(cpu, lock, cls))) continue;
          got++;
          yield* stayAsReader(cpu, scratch);
          yield* read.unlockRead(cpu, lock, cls);
        }
        return got;
      };

      test("readers share it, writers exclude everybody, all finish", () => {
        let most = 0;
        exploreSeeds(lab, [writer, reader, reader, writer], () => {
          checkEqual("counter", counter(), 2 * ROUNDS);
          most = Math.max(most, lab.words[scratch + MOST_READERS] as number);
          checkSettled(4 * ROUNDS);
        });
        expect(most).toBe(2);
      });

      test("trylock for reading beside readers and writers", () => {
        let got = 0;
        let failed = 0;
        exploreSeeds(lab, [writer, tryingReader, reader, tryingReader], (results) => {
          const tried = (results[1] as number) + (results[3] as number);
          got += tried;
          failed += lab.totals().tryFailed;
          checkSettled(2 * ROUNDS + tried);
        });
        expect(got).toBeGreaterThan(0);
        expect(failed).toBeGreaterThan(0);
      });

      test("a read unlock that nobody holds for reading is refused", () => {
        lab.reset();
        expect(() => runToEnd(read.unlockRead(lab.solo(3), lock, cls))).toThrow(/I7: .*CPU 3/);
      });
    }

    if (read?.recursive) {
      test("a reader nests inside itself while writers wait", () => {
        const nesting: Program = function* (cpu) {
          for (let round = 0; round < ROUNDS; round++) {
            yield* read.lockRead(cpu, lock, cls);
            yield* atomicLoad(cpu, scratch);
            yield* read.lockRead(cpu, lock, cls);
            yield* stayAsReader(cpu, scratch);
            yield* read.unlockRead(cpu, lock, cls);
            yield* read.unlockRead(cpu, lock, cls);
          }
        };
        exploreSeeds(lab, [nesting, writer, writer, nesting], () => checkSettled(6 * ROUNDS));
      });
    }

    if (killable) {
      test("a killed waiter leaves without the lock, and nobody is left asleep", () => {
        const killer: Program = function* (cpu) {
          yield* atomicLoad(cpu, scratch);
          yield* sendSigkill(cpu, 1);
        };
        const victim: Program = function* (cpu) {
          let got = 0;
          for (let round = 0; round < ROUNDS; round++) {
            if (!(yield* killable.lockWriteKillable(cpu, lock, cls))) continue;
            got++;
            yield* stayAsWriter(cpu, scratch);
            yield* kind.unlockWrite(cpu, lock, cls);
          }
          return got;
        };
        let killed = 0;
        exploreSeeds(lab, [writer, victim, killer, writer], (results) => {
          const got = results[1] as number;
          killed += ROUNDS - got;
          checkEqual("counter", counter(), 2 * ROUNDS + got);
          checkSettled(2 * ROUNDS + got);
        });
        expect(killed).toBeGreaterThan(0);
      });
    }

    if (read && downgrade) {
      test("a downgraded writer goes on as a reader with no writer in between", () => {
        const downgrading: Program = function* (cpu) {
          for (let round = 0; round < ROUNDS; round++) {
            yield* kind.lockWrite(cpu, lock, cls);
            yield* stayAsWriter(cpu, scratch);
            const before = load(cpu, scratch + COUNTER);
            yield* downgrade.downgradeToRead(cpu, lock, cls);
            if (load(cpu, scratch + COUNTER) !== before) broken("a writer came in between");
            yield* stayAsReader(cpu, scratch);
            yield* read.unlockRead(cpu, lock, cls);
          }
        };
        const reader: Program = function* (cpu) {
          for (let round = 0; round < ROUNDS; round++) {
            yield* read.lockRead(cpu, lock, cls);
            yield* stayAsReader(cpu, scratch);
            yield* read.unlockRead(cpu, lock, cls);
          }
        };
        let most = 0;
        exploreSeeds(lab, [downgrading, reader, downgrading, writer], () => {
          checkEqual("counter", counter(), 3 * ROUNDS);
          most = Math.max(most, lab.words[scratch + MOST_READERS] as number);
        });
        expect(most).toBeGreaterThanOrEqual(2);
      });
    }
  });
}
