/** Whether failures repeat: each is recorded, packed into a string, read back, followed, and compared to the last word. */

import { Executor } from "../../src/explore/executor.ts";
import type { Finding } from "../../src/explore/finding.ts";
import { type Program, subjectOf } from "../../src/explore/program.ts";
import {
  packedScheduler,
  readScheduleString,
  SchedulePacker,
  writeScheduleString,
} from "../../src/explore/schedule-string.ts";
import { schedulers } from "../../src/explore/schedulers/index.ts";

export interface Replays {
  readonly scheduler: string;
  readonly executions: number;
  readonly failures: number;
  /** One line for each failure that did not repeat. */
  readonly strays: readonly string[];
}

export interface ReplayLimits {
  readonly failures: number;
  readonly executions: number;
}

/** Steps that `pct` reckons with, and the preemptions that `dfs` may spend. */
const GUESS = { steps: 150, timed: true, depth: 3, bound: 2, spins: 1, watched: [] };

/** Executes `program` until so many executions failed or were run, and replays each that failed. */
export function replayFailures(program: Program, scheduler: string, seed: number, limits: ReplayLimits): Replays {
  const subject = subjectOf(program);
  const [recording, replaying] = [new Executor(subject), new Executor(subject)];
  const chooser = schedulers[scheduler]?.({ seed, cpus: program.threads.length, ...GUESS });
  if (!chooser) throw new Error(`replayFailures: no scheduler ${scheduler}`);
  const strays: string[] = [];
  let failures = 0;
  let executions = 0;
  for (let more = true; more && failures < limits.failures && executions < limits.executions; ) {
    const finding = recording.execute(chooser, executions++);
    more = chooser.next?.() !== false;
    if (!finding) continue;
    failures++;
    const recorded: End = { finding, steps: recording.engine.steps, words: subject.words.slice() };
    const packer = new SchedulePacker(recording.engine.takeSchedule());
    recording.execute(packer.scheduler);
    const text = writeScheduleString(packer.packed(subject.codeHash));
    const again = replaying.execute(packedScheduler(readScheduleString(text)));
    const difference = differenceOf(recorded, { finding: again, steps: replaying.engine.steps, words: subject.words });
    if (difference) strays.push(`${scheduler}, seed ${seed}, execution ${executions - 1}: ${difference}`);
  }
  return { scheduler, executions, failures, strays };
}

interface End {
  readonly finding: Finding | undefined;
  readonly steps: number;
  readonly words: Int32Array;
}

/** What is different; undefined when nothing is. */
function differenceOf(recorded: End, replayed: End): string | undefined {
  const [one, other] = [recorded.finding, replayed.finding];
  if (one?.invariant !== other?.invariant) return `${one?.invariant} became ${other?.invariant}`;
  if (one?.message !== other?.message) return `"${one?.message}" became "${other?.message}"`;
  if (recorded.steps !== replayed.steps) return `${recorded.steps} steps became ${replayed.steps}`;
  const at = recorded.words.findIndex((word, i) => word !== replayed.words[i]);
  return at < 0 ? undefined : `word ${at}: ${recorded.words[at]} became ${replayed.words[at]}`;
}
