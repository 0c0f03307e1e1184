/**
 * Partial order sampling (Yuan, Yang and Gu: CAV 2018): each pending operation has a random priority, the highest runs,
 * and what races with it draws anew. Orders of operations that do not touch each other are not told apart, so the
 * choices go to where they matter.
 */

import { OP_NONE } from "../../arena/mem.ts";
import { Random } from "../../base/random.ts";
import { dependent } from "../dependence.ts";
import { highest, partyOf } from "../priority.ts";
import { PENDING_WORDS } from "../run-state.ts";
import type { Scheduler, SchedulerOptions, StepView } from "../scheduler.ts";

export function posScheduler({ seed, cpus }: SchedulerOptions): Scheduler {
  const random = new Random(seed);
  /** Of the pending operation of each CPU, then of its timer. */
  const priorities = new Float64Array(2 * cpus);
  /** The choice of the step before, and what it did: kind and word. */
  let ran = 0;
  let kind = OP_NONE;
  let word = 0;

  function drawAnew(view: StepView): void {
    if (view.step === 0) return;
    const { pending } = view.run;
    priorities[partyOf(ran, cpus)] = random.unit();
    if (kind === OP_NONE) return;
    for (let cpu = 0; cpu < cpus; cpu++) {
      const at = cpu * PENDING_WORDS;
      if (dependent(kind, word, pending[at] as number, pending[at + 1] as number)) priorities[cpu] = random.unit();
    }
  }

  return {
    name: "pos",
    begin: (_cpus, execution) => {
      random.restart(seed, execution);
      for (let i = 0; i < priorities.length; i++) priorities[i] = random.unit();
    },
    pick: (view) => {
      drawAnew(view);
      ran = highest(view, priorities, cpus);
      kind = ran < 0 ? OP_NONE : (view.run.pending[ran * PENDING_WORDS] as number);
      word = ran < 0 ? 0 : (view.run.pending[ran * PENDING_WORDS + 1] as number);
      return ran;
    },
  };
}
