/**
 * What a data race does: executes the program with the racing words' plain accesses as scheduling points, until an execution
 * breaks something else. Words that turn out to race on the way become points as well.
 */

import { Executor, type Watch } from "./executor.ts";
import type { Failure } from "./finding.ts";
import type { Subject } from "./program.ts";
import type { Scheduler } from "./scheduler.ts";
import { fixedScheduler } from "./schedulers/fixed.ts";

export interface Damage {
  readonly failure: Failure;
  /** Under which it comes about. */
  readonly watch: Watch;
}

export interface DamageOptions {
  /** Makes the scheduler to search with. */
  readonly scheduler: () => Scheduler;
  /** Asked before each execution; true ends the search. */
  readonly stopped?: () => boolean;
}

/** Steps to spend on each of the two searches: a count, so that a verdict does not depend on the speed of the machine. */
const SEARCH_STEPS = 200_000;
/** Words that become points at most: each makes executions longer. */
const MAX_POINTS = 32;

/** First without points, as a failure that needs none also comes about on real threads. Undefined when nothing broke. */
export function findDamage(subject: Subject, word: number, options: DamageOptions): Damage | undefined {
  const racing = new Set([word]);
  return search(subject, racing, false, options) ?? search(subject, racing, true, options);
}

function search(subject: Subject, racing: Set<number>, pointed: boolean, options: DamageOptions): Damage | undefined {
  const { scheduler: makeScheduler, stopped = () => false } = options;
  const scheduler = makeScheduler();
  let executor = searcher(subject, racing, pointed);
  for (let execution = 0, steps = 0; steps < SEARCH_STEPS && !stopped(); execution++) {
    const { engine, detector } = executor.executor;
    const finding = executor.executor.execute(scheduler, execution);
    steps += engine.steps + 1;
    if (finding) return measured(subject, engine.takeSchedule(), executor.watch);
    const known = racing.size;
    for (const { word } of detector?.races ?? []) if (racing.size < MAX_POINTS) racing.add(word);
    if (pointed && racing.size > known) executor = searcher(subject, racing, pointed);
  }
  return undefined;
}

function searcher(subject: Subject, racing: ReadonlySet<number>, pointed: boolean) {
  const watch: Watch = pointed ? { points: [...racing].sort((a, b) => a - b) } : {};
  return { watch, executor: new Executor(subject, { ...watch, collectRaces: true }) };
}

/** Once more without looking for races. */
function measured(subject: Subject, schedule: Failure["schedule"], watch: Watch): Damage | undefined {
  const failure = new Executor(subject, watch).measure(fixedScheduler(schedule));
  return failure && { failure, watch };
}
