/** CPU 1 always comes too late: it runs only when what it is about to do is in vain, as long as CPU 0 can run. */

import { OP_CMPXCHG, OP_LOAD, OP_SPIN } from "../../src/arena/mem.ts";
import { PENDING_WORDS } from "../../src/explore/run-state.ts";
import type { Scheduler, StepView } from "../../src/explore/scheduler.ts";

export const unluckyScheduler: Scheduler = {
  name: "unlucky",
  begin: () => {},
  pick: (view) => (view.run.isReady(1) && (isInVain(view) || !view.run.isReady(0)) ? 1 : 0),
};

/** It would look at a held lock, try to take one, or see that the word it watches has changed once more. */
function isInVain({ run, words }: StepView): boolean {
  const [kind, word, a] = run.pending.subarray(PENDING_WORDS, 2 * PENDING_WORDS) as unknown as [number, number, number];
  const value = words[word] as number;
  if (kind === OP_LOAD) return value !== 0;
  return (kind === OP_CMPXCHG || kind === OP_SPIN) && value !== a;
}
