/** Executes a program from its first state, and says what was wrong with each execution. */

import { Engine } from "./engine.ts";
import { type Failure, type Finding, findingBy, findingOf } from "./finding.ts";
import { isPreemption } from "./options.ts";
import type { Subject } from "./program.ts";
import type { Scheduler, StepView } from "./scheduler.ts";

export class Executor {
  readonly subject: Subject;
  readonly engine: Engine;
  /** The scheduler ended the last execution before its programs did. */
  ended = false;

  /** `onOperation`: see EngineOptions. */
  constructor(subject: Subject, onOperation?: (cpu: number) => void) {
    this.subject = subject;
    this.engine = new Engine({ ...subject.engine, ...(onOperation && { onOperation }) });
  }

  /** One execution; undefined when it finished and the program's check is content, or when its schedule was over. */
  execute(scheduler: Scheduler, execution = 0): Finding | undefined {
    this.subject.reset();
    const ending = this.engine.execute(scheduler, execution);
    this.ended = ending.state === "ended";
    if (ending.state !== "finished") return findingOf(ending);
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
