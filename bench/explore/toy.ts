/** The toy of the issue: two CPUs zap four tables from opposite ends, a spinlock per table, about twenty steps. */

import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, atomicStore, cmpxchg, load, spinWhile, store } from "../../src/arena/mem.ts";
import type { Program } from "../../src/explore/program.ts";

const TABLES = 4;
/** Words of a table: its lock, its entry. */
const TABLE_WORDS = 2;

function zapping(tables: readonly number[]) {
  return function* zaps(cpu: Cpu): Steps<number> {
    let zapped = 0;
    for (const table of tables) zapped += yield* zap(cpu, table * TABLE_WORDS);
    return zapped;
  };
}

function* zap(cpu: Cpu, table: number): Steps<number> {
  while ((yield* cmpxchg(cpu, table, 0, cpu.id + 1)) !== 0) yield* spinWhile(cpu, table, 2 - cpu.id, 100);
  const present = load(cpu, table + 1);
  if (present !== 0) store(cpu, table + 1, 0);
  yield* atomicStore(cpu, table, 0);
  return present;
}

function zappingUnlocked(tables: readonly number[]) {
  return function* zaps(cpu: Cpu): Steps<number> {
    let zapped = 0;
    for (const table of tables) {
      const entry = table * TABLE_WORDS + 1;
      const present = yield* atomicLoad(cpu, entry);
      yield* atomicStore(cpu, entry, 0);
      zapped += present;
    }
    return zapped;
  };
}

export const toy: Program = {
  words: TABLES * TABLE_WORDS,
  setup: (words) => {
    for (let table = 0; table < TABLES; table++) words[table * TABLE_WORDS + 1] = 1;
  },
  threads: [zapping([0, 1, 2, 3]), zapping([3, 2, 1, 0])],
  check: (_words, results) => {
    const zapped = (results[0] as number) + (results[1] as number);
    if (zapped !== TABLES) throw new Error(`${zapped} of ${TABLES} tables were zapped`);
  },
};

/** The same without locks: some orders zap a table twice. */
export const unlockedToy: Program = {
  ...toy,
  threads: [zappingUnlocked([0, 1, 2, 3]), zappingUnlocked([3, 2, 1, 0])],
};
