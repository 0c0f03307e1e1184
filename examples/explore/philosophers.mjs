// Three philosophers around a table, a fork between each two. Who wants to eat takes the fork to the left, then the one to
// the right. If all take their left fork first, each waits for a neighbour, for ever. Ordering the forks mends it: everybody
// takes the one with the lower number first, so nobody who has the last fork still waits.
// Run: node examples/explore/philosophers.mjs

import { explore, renderExploration } from "oomrace";
import { lockClass, spinLock, spinUnlock } from "oomrace/kernel";

const SEATS = 3;
const FORK = lockClass("fork"); // locks of one class have one name in reports
const forkAt = (seat) => 1 + (seat % SEATS); // addresses of 32-bit words, a lock each

function philosopher(first, second) {
  return function* eats(cpu) {
    yield* spinLock(cpu, first, FORK);
    yield* spinLock(cpu, second, FORK);
    yield* spinUnlock(cpu, second, FORK);
    yield* spinUnlock(cpu, first, FORK);
  };
}

function program(inOrder) {
  const seats = Array.from({ length: SEATS }, (_, seat) => [forkAt(seat), forkAt(seat + 1)]);
  return {
    words: 1 + SEATS,
    threads: seats.map(([left, right]) =>
      inOrder ? philosopher(Math.min(left, right), Math.max(left, right)) : philosopher(left, right),
    ),
    describe: (word) => `fork ${word}`,
  };
}

const broken = program(false);
console.log(`Left fork first:\n\n${renderExploration(broken, explore(broken))}\n`);

const mended = program(true);
const twoSwitches = { scheduler: "dfs", bound: 2 };
console.log(`Lower fork first:\n\n${renderExploration(mended, explore(mended, twoSwitches))}`);
