/** Small programs over the seam, generated: atomics, sleeps, wakes and timers of a few CPUs on a few words. */

import fc from "fast-check";
import type { Cpu, Steps } from "../../../../src/arena/cpu.ts";
import {
  atomicAdd,
  atomicLoad,
  atomicStore,
  cmpxchg,
  fetchAdd,
  futexWait,
  futexWake,
  NO_TIMEOUT,
  nowUs,
  WAKE_ALL,
  xchg,
} from "../../../../src/arena/mem.ts";
import type { Program } from "../../../../src/explore/program.ts";

export interface Instruction {
  readonly op:
    | "load"
    | "store"
    | "add"
    | "count"
    | "cmpxchg"
    | "xchg"
    | "wait"
    | "sleep"
    | "wake"
    | "wakeAll"
    | "clock";
  readonly word: number;
  readonly value: number;
  /** Left out when the CPU's register holds 0. */
  readonly conditional: boolean;
}

const WORDS = 2;
const OPS = ["load", "store", "add", "count", "cmpxchg", "xchg", "wait", "sleep", "wake", "wakeAll", "clock"] as const;

/** Two to four threads, with as many instructions in all as naive enumeration can bear. */
export const programs = fc
  .array(
    fc.array(
      fc.record({
        op: fc.constantFrom(...OPS),
        word: fc.nat({ max: WORDS - 1 }),
        value: fc.nat({ max: 2 }),
        conditional: fc.boolean(),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    { minLength: 2, maxLength: 4 },
  )
  .filter((threads) => threads.reduce((sum, { length }) => sum + length, 0) <= 9);

/** `onClockRead` hears of each instruction that reads the clock. */
export function generated(threads: readonly (readonly Instruction[])[], onClockRead: () => void): Program {
  return {
    words: WORDS + threads.length,
    threads: threads.map((code) => (cpu) => run(cpu, code, onClockRead)),
    code: JSON.stringify(threads),
  };
}

/** The register goes to a word of the CPU's own at the end, so that what it saw is part of the final state. */
function* run(cpu: Cpu, code: readonly Instruction[], onClockRead: () => void): Steps<void> {
  let register = 1;
  for (const instruction of code) {
    if (instruction.conditional && register === 0) continue;
    register = yield* execute(cpu, instruction, register, onClockRead);
  }
  cpu.words[WORDS + cpu.id] = register;
}

function* execute(
  cpu: Cpu,
  { op, word, value }: Instruction,
  register: number,
  onClockRead: () => void,
): Steps<number> {
  switch (op) {
    case "load":
      return yield* atomicLoad(cpu, word);
    case "store":
      yield* atomicStore(cpu, word, value);
      return register;
    case "add":
      return yield* fetchAdd(cpu, word, value);
    case "count":
      yield* atomicAdd(cpu, word, value);
      return register;
    case "cmpxchg":
      return yield* cmpxchg(cpu, word, value, value + 1);
    case "xchg":
      return yield* xchg(cpu, word, value);
    case "wait":
      return 3 + (yield* futexWait(cpu, word, value, NO_TIMEOUT));
    case "sleep":
      return 3 + (yield* futexWait(cpu, word, value, 1 + value));
    case "wake":
      return yield* futexWake(cpu, word, 1);
    case "wakeAll":
      return yield* futexWake(cpu, word, WAKE_ALL);
    case "clock":
      // A step of its own, which always reads the clock: whether a step does must not depend on what it saw.
      yield* atomicStore(cpu, WORDS + cpu.id, 0);
      onClockRead();
      return nowUs(cpu);
  }
}
