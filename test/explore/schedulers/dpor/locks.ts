/** Small programs with the emulated kernel's locks, and with no more schedules than can all be run. */

import type { Cpu, Steps } from "../../../../src/arena/cpu.ts";
import { load, store } from "../../../../src/arena/mem.ts";
import type { Program } from "../../../../src/explore/program.ts";
import { lockClass } from "../../../../src/sync/lock-class.ts";
import { Mutex, mutexLock, mutexTrylock, mutexUnlock } from "../../../../src/sync/mutex.ts";
import { Spinlock, spinLock, spinTrylock, spinUnlock } from "../../../../src/sync/spinlock.ts";

const CLASS = lockClass("toy");
const COUNTER = 0;
const LOCK = 16;

function* count(cpu: Cpu): Steps<void> {
  store(cpu, COUNTER, load(cpu, COUNTER) + 1);
}

function* spinning(cpu: Cpu): Steps<void> {
  yield* spinLock(cpu, LOCK, CLASS);
  yield* count(cpu);
  yield* spinUnlock(cpu, LOCK, CLASS);
}

function* trying(cpu: Cpu): Steps<boolean> {
  if (!(yield* spinTrylock(cpu, LOCK, CLASS))) return false;
  yield* count(cpu);
  yield* spinUnlock(cpu, LOCK, CLASS);
  return true;
}

function* sleeping(cpu: Cpu): Steps<void> {
  yield* mutexLock(cpu, LOCK, CLASS);
  yield* count(cpu);
  yield* mutexUnlock(cpu, LOCK, CLASS);
}

function* tryingMutex(cpu: Cpu): Steps<boolean> {
  if (!(yield* mutexTrylock(cpu, LOCK, CLASS))) return false;
  yield* count(cpu);
  yield* mutexUnlock(cpu, LOCK, CLASS);
  return true;
}

function program(words: number, ...threads: Program["threads"]): Program {
  return { words: LOCK + words, threads };
}

export const lockPrograms: readonly { name: string; program: Program }[] = [
  { name: "two spin", program: program(Spinlock.WORDS, spinning, spinning) },
  { name: "two spin, one tries", program: program(Spinlock.WORDS, spinning, trying, trying) },
  { name: "two take a mutex", program: program(Mutex.WORDS, sleeping, sleeping) },
  { name: "one takes a mutex, one tries", program: program(Mutex.WORDS, sleeping, tryingMutex) },
];
