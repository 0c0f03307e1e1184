/**
 * A toy kernel for the engines' own tests: a few words, a few roles, no emulated machine.
 * It has the shape of `src/kernel.ts`, so the engines cannot tell it from the real one.
 */

import { ARENA_START, attachArena, createArena } from "../../../src/arena/arena.ts";
import type { Cpu, Port, Steps } from "../../../src/arena/cpu.ts";
import {
  atomicLoad,
  atomicStore,
  cmpxchg,
  fetchAdd,
  futexWait,
  futexWake,
  NO_TIMEOUT,
  nowUs,
  spinWhile,
  WAKE_ALL,
} from "../../../src/arena/mem.ts";
import { type MemoryMap, planMemory, regionOf } from "../../../src/arena/region.ts";
import { CACHE_PAIR, struct } from "../../../src/arena/struct.ts";
import { Violation } from "../../../src/base/errors.ts";
import { Random } from "../../../src/base/random.ts";
import type { SyncPlace } from "../../../src/explore/wait-for.ts";
import type { KernelModule } from "../../../src/run/messages.ts";
import { CpuSync } from "../../../src/sync/cpu-sync.ts";
import { lockClass, lockClassNames } from "../../../src/sync/lock-class.ts";
import { noteProgress } from "../../../src/sync/lock-stat.ts";
import { park, unpark } from "../../../src/sync/park.ts";
import { spinLock, spinOwner, spinUnlock } from "../../../src/sync/spinlock.ts";
import { syncCpu } from "../../../src/sync/sync-cpu.ts";

export const Toy = struct("toy", {
  lockA: { words: 1, align: CACHE_PAIR },
  lockB: { words: 1, align: CACHE_PAIR },
  /** Guarded by lockA. */
  counter: { words: 1, align: CACHE_PAIR },
  tally: { words: 1, align: CACHE_PAIR },
  gate: { words: 1, align: CACHE_PAIR },
  /** Last results, one word per CPU. */
  notes: { words: 16, align: CACHE_PAIR },
});

const CLASS_A = lockClass("toyA");
const CLASS_B = lockClass("toyB");

export interface ToyMachine {
  readonly cpus: number;
}

function toyMap(machine: ToyMachine): MemoryMap {
  const requests = [
    { name: "sync", struct: CpuSync, count: machine.cpus },
    { name: "toy", struct: Toy, count: 1 },
  ];
  return planMemory(requests, ARENA_START);
}

export function createToy(machine: ToyMachine): Int32Array {
  return createArena(toyMap(machine));
}

/** Word address of a field of the toy. */
export function toyWord(machine: ToyMachine, field: number): number {
  return regionOf(toyMap(machine), "toy").base + field;
}

export function toySync(words: Int32Array, machine: ToyMachine): SyncPlace {
  const { base } = regionOf(toyMap(machine), "sync");
  const place = { words, base, stride: CpuSync.WORDS, cpus: machine.cpus, classNames: lockClassNames() };
  return { ...place, ownerOf: spinOwner };
}

export function toyCpu(words: Int32Array, machine: ToyMachine, id: number, port: Port): Cpu {
  const map = toyMap(machine);
  return { ...syncCpu(words, regionOf(map, "sync").base, id, port), machine: regionOf(map, "toy").base };
}

/** Adds to a counter that only the lock protects. */
export function* increment(cpu: Cpu, params: { times: number }): Steps<{ counter: number }> {
  const lock = cpu.machine + Toy.lockA;
  const counter = cpu.machine + Toy.counter;
  for (let i = 0; i < params.times; i++) {
    yield* spinLock(cpu, lock, CLASS_A);
    cpu.words[counter] = (cpu.words[counter] as number) + 1;
    yield* spinUnlock(cpu, lock, CLASS_A);
  }
  return { counter: yield* atomicLoad(cpu, counter) };
}

/** Adds without a lock, by a load and a store: loses updates. */
export function* carelessIncrement(cpu: Cpu, params: { times: number }): Steps<void> {
  const counter = cpu.machine + Toy.counter;
  for (let i = 0; i < params.times; i++) {
    const seen = yield* atomicLoad(cpu, counter);
    yield* atomicStore(cpu, counter, seen + 1);
  }
}

/** Seeded mixture of everything that blocks, wakes, waits with a time limit, or spins. */
export function* mix(cpu: Cpu, params: { seed: number; operations: number; cpus: number }): Steps<{ draws: number }> {
  const random = new Random(params.seed * 31 + cpu.id);
  const at = cpu.machine;
  const note = at + Toy.notes + cpu.id;
  for (let i = 0; i < params.operations; i++) {
    const draw = random.below(8);
    if (draw < 2) {
      yield* increment(cpu, { times: 1 });
    } else if (draw === 2) {
      const old = yield* fetchAdd(cpu, at + Toy.tally, cpu.id + 1);
      cpu.words[note] = Math.imul(cpu.words[note] as number, 31) + old;
    } else if (draw === 3) {
      const woken = yield* park(cpu, 1 + random.below(50));
      cpu.words[note] = Math.imul(cpu.words[note] as number, 31) + (woken ? 1 : 2);
    } else if (draw === 4) {
      yield* unpark(cpu, random.below(params.cpus));
    } else if (draw === 5) {
      const result = yield* futexWait(cpu, at + Toy.gate, random.below(2), 1 + random.below(20));
      cpu.words[note] = Math.imul(cpu.words[note] as number, 31) + result + Math.floor(nowUs(cpu));
    } else if (draw === 6) {
      yield* fetchAdd(cpu, at + Toy.gate, 1);
      const woken = yield* futexWake(cpu, at + Toy.gate, random.below(2) === 0 ? 1 : WAKE_ALL);
      cpu.words[note] = Math.imul(cpu.words[note] as number, 31) + woken;
    } else {
      const seen = yield* spinWhile(cpu, at + Toy.tally, random.below(4), 10);
      cpu.words[note] = Math.imul(cpu.words[note] as number, 31) + seen;
    }
  }
  return { draws: random.next() };
}

/** Takes two locks, in opposite orders on even and odd CPUs. */
export function* crossLocks(cpu: Cpu, params: { times: number }): Steps<void> {
  const a = cpu.machine + Toy.lockA;
  const b = cpu.machine + Toy.lockB;
  for (let i = 0; i < params.times; i++) {
    if (cpu.id % 2 === 0) {
      yield* spinLock(cpu, a, CLASS_A);
      yield* spinLock(cpu, b, CLASS_B);
      yield* spinUnlock(cpu, b, CLASS_B);
      yield* spinUnlock(cpu, a, CLASS_A);
    } else {
      yield* spinLock(cpu, b, CLASS_B);
      yield* spinLock(cpu, a, CLASS_A);
      yield* spinUnlock(cpu, a, CLASS_A);
      yield* spinUnlock(cpu, b, CLASS_B);
    }
  }
}

/** Sleeps and nobody wakes it. */
export function* parkForever(cpu: Cpu, _params: object): Steps<void> {
  yield* park(cpu, NO_TIMEOUT);
}

/** Takes the lock and never lets go; runs on or sleeps while it has it. */
export function* hoardLock(cpu: Cpu, params: { sleep: boolean }): Steps<void> {
  yield* spinLock(cpu, cpu.machine + Toy.lockA, CLASS_A);
  for (;;) {
    if (params.sleep) yield* futexWait(cpu, cpu.machine + Toy.gate, 0, NO_TIMEOUT);
    else yield* spinWhile(cpu, cpu.machine + Toy.gate, 0, 1000);
  }
}

/** Spins for a word that nobody writes. */
export function* spinForever(cpu: Cpu, _params: object): Steps<void> {
  while ((yield* cmpxchg(cpu, cpu.machine + Toy.gate, 1, 0)) !== 1) {
    yield* spinWhile(cpu, cpu.machine + Toy.gate, 0, 1000);
  }
}

/** Works in small bites until the time, in milliseconds of its own clock, is over. */
export function* workFor(cpu: Cpu, params: { ms: number }): Steps<{ bites: number }> {
  const end = nowUs(cpu) + params.ms * 1000;
  let bites = 0;
  while (nowUs(cpu) < end) {
    yield* fetchAdd(cpu, cpu.machine + Toy.tally, 1);
    noteProgress(cpu);
    bites++;
  }
  return { bites };
}

/** Runs until the word `gate` is set: the way in which roles see a request to stop. */
export function* untilStopped(cpu: Cpu, _params: object): Steps<{ stopped: boolean }> {
  while ((yield* atomicLoad(cpu, cpu.machine + Toy.gate)) === 0) noteProgress(cpu);
  return { stopped: true };
}

export function* fail(cpu: Cpu, params: { how: "violation" | "error" | "exit" }): Steps<void> {
  yield* fetchAdd(cpu, cpu.machine + Toy.tally, 1);
  if (params.how === "violation") throw new Violation("I4", "a toy was broken");
  if (params.how === "error") throw new TypeError("a toy threw");
  process.exit(7);
}

/** Never comes to another scheduling point. */
export function* neverYield(cpu: Cpu, _params: object): Steps<void> {
  yield* fetchAdd(cpu, cpu.machine + Toy.tally, 1);
  while (cpu.words[cpu.machine + Toy.gate] === 0);
}

export const toyKernel: KernelModule = {
  roles: {
    increment,
    carelessIncrement,
    mix,
    crossLocks,
    parkForever,
    hoardLock,
    spinForever,
    workFor,
    untilStopped,
    neverYield,
    fail,
  },
  attachCpu(buffer, machine, id, port) {
    const toy = machine as ToyMachine;
    return toyCpu(attachArena(buffer, toyMap(toy)), toy, id, port);
  },
};
