/**
 * A schedule: the list of choices that an engine followed, one signed byte each.
 * 0 and up: that CPU runs to its next scheduling point. Below 0: the timer of CPU `~choice` fires.
 */

import { assert } from "../base/assert.ts";

export type Schedule = Int8Array;

/** CPUs that a choice of one byte can name. */
export const MAX_CPUS = 127;

/** The choice "the timer of this CPU fires". Its own inverse: `timerChoice(choice)` names the CPU. */
export function timerChoice(cpu: number): number {
  return ~cpu;
}

/** Collects choices without an allocation per step. */
export class ScheduleRecorder {
  #choices = new Int8Array(1024);
  length = 0;

  push(choice: number): void {
    if (this.length === this.#choices.length) {
      const wider = new Int8Array(this.length * 2);
      wider.set(this.#choices);
      this.#choices = wider;
    }
    this.#choices[this.length++] = choice;
  }

  /** A copy of what was recorded. */
  take(): Schedule {
    return this.#choices.slice(0, this.length);
  }
}

/** Checks a list of choices that came from outside. */
export function scheduleOf(choices: readonly number[]): Schedule {
  for (const choice of choices) {
    const cpu = choice < 0 ? ~choice : choice;
    assert(Number.isInteger(choice) && cpu < MAX_CPUS, `scheduleOf: ${choice} is no choice`);
  }
  return Int8Array.from(choices);
}
