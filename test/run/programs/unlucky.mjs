/** Fails in one of a few hundred executions: a hash of what the reader saw is what it must not be. */

import { atomicLoad, atomicStore } from "oomrace/kernel";

const TIMES = 30;

function* writes(cpu) {
  for (let i = 1; i <= TIMES; i++) yield* atomicStore(cpu, 0, i);
}

function* reads(cpu) {
  let seen = 0;
  for (let i = 1; i <= TIMES; i++) seen = Math.imul(seen ^ (yield* atomicLoad(cpu, 0)), 0x9e3779b1) ^ (seen >>> 15);
  yield* atomicStore(cpu, 1, seen);
}

export default {
  words: 2,
  threads: [writes, reads],
  check: ([, seen]) => {
    if (seen >>> 24 === 1) throw new Error("the unlucky one");
  },
};
