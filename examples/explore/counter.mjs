// Two threads add one to a counter without a lock. Each reads it and writes it back, and one addition can get lost.
// The explorer tries the orders in which the threads may take their steps until one goes wrong, and draws that one.
// Run: node examples/explore/counter.mjs

import { explore, renderExploration } from "oomrace";
import { atomicLoad, atomicStore, cmpxchg } from "oomrace/kernel";

// A thread is a generator function. `yield*` marks each step: between two of them any other thread may run.
function* addOne(cpu) {
  yield* atomicStore(cpu, 0, (yield* atomicLoad(cpu, 0)) + 1);
}

// The same, but it writes only if nobody else has written meanwhile, and begins again otherwise.
function* addOneSafely(cpu) {
  for (;;) {
    const seen = yield* atomicLoad(cpu, 0);
    if ((yield* cmpxchg(cpu, 0, seen, seen + 1)) === seen) return;
  }
}

function program(thread) {
  return {
    words: 1, // one 32-bit word is shared, its address is 0
    threads: [thread, thread],
    check: ([counter]) => {
      if (counter !== 2) throw new Error(`${counter} of 2 counted`);
    },
    describe: () => "counter",
  };
}

const broken = program(addOne);
console.log(`A load and a store:\n\n${renderExploration(broken, explore(broken))}\n`);

// "dfs" goes through all orders, with ever more switches from one thread to another. These two have few enough.
const mended = program(addOneSafely);
const all = { scheduler: "dfs", bound: 10 };
console.log(`A compare-and-exchange:\n\n${renderExploration(mended, explore(mended, all))}`);
