/** Executes a program from its first state, and says what was wrong with each execution. */

import { Engine, type EngineOptions } from "./engine.ts";
import { type Failure, type Finding, findingBy, findingOf } from "./finding.ts";
import { isPreemption } from "./options.ts";
import type { Subject } from "./program.ts";
import { DATA_RACE, describeRace, RaceDetector } from "./race-detector.ts";
import type { Scheduler, StepView } from "./scheduler.ts";

/** What of the plain accesses is watched. A schedule means the same again only under the same watch. */
export interface Watch {
  /** Find data races. Default false. */
  readonly races?: boolean;
  /** Words whose plain accesses are scheduling points; see `engine`. */
  readonly points?: readonly number[];
}

export interface ExecutorOptions extends Watch, Pick<EngineOptions, "onOperation" | "onPlain" | "heard"> {
  /** Note races and go on, in place of ending at the first: `detector` has them. Default false. */
  readonly collectRaces?: boolean;
}

export class Executor {
  readonly subject: Subject;
  readonly engine: Engine;
  readonly detector: RaceDetector | undefined;
  /** The scheduler ended the last execution before its programs did. */
  ended = false;
  readonly #collects: boolean;

  constructor(subject: Subject, { races = false, collectRaces = false, ...more }: ExecutorOptions = {}) {
    this.subject = subject;
    this.#collects = collectRaces;
    if (races || collectRaces) this.detector = detectorOf(subject, collectRaces);
    this.engine = new Engine({ ...subject.engine, ...(this.detector && { races: this.detector }), ...more });
  }

  /** One execution; undefined when it finished and the program's check is content, or when its schedule was over. */
  execute(scheduler: Scheduler, execution = 0): Finding | undefined {
    this.subject.reset();
    this.detector?.reset();
    const ending = this.engine.execute(scheduler, execution);
    this.ended = ending.state === "ended";
    const race = this.#collects ? undefined : this.detector?.races[0];
    // Also where the program caught what ended it.
    if (race) return { invariant: DATA_RACE, message: `${DATA_RACE}: ${describeRace(race, this.subject.describe)}` };
    if (ending.state !== "finished") return findingOf(ending, this.subject.placeOf);
    return findingBy(() => this.subject.check(ending.results));
  }

  /** As `execute`, and measures what led there. */
  measure(scheduler: Scheduler, execution = 0): Failure | undefined {
    let preemptions = 0;
    const ran = new Set<number>();
    const finding = this.execute(
      watching(scheduler, (view, choice) => {
        if (isPreemption(view, choice)) preemptions++;
        if (choice >= 0) ran.add(choice);
      }),
      execution,
    );
    if (!finding) return undefined;
    const { steps } = this.engine;
    return { ...finding, schedule: this.engine.takeSchedule(), steps, preemptions, cpus: ran.size };
  }
}

function detectorOf({ words, engine, describe }: Subject, collect: boolean): RaceDetector {
  return new RaceDetector({ cpus: engine.programs.length, words: words.length, describe, collect });
}

/** A scheduler that chooses as `inner` does and tells `see` about each choice before it is taken. */
export function watching(inner: Scheduler, see: (view: StepView, choice: number) => void): Scheduler {
  return {
    name: inner.name,
    begin: (cpus, execution) => inner.begin(cpus, execution),
    pick: (view) => {
      const choice = inner.pick(view);
      if (choice !== undefined) see(view, choice);
      return choice;
    },
  };
}
