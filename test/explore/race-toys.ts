/** Programs with plain accesses for the race detector's tests: some race, some do not. */

import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import {
  atomicLoad,
  atomicStore,
  cmpxchg,
  fetchAdd,
  futexWait,
  futexWake,
  hint,
  load,
  poison,
  spinWhile,
  store,
  xchg,
} from "../../src/arena/mem.ts";
import type { Program } from "../../src/explore/program.ts";
import { lockClass } from "../../src/sync/lock-class.ts";
import type { LockContract } from "../../src/sync/lock-contract.ts";

const CLS = lockClass("race toys");
/** Words of the toys. */
export const DATA = 0;
export const FLAG = 1;
export const OTHER = 2;
const LOCK = 32;
const NAMES = new Map([
  [DATA, "data"],
  [FLAG, "flag"],
  [OTHER, "other"],
]);

type Thread = (cpu: Cpu) => Steps<unknown>;

export function toy(threads: readonly Thread[], more: Partial<Program> = {}): Program {
  return { words: 64, threads, describe: (word) => NAMES.get(word) ?? `word ${word}`, ...more };
}

/** Every thread adds 1 `times` times, without a lock. */
export function unlocked(threads: number, times: number): Program {
  function* addOne(cpu: Cpu): Steps<void> {
    for (let i = 0; i < times; i++) {
      yield* atomicLoad(cpu, OTHER + 1 + cpu.id);
      store(cpu, DATA, load(cpu, DATA) + 1);
    }
  }
  return toy(Array(threads).fill(addOne), {
    check: (words) => {
      if (words[DATA] !== threads * times) throw new Error(`${words[DATA]} of ${threads * times} counted`);
    },
  });
}

/** Every thread adds 1 twice under the lock; the last one forgets it where `forgets` says so. */
export function locked(lock: LockContract, forgets = false, threads = 3): Program {
  const addOne = (careless: boolean): Thread =>
    function* addsOne(cpu: Cpu): Steps<void> {
      for (let i = 0; i < 2; i++) {
        if (!careless) yield* lock.lockWrite(cpu, LOCK, CLS);
        store(cpu, DATA, load(cpu, DATA) + 1);
        if (!careless) yield* lock.unlockWrite(cpu, LOCK, CLS);
        else yield* atomicLoad(cpu, OTHER);
      }
    };
  return toy(
    Array.from({ length: threads }, (_, i) => addOne(forgets && i === threads - 1)),
    {
      setup: (words) => lock.initLock(words, LOCK),
      check: (words) => {
        if (words[DATA] !== 2 * threads) throw new Error(`${words[DATA]} of ${2 * threads} counted`);
      },
    },
  );
}

/** Readers share the lock, a writer is alone. */
export function readAndWritten(lock: LockContract): Program {
  const { read } = lock;
  if (!read) throw new Error(`${lock.name} has no readers`);
  const reads: Thread = function* reader(cpu: Cpu): Steps<number> {
    yield* read.lockRead(cpu, LOCK, CLS);
    const seen = load(cpu, DATA);
    yield* read.unlockRead(cpu, LOCK, CLS);
    return seen;
  };
  const writes: Thread = function* writer(cpu: Cpu): Steps<void> {
    yield* lock.lockWrite(cpu, LOCK, CLS);
    store(cpu, DATA, load(cpu, DATA) + 1);
    yield* lock.unlockWrite(cpu, LOCK, CLS);
  };
  return toy([reads, writes, reads, writes], { setup: (words) => lock.initLock(words, LOCK) });
}

type Publish = (cpu: Cpu) => Steps<unknown>;

/** CPU 0 writes data and raises the flag by `raise`; CPU 1 reads the data when `sees` says that the flag is up. */
function published(raise: Publish, sees: (cpu: Cpu) => Steps<boolean>, more: readonly Thread[] = []): Program {
  function* publisher(cpu: Cpu): Steps<void> {
    yield* atomicLoad(cpu, OTHER);
    store(cpu, DATA, 7);
    yield* raise(cpu);
  }
  function* consumer(cpu: Cpu): Steps<void> {
    if (yield* sees(cpu)) load(cpu, DATA);
  }
  return toy([publisher, consumer, ...more]);
}

function* sees(cpu: Cpu): Steps<boolean> {
  return (yield* atomicLoad(cpu, FLAG)) !== 0;
}

function* raise(cpu: Cpu): Steps<void> {
  yield* atomicStore(cpu, FLAG, 1);
}

function* addToFlag(cpu: Cpu): Steps<void> {
  yield* fetchAdd(cpu, FLAG, 2);
}

/** By an atomic flag. */
export const messagePassing = published(raise, sees);
/** A third CPU adds to the flag in between: a release sequence. */
export const throughRmw = published(
  raise,
  function* seesBoth(cpu) {
    return (yield* atomicLoad(cpu, FLAG)) === 3;
  },
  [addToFlag],
);
/** The flag is plain. */
/** One looks at an object, the other frees it: in the execution in which the look comes first nothing bad happens. */
export const freedMeanwhile = toy([
  function* looks(cpu: Cpu): Steps<void> {
    yield* atomicLoad(cpu, DATA);
  },
  function* frees(cpu: Cpu): Steps<void> {
    yield* atomicLoad(cpu, FLAG);
    poison(cpu, DATA);
  },
]);

export const plainFlag = published(
  function* raisePlainly(cpu) {
    store(cpu, FLAG, 1);
    yield* atomicLoad(cpu, OTHER);
  },
  function* seesPlainly(cpu) {
    yield* atomicLoad(cpu, OTHER);
    return load(cpu, FLAG) !== 0;
  },
);
/** The flag is written as a hint, which orders nothing. */
export const hintedFlag = published((cpu) => hint(cpu, FLAG, 0, 1), sees);
/** The consumer reads by a compareExchange that fails, and by a spin. */
export const failedCmpxchg = published(raise, function* seesByFailing(cpu) {
  return (yield* cmpxchg(cpu, FLAG, 0, 0)) !== 0 || (yield* spinWhile(cpu, FLAG, 0, 1)) !== 0;
});
/** Both exchange the flag; who comes second sees what the first did. */
export const exchanged = published(
  (cpu) => xchg(cpu, FLAG, 1),
  function* seesByExchange(cpu) {
    return (yield* xchg(cpu, FLAG, 2)) === 1;
  },
);
/** The consumer sleeps; only the wake tells it. */
export const wokenUp = published(
  (cpu) => futexWake(cpu, FLAG, 1),
  function* seesByWaking(cpu) {
    return (yield* futexWait(cpu, FLAG, 0, 20)) === 0;
  },
);
/** As `wokenUp`, but it goes on when its timer fires, too. */
export const timedOut = published(
  (cpu) => futexWake(cpu, FLAG, 1),
  function* seesByWaiting(cpu) {
    yield* futexWait(cpu, FLAG, 0, 20);
    return load(cpu, DATA) === 7;
  },
);
/** The consumer finds the flag up as it is about to sleep. */
export const notEqual = published(raise, function* seesByNotSleeping(cpu) {
  return (yield* futexWait(cpu, FLAG, 0, 20)) === 1;
});

function* writesLate(cpu: Cpu): Steps<void> {
  yield* atomicLoad(cpu, FLAG);
  store(cpu, DATA, 1);
  yield* atomicStore(cpu, OTHER, 1);
}

function* readsEarly(cpu: Cpu): Steps<void> {
  yield* atomicStore(cpu, OTHER, 2);
  load(cpu, DATA);
}

/**
 * Two stores into one word, by CPU 0 behind its write and by CPU 1 before its read: who takes the order in which they happened
 * for one that must be sees no race where CPU 0 comes first.
 */
export const hiddenByOrder = toy([writesLate, readsEarly]);
