import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { addNs, CPU_PARKED, CPU_RUNNING, CPU_SPINNING, CpuSync, readNs, writeNs } from "../../src/sync/cpu-sync.ts";
import {
  beginPark,
  beginWait,
  endPark,
  endWait,
  noteAcquired,
  noteReleased,
  noteTryFailed,
} from "../../src/sync/lock-stat.ts";
import { Spinlock } from "../../src/sync/spinlock.ts";
import { createLab } from "./lock-lab.ts";

const lab = createLab(Spinlock);
const { lock, cls } = lab;

/** A CPU whose clock the test sets. */
function clockedCpu(id: number): { cpu: Cpu; at(ns: number): void } {
  let now = 0;
  const cpu = lab.solo(id);
  return {
    cpu: { ...cpu, port: { ...cpu.port, nowNs: () => now } },
    at: (ns) => {
      now = ns;
    },
  };
}

describe("two-word times", () => {
  test("add up exactly, whatever the parts", () => {
    const words = new Int32Array(2);
    fc.assert(
      fc.property(
        fc.array(
          fc.maxSafeNat().map((n) => n % 2 ** 40),
          { maxLength: 20 },
        ),
        (parts) => {
          words.fill(0);
          for (const part of parts) addNs(words, 0, part);
          expect(readNs(words, 0)).toBe(parts.reduce((a, b) => a + b, 0));
        },
      ),
    );
  });

  test("are set to a value", () => {
    const words = new Int32Array([5, 7]);
    writeNs(words, 0, 2 ** 33 + 1);
    expect(readNs(words, 0)).toBe(2 ** 33 + 1);
  });
});

test("a wait: spun, slept, granted, held", () => {
  lab.reset();
  const { cpu, at } = clockedCpu(1);
  const state = (): number | undefined => cpu.words[cpu.sync + CpuSync.state];
  at(1000);
  const since = beginWait(cpu, lock, cls);
  expect(state()).toBe(CPU_SPINNING);
  expect(cpu.words[cpu.sync + CpuSync.awaited]).toBe(lock);
  expect(cpu.words[cpu.sync + CpuSync.awaitedClass]).toBe(cls);
  at(1300);
  const parkedAt = beginPark(cpu, cls);
  expect(state()).toBe(CPU_PARKED);
  at(2100);
  const parkedNs = endPark(cpu, parkedAt);
  expect(parkedNs).toBe(800);
  at(2200);
  endWait(cpu, cls, since, parkedNs, true);
  noteAcquired(cpu, cls);
  expect(state()).toBe(CPU_RUNNING);
  expect(cpu.words[cpu.sync + CpuSync.awaited]).toBe(0);
  // Longer than one word of a time can say.
  at(2200 + 5_000_000_000);
  noteReleased(cpu, cls);
  expect(lab.totals()).toEqual({
    acquired: 1,
    contended: 1,
    waitNs: 1200,
    waitMaxNs: 1200,
    spinNs: 400,
    parked: 1,
    holdNs: 5_000_000_000 - 1 + 0,
    holds: 1,
    tryFailed: 0,
  });
});

test("an uncontended hold is not timed, a refused wait starts no hold, and CPUs are summed", () => {
  lab.reset();
  const first = clockedCpu(0);
  const second = clockedCpu(1);
  noteAcquired(first.cpu, cls);
  noteReleased(first.cpu, cls);
  noteTryFailed(second.cpu, cls);
  for (const { cpu, at } of [first, second]) {
    at(100);
    const since = beginWait(cpu, lock, cls);
    at(cpu.id === 0 ? 150 : 400);
    endWait(cpu, cls, since, 0, false);
    noteReleased(cpu, cls);
  }
  expect(lab.totals()).toMatchObject({
    acquired: 1,
    contended: 2,
    waitNs: 350,
    waitMaxNs: 300,
    spinNs: 350,
    holds: 0,
    holdNs: 0,
    tryFailed: 1,
  });
});
