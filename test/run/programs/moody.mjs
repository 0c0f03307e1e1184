/** Does not do the same thing twice, once it has been run a while. */

import { fetchAdd } from "oomrace/kernel";

let calls = 0;

function* moody(cpu) {
  for (let i = ++calls > 200 ? calls % 3 : 0; i >= 0; i--) yield* fetchAdd(cpu, i, 1);
}

export default { words: 4, threads: [moody, moody] };
