/** The obvious way to count classes of interleavings: run every one of them and compare who came before whom. */

import {
  OP_ADD,
  OP_CMPXCHG,
  OP_LOAD,
  OP_NONE,
  OP_SPIN,
  OP_WAIT,
  OP_WAKE,
  RESULT_UNUSED,
} from "../../../../src/arena/mem.ts";
import { Engine, type TimeModel } from "../../../../src/explore/engine.ts";
import { watching } from "../../../../src/explore/executor.ts";
import { optionAt, optionCount } from "../../../../src/explore/options.ts";
import { type Program, type Subject, subjectOf } from "../../../../src/explore/program.ts";
import { CPU_WAITS, PENDING_WORDS } from "../../../../src/explore/run-state.ts";
import type { Scheduler, StepView } from "../../../../src/explore/scheduler.ts";

/** What a program can do, by one way of exploring it. */
export interface Explored {
  executions: number;
  /** Executions that the scheduler broke off. */
  cut: number;
  /** How executions ended, with the words and the results they left. */
  readonly endings: Set<string>;
  readonly classes: Set<string>;
}

/** A program that says when it reads the clock. */
export type ProgramOf = (onClockRead: () => void) => Program;

/** Explores until the scheduler has nothing left; undefined when it takes more than `limit` executions. */
export function exploreAll(
  programOf: ProgramOf,
  make: (cpus: number) => Scheduler,
  limit: number,
  time: TimeModel = "ordered",
): Explored | undefined {
  let log: Log | undefined;
  const program = programOf(() => log?.noteClockRead());
  const subject = subjectOf(program, { maxSteps: 500, time });
  const engine = new Engine(subject.engine);
  const watched = new Log(subject);
  log = watched;
  const scheduler = make(program.threads.length);
  const seen: Explored = { executions: 0, cut: 0, endings: new Set(), classes: new Set() };
  do {
    if (seen.executions === limit) return undefined;
    subject.reset();
    watched.begin();
    const ending = engine.execute(
      watching(scheduler, (view, choice) => watched.note(view, choice)),
      0,
    );
    if (ending.state === "livelock") throw new Error("a program for this must end");
    if (ending.state === "ended") seen.cut++;
    else {
      seen.executions++;
      watched.finish(engine.state);
      seen.endings.add(`${ending.state} ${[...subject.words].slice(0, program.words as number)}`);
      seen.classes.add(watched.signature());
    }
  } while (scheduler.next?.() !== false);
  return seen;
}

/** All schedules, depth first. */
export function everySchedule(): Scheduler {
  const taken: number[] = [];
  const options: number[] = [];
  return {
    name: "every schedule",
    begin: () => {},
    pick: (view) => {
      if (view.step === taken.length) {
        taken.push(0);
        options.push(optionCount(view));
      }
      return optionAt(view, taken[view.step] as number);
    },
    next: () => {
      while (taken.length > 0 && (taken.at(-1) as number) + 1 === options.at(-1)) {
        taken.pop();
        options.pop();
      }
      if (taken.length === 0) return false;
      taken[taken.length - 1] = (taken.at(-1) as number) + 1;
      return true;
    },
  };
}

type Use = "read" | "add" | "write";

interface Event {
  readonly name: string;
  readonly cpu: number;
  readonly uses: Map<string, Use>;
  /** CPUs that it woke, found out when it is over. */
  woke: number[];
  /** It only goes on after a sleep. */
  readonly resumes: boolean;
}

/** One execution, as events and what they used. */
class Log {
  readonly #words: Int32Array;
  #events: Event[] = [];
  #counts: number[] = [];
  #states: number[] = [];
  #clockRead = false;
  #deadlines: number[] = [];

  constructor(subject: Subject) {
    this.#words = subject.words;
  }

  begin(): void {
    this.#events = [];
    this.#counts = [];
    this.#states = [];
  }

  note(view: StepView, choice: number): void {
    this.finish(view.run);
    const cpu = choice < 0 ? ~choice : choice;
    const nth = this.#counts[cpu] ?? 0;
    this.#counts[cpu] = nth + 1;
    const [kind, word, a, b] = view.run.pending.slice(cpu * PENDING_WORDS, (cpu + 1) * PENDING_WORDS);
    const uses = new Map<string, Use>();
    const value = `value ${word}`;
    const queue = `queue ${word}`;
    const old = this.#words[word as number];
    const sleepers = [...view.run.state].filter((state, i) => state === CPU_WAITS && view.run.word[i] === word).length;
    if (choice < 0) {
      uses.set(`queue ${view.run.word[cpu]}`, "write");
      uses.set("clock", "write");
    } else if (kind === OP_LOAD || kind === OP_SPIN) uses.set(value, "read");
    else if (kind === OP_CMPXCHG) uses.set(value, old === a ? "write" : "read");
    else if (kind === OP_WAIT) {
      uses.set(value, "read");
      if (old === a) uses.set(queue, "write");
      if (old === a && b !== -1) uses.set("clock", "read");
    } else if (kind === OP_WAKE) {
      uses.set(queue, sleepers > 0 && (a as number) > 0 ? "write" : "read");
      const timed = [...view.run.deadline].some((at, i) => at < Number.POSITIVE_INFINITY && view.run.word[i] === word);
      // Which of the sleepers it wakes is seen when it is over; `finish` takes this back when it wakes none with a timer.
      if (timed) uses.set("clock", "read");
    } else if (kind === OP_ADD && b === RESULT_UNUSED) uses.set(value, "add");
    else if (kind !== OP_NONE) uses.set(value, "write");
    this.#events.push({ name: `${cpu}.${nth}`, cpu, uses, woke: [], resumes: choice >= 0 && kind === OP_NONE });
    this.#states = [...view.run.state];
    this.#deadlines = [...view.run.deadline];
  }

  /** The event at hand has read the clock; what is read before the first event is the same in every execution. */
  noteClockRead(): void {
    this.#clockRead = true;
  }

  /** The event at hand is over: who was woken by it. */
  finish(run: StepView["run"]): void {
    const clockRead = this.#clockRead;
    this.#clockRead = false;
    const event = this.#events.at(-1);
    if (!event) return;
    event.woke = this.#states.flatMap((state, cpu) =>
      cpu !== event.cpu && state === CPU_WAITS && run.state[cpu] !== CPU_WAITS ? [cpu] : [],
    );
    const timed = event.woke.some((cpu) => (this.#deadlines[cpu] as number) < Number.POSITIVE_INFINITY);
    if (event.woke.length > 0 && !timed) event.uses.delete("clock");
    if (clockRead && !event.uses.has("clock")) event.uses.set("clock", "read");
  }

  /** Each event with all that come before it: the same for executions of one class, and only for them. */
  signature(): string {
    const events = this.#events;
    const before = events.map(() => new Set<number>());
    for (let j = 0; j < events.length; j++) {
      for (let i = 0; i < j; i++) {
        if (!this.#direct(i, j)) continue;
        before[j]?.add(i);
        for (const k of before[i] as Set<number>) before[j]?.add(k);
      }
    }
    const named = (i: number): string => (events[i] as Event).name;
    return events
      .map(({ name }, j) => `${name}<${[...(before[j] as Set<number>)].map(named).sort().join(",")}`)
      .sort()
      .join(" ");
  }

  #direct(i: number, j: number): boolean {
    const [a, b] = [this.#events[i] as Event, this.#events[j] as Event];
    if (a.cpu === b.cpu) return true;
    if (b.resumes && a.woke.includes(b.cpu)) {
      // The wake that ended this sleep, not one that ended an earlier one.
      if (!this.#events.slice(i + 1, j).some(({ cpu }) => cpu === b.cpu)) return true;
    }
    for (const [thing, use] of a.uses) {
      const other = b.uses.get(thing);
      if (other && (use === "write" || other === "write" || use !== other)) return true;
    }
    return false;
  }
}
