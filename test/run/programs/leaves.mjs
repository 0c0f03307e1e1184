/** Ends the thread that it is explored in. */

import { isMainThread } from "node:worker_threads";
import { atomicLoad } from "oomrace/kernel";

function* leaves(cpu) {
  yield* atomicLoad(cpu, 0);
  if (!isMainThread) process.exit(7);
}

export default { words: 1, threads: [leaves] };
