/** What everybody waited for when nobody could go on. */

import { CPU_ENDED, CPU_WAITS, PENDING_WORDS, type RunState } from "./run-state.ts";
import { describeCycle, describeLocks, readLocks, type SyncPlace, waitCycle, wordNumber } from "./wait-for.ts";

/** One line per CPU, and the wait-for cycle where the locks show one. `place` is absent for programs without `sync`. */
export function deadlockReport(run: RunState, place: SyncPlace | undefined, describe = wordNumber): string {
  const locks = place ? readLocks(place) : [];
  const lines: string[] = [];
  for (let cpu = 0; cpu < run.cpus; cpu++) {
    const own = locks[cpu];
    const doing = describeWait(run, cpu, describe);
    const about = own ? describeLocks(own, describe) : "";
    lines.push(`CPU ${cpu} ${doing}${about ? `; ${about}` : ""}`);
  }
  const cycle = waitCycle(locks);
  if (cycle) lines.push(describeCycle(cycle));
  return lines.join("\n");
}

function describeWait(run: RunState, cpu: number, describe: (word: number) => string): string {
  if (run.state[cpu] === CPU_ENDED) return "has finished";
  if (run.state[cpu] !== CPU_WAITS) return "can run";
  const value = run.pending[cpu * PENDING_WORDS + 2];
  return `sleeps on ${describe(run.word[cpu] as number)} while it holds ${value}`;
}
