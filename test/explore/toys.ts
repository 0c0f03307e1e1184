/** Small programs for the explorer's own tests. */

import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, futexWait, futexWake, NO_TIMEOUT } from "../../src/arena/mem.ts";
import type { Program } from "../../src/explore/program.ts";

/** Word 0 counts; every thread reads it, then writes it, `times` times. */
export function careless(threads: number, times: number): Program {
  function* addOne(cpu: Cpu): Steps<void> {
    for (let i = 0; i < times; i++) yield* atomicStore(cpu, 0, (yield* atomicLoad(cpu, 0)) + 1);
  }
  return {
    words: 1,
    threads: Array.from({ length: threads }, () => addOne),
    check: ([counter]) => {
      if (counter !== threads * times) throw new Error(`${counter} of ${threads * times} counted`);
    },
    describe: () => "counter",
  };
}

/** As `careless`, with compareExchange. */
export function careful(threads: number, times: number): Program {
  function* addOne(cpu: Cpu): Steps<void> {
    for (let done = 0; done < times; ) {
      const seen = yield* atomicLoad(cpu, 0);
      if ((yield* cmpxchg(cpu, 0, seen, seen + 1)) === seen) done++;
    }
  }
  return { ...careless(threads, times), threads: Array.from({ length: threads }, () => addOne) };
}

/** Two threads of `steps` loads of words of their own: every order of them is an execution of its own. */
export function bystanders(threads: number, steps: number): Program {
  const look = (word: number) =>
    function* looks(cpu: Cpu): Steps<void> {
      for (let i = 0; i < steps; i++) yield* atomicLoad(cpu, word);
    };
  return { words: threads, threads: Array.from({ length: threads }, (_, word) => look(word)) };
}

/** The flag is set and the sleeper woken between its look at the flag and its sleep, unless the sleep looks again. */
export function sleeper(looksAgain: boolean): Program {
  const FLAG = 0;
  const DOOR = 1;
  function* sleeps(cpu: Cpu): Steps<void> {
    const seen = looksAgain ? yield* atomicLoad(cpu, DOOR) : 0;
    if ((yield* atomicLoad(cpu, FLAG)) === 1) return;
    yield* futexWait(cpu, DOOR, seen, NO_TIMEOUT);
  }
  function* wakes(cpu: Cpu): Steps<void> {
    yield* atomicStore(cpu, FLAG, 1);
    if (looksAgain) yield* atomicStore(cpu, DOOR, 1);
    yield* futexWake(cpu, DOOR, 1);
  }
  return { words: 2, threads: [sleeps, wakes] };
}
