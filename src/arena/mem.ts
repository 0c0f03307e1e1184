/**
 * The one seam to shared memory. Nothing else in the emulated kernel names `Atomics`.
 *
 * Each generator here is one shared operation behind one scheduling point: it announces kind, word and operands,
 * yields, then does the operation. Builds differ only here: `yield` is kept (interleaved), removed (parallel,
 * stress) or turned into a gate (forced). `load` and `store` are plain accesses, for words that a lock or
 * ownership protects; they are no scheduling points.
 *
 * JS atomics are sequentially consistent, so the kernel's acquire/release/relaxed forms are all the same here.
 */

import { Violation } from "../base/errors.ts";
import type { Cpu, Steps } from "./cpu.ts";

/** Kinds of shared operation, as a scheduler sees them in the pending registers. */
export const OP_NONE = 0;
export const OP_LOAD = 1;
/** operand a: new value */
export const OP_STORE = 2;
/** operand a: addend */
export const OP_ADD = 3;
export const OP_OR = 4;
export const OP_AND = 5;
export const OP_XCHG = 6;
/** operands a: expected, b: new value */
export const OP_CMPXCHG = 7;
/** Bounded spin. operand a: value that is waited away, b: budget. Run while the word holds it: budget spent. */
export const OP_SPIN = 8;
/** Futex wait. operand a: value that must still be there, b: timeout in emulated microseconds. */
export const OP_WAIT = 9;
/** Futex wake. operand a: how many at most. */
export const OP_WAKE = 10;
export const OP_NAMES = [
  "none",
  "load",
  "store",
  "add",
  "or",
  "and",
  "xchg",
  "cmpxchg",
  "spin",
  "wait",
  "wake",
] as const;

/** Operand b of a load or store that orders nothing: `hint`, and a plain access that an engine made a scheduling point. */
export const UNORDERED = 1;

/** `futexWait` results. */
export const WAIT_WOKEN = 0;
export const WAIT_NOT_EQUAL = 1;
export const WAIT_TIMED_OUT = 2;
/** Timeout operand: wait for ever. */
export const NO_TIMEOUT = -1;
/** Wake count operand: everybody. */
export const WAKE_ALL = 0x7fffffff;

/** What freed objects are filled with in CHECKED builds; no live word ever holds it. */
export const POISON = 0xdead4ead | 0;

/** CHECKED: stops when the word belongs to a freed object. The CPU's `describe` words the report. */
function checkLive(cpu: Cpu, word: number): void {
  if (cpu.words[word] === POISON) stopUseAfterFree(cpu, word);
}

function stopUseAfterFree(cpu: Cpu, word: number): never {
  const what = cpu.describe?.(word) ?? `word ${word}`;
  throw new Violation("I1", `use after free by CPU ${cpu.id}: ${what}`);
}

/** STEPPED and GATED: says what this CPU is about to do. */
function announce(cpu: Cpu, kind: number, word: number, a: number, b: number): void {
  const pending = cpu.port.pending;
  pending[0] = kind;
  pending[1] = word;
  pending[2] = a;
  pending[3] = b;
}

/** Runs after the scheduling point, right before the operation. */
function proceed(cpu: Cpu, word: number): void {
  if (STEPPED) cpu.port.granted();
  if (CHECKED) checkLive(cpu, word);
}

/** Plain load of a word that a lock held by this CPU, or ownership, protects. */
export function load(cpu: Cpu, word: number): number {
  if (CHECKED) checkLive(cpu, word);
  if (STEPPED) cpu.port.plain?.read(cpu.id, word);
  return cpu.words[word] as number;
}

/**
 * Plain load of a word that others may write meanwhile, as the kernel marks it with data_race(): for looks that no value
 * somebody else writes can mislead. No scheduling point, and no race to the detector.
 */
export function racyLoad(cpu: Cpu, word: number): number {
  if (CHECKED) checkLive(cpu, word);
  return cpu.words[word] as number;
}

/** Plain store to a word that a lock held by this CPU, or ownership, protects. */
export function store(cpu: Cpu, word: number, value: number): void {
  if (CHECKED) checkLive(cpu, word);
  if (STEPPED) cpu.port.plain?.write(cpu.id, word, value);
  cpu.words[word] = value;
}

/** CHECKED: the word's object is free. A plain write, so whoever gets at the word unordered with this races with it. */
export function poison(cpu: Cpu, word: number): void {
  if (STEPPED) cpu.port.plain?.write(cpu.id, word, POISON);
  cpu.words[word] = POISON;
}

/** Atomic load. */
export function* atomicLoad(cpu: Cpu, word: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_LOAD, word, 0, 0);
  yield;
  proceed(cpu, word);
  return Atomics.load(cpu.words, word);
}

/** Atomic store. */
export function* atomicStore(cpu: Cpu, word: number, value: number): Steps<void> {
  if (STEPPED || GATED) announce(cpu, OP_STORE, word, value, 0);
  yield;
  proceed(cpu, word);
  Atomics.store(cpu.words, word, value);
}

/**
 * Keeps `mask` of the word and sets `bits` in it. For hints: words that readers use to guess, where any value ever
 * written is safe (a lock's owner, as spinners see it). A scheduling point like every store, but measured builds do it
 * with plain accesses, as the kernel does with WRITE_ONCE: two CPUs that write at once can lose one of the values.
 */
export function* hint(cpu: Cpu, word: number, mask: number, bits: number): Steps<void> {
  if (STEPPED || GATED) announce(cpu, OP_STORE, word, bits, UNORDERED);
  yield;
  proceed(cpu, word);
  cpu.words[word] = ((cpu.words[word] as number) & mask) | bits;
}

/** Adds and returns the old value. */
export function* fetchAdd(cpu: Cpu, word: number, addend: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_ADD, word, addend, 0);
  yield;
  proceed(cpu, word);
  return Atomics.add(cpu.words, word, addend);
}

/** Second operand of OP_ADD: nobody looks at what the add returns. Two such adds to a word may come in either order. */
export const RESULT_UNUSED = 1;

/** Adds. */
export function* atomicAdd(cpu: Cpu, word: number, addend: number): Steps<void> {
  if (STEPPED || GATED) announce(cpu, OP_ADD, word, addend, RESULT_UNUSED);
  yield;
  proceed(cpu, word);
  Atomics.add(cpu.words, word, addend);
}

/** Sets bits and returns the old value. */
export function* fetchOr(cpu: Cpu, word: number, bits: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_OR, word, bits, 0);
  yield;
  proceed(cpu, word);
  return Atomics.or(cpu.words, word, bits);
}

/** Keeps only `mask` and returns the old value. */
export function* fetchAnd(cpu: Cpu, word: number, mask: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_AND, word, mask, 0);
  yield;
  proceed(cpu, word);
  return Atomics.and(cpu.words, word, mask);
}

/** Swaps and returns the old value. */
export function* xchg(cpu: Cpu, word: number, value: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_XCHG, word, value, 0);
  yield;
  proceed(cpu, word);
  return Atomics.exchange(cpu.words, word, value);
}

/** Stores `value` if the word holds `expected`; returns the old value either way. */
export function* cmpxchg(cpu: Cpu, word: number, expected: number, value: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_CMPXCHG, word, expected, value);
  yield;
  proceed(cpu, word);
  return Atomics.compareExchange(cpu.words, word, expected, value);
}

/** `Atomics.pause` where the engine has it (V8 13.3 and later), else a short dependent loop. */
const pause: () => void =
  (Atomics as { pause?: () => void }).pause ??
  ((): void => {
    for (let i = 0; i < 8; i++) idle = (idle * 5 + 1) | 0;
  });
let idle = 1;

/**
 * Turns the word from `owned` to `value`; false, and nothing done, when it holds something else. For words that, while
 * they hold `owned`, nobody but this CPU may touch, such as the count of a page of which it has the only reference.
 *
 * That is why measured builds do it with plain accesses (an atomic operation costs JavaScript a call): whoever sees
 * `owned` is alone. All other builds do a compareExchange, so a second one who believes to be the owner is caught.
 */
export function* exchangeOwned(cpu: Cpu, word: number, owned: number, value: number): Steps<boolean> {
  if (STEPPED || GATED) announce(cpu, OP_CMPXCHG, word, owned, value);
  yield;
  proceed(cpu, word);
  if (CHECKED) return Atomics.compareExchange(cpu.words, word, owned, value) === owned;
  if (cpu.words[word] !== owned) return false;
  cpu.words[word] = value;
  return true;
}

/**
 * Waits while the word holds `value`, for at most `budget` pauses; returns the value seen last. A scheduler that
 * runs this operation while the word still holds `value` has chosen "the budget ran out".
 */
export function* spinWhile(cpu: Cpu, word: number, value: number, budget: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_SPIN, word, value, budget);
  yield;
  proceed(cpu, word);
  let seen = Atomics.load(cpu.words, word);
  if (STEPPED || GATED) return seen;
  for (let i = 0; i < budget && seen === value; i++) {
    pause();
    seen = Atomics.load(cpu.words, word);
  }
  return seen;
}

/**
 * Sleeps until woken if the word still holds `value`: WAIT_WOKEN, WAIT_NOT_EQUAL or WAIT_TIMED_OUT.
 * `timeoutUs` counts emulated kernel microseconds; NO_TIMEOUT waits for ever.
 */
export function* futexWait(cpu: Cpu, word: number, value: number, timeoutUs: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_WAIT, word, value, timeoutUs);
  yield;
  proceed(cpu, word);
  if (STEPPED || GATED) {
    if (Atomics.load(cpu.words, word) !== value) return WAIT_NOT_EQUAL;
    cpu.port.park(word, timeoutUs);
    if (STEPPED) {
      yield;
      cpu.port.granted();
    }
    return cpu.port.parkResult();
  }
  const timeoutMs = timeoutUs === NO_TIMEOUT ? Number.POSITIVE_INFINITY : timeoutUs / cpu.port.usPerNs / 1e6;
  const result = Atomics.wait(cpu.words, word, value, timeoutMs);
  return result === "ok" ? WAIT_WOKEN : result === "not-equal" ? WAIT_NOT_EQUAL : WAIT_TIMED_OUT;
}

/** Wakes up to `count` CPUs that sleep on the word, first come first served; returns how many. */
export function* futexWake(cpu: Cpu, word: number, count: number): Steps<number> {
  if (STEPPED || GATED) announce(cpu, OP_WAKE, word, count, 0);
  yield;
  proceed(cpu, word);
  if (STEPPED || GATED) return cpu.port.wake(word, count);
  return Atomics.notify(cpu.words, word, count);
}

/**
 * Sets bits and returns the old value, unannounced: for the checkers' own words, which no emulated code reads, so
 * that watching a program adds no scheduling point to it.
 */
export function probeOr(words: Int32Array, word: number, bits: number): number {
  return Atomics.or(words, word, bits);
}

/** Adds and returns the old value, unannounced, as `probeOr`. */
export function probeAdd(words: Int32Array, word: number, addend: number): number {
  return Atomics.add(words, word, addend);
}

/** Nanoseconds on this CPU's clock; for statistics, never for decisions. No scheduling point. */
export function nowNs(cpu: Cpu): number {
  return cpu.port.nowNs();
}

/** Emulated kernel microseconds on this CPU's clock (a kernel second may be shorter than a real one). */
export function nowUs(cpu: Cpu): number {
  if (STEPPED) cpu.port.readsClock();
  return cpu.port.nowNs() * cpu.port.usPerNs;
}

/** Passes `ns` nanoseconds of this CPU's clock doing nothing; nothing at all where the engine owns the clock. */
export function busyWait(cpu: Cpu, ns: number): void {
  if (STEPPED || GATED) return;
  const until = cpu.port.nowNs() + ns;
  while (cpu.port.nowNs() < until) pause();
}

/**
 * Runs one CPU's steps to the end without a scheduler: for boot, single-CPU programs and tests.
 * In stripped builds the steps have already run and their result is passed through.
 */
export function runToEnd<T>(steps: Steps<T>): T {
  if (!STEPPED) return steps as unknown as T;
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
