import { describe, expect, test } from "vitest";
import { atomicLoad, atomicStore, runToEnd } from "../../src/arena/mem.ts";
import {
  Rwlock,
  readLock,
  readTrylock,
  readUnlock,
  rwlockReaders,
  rwlockWriter,
  writeLock,
  writeTrylock,
  writeUnlock,
} from "../../src/sync/rwlock.ts";
import { createLab, exploreSeeds, type Program } from "./lock-lab.ts";

const lab = createLab(Rwlock);
const { lock, cls, scratch } = lab;

describe("misuse", () => {
  test("unlocking names the holder", () => {
    lab.reset();
    expect(() => runToEnd(readUnlock(lab.solo(3), lock, cls))).toThrow(
      "I7: readUnlock: not held by CPU 3, but by nobody",
    );
    runToEnd(writeLock(lab.solo(1), lock, cls));
    expect(() => runToEnd(readUnlock(lab.solo(3), lock, cls))).toThrow(
      "I7: readUnlock: not held by CPU 3, but by CPU 1",
    );
    expect(() => runToEnd(writeUnlock(lab.solo(3), lock, cls))).toThrow(
      "I7: writeUnlock: not held by CPU 3, but by CPU 1",
    );
  });

  test("a writer that asks again is stopped", () => {
    lab.reset();
    runToEnd(writeLock(lab.solo(1), lock, cls));
    expect(() => runToEnd(writeLock(lab.solo(1), lock, cls))).toThrow("I8: writeLock: CPU 1 already holds it");
    expect(() => runToEnd(readLock(lab.solo(1), lock, cls))).toThrow("I8: readLock: CPU 1 already holds it");
  });
});

test("the word counts read holds, nested ones too", () => {
  lab.reset();
  const cpu = lab.solo(0);
  runToEnd(readLock(cpu, lock, cls));
  runToEnd(readLock(cpu, lock, cls));
  expect(runToEnd(readTrylock(lab.solo(1), lock, cls))).toBe(true);
  expect(rwlockReaders(lab.words, lock)).toBe(3);
  expect(rwlockWriter(lab.words, lock)).toBe(-1);
  expect(runToEnd(writeTrylock(lab.solo(2), lock, cls))).toBe(false);
  runToEnd(readUnlock(cpu, lock, cls));
  runToEnd(readUnlock(lab.solo(1), lock, cls));
  runToEnd(readUnlock(cpu, lock, cls));
  expect(lab.words[lock]).toBe(0);
  expect(lab.totals()).toMatchObject({ acquired: 3, contended: 0, tryFailed: 1 });
});

test("a reader gets in while a writer sleeps on the lock, and the writer still gets its turn", () => {
  const firstReader: Program = function* (cpu) {
    yield* readLock(cpu, lock, cls);
    yield* atomicStore(cpu, scratch, 1);
    while (lab.totals().parked === 0 || (yield* atomicLoad(cpu, scratch)) < 2) yield* atomicLoad(cpu, scratch);
    yield* readUnlock(cpu, lock, cls);
  };
  const writer: Program = function* (cpu) {
    while ((yield* atomicLoad(cpu, scratch)) === 0) yield* atomicLoad(cpu, scratch);
    yield* writeLock(cpu, lock, cls);
    yield* writeUnlock(cpu, lock, cls);
  };
  const lateReader: Program = function* (cpu) {
    while (lab.totals().parked === 0) yield* atomicLoad(cpu, scratch);
    yield* readLock(cpu, lock, cls);
    yield* atomicStore(cpu, scratch, 2);
    yield* readUnlock(cpu, lock, cls);
  };
  exploreSeeds(lab, [firstReader, writer, lateReader]);
});

test("the word of a free lock is 0, also after readers and writers slept on it", () => {
  const reader: Program = function* (cpu) {
    for (let round = 0; round < 2; round++) {
      yield* readLock(cpu, lock, cls);
      yield* atomicLoad(cpu, scratch);
      yield* readUnlock(cpu, lock, cls);
    }
  };
  const writer: Program = function* (cpu) {
    for (let round = 0; round < 2; round++) {
      yield* writeLock(cpu, lock, cls);
      yield* atomicLoad(cpu, scratch);
      yield* writeUnlock(cpu, lock, cls);
    }
  };
  let parked = 0;
  exploreSeeds(lab, [reader, writer, reader, writer], () => {
    parked += lab.totals().parked;
    if (lab.words[lock] !== 0) expect.fail(`the word is ${lab.words[lock]}`);
  });
  expect(parked).toBeGreaterThan(0);
});
