/**
 * A schedule as turns: who runs for how many steps, until somebody else does. "1x12 0x3 ~1" lets CPU 1 take 12 steps,
 * then CPU 0 three, then the timer of CPU 1 fire.
 */

import { UsageError } from "../base/errors.ts";
import { type Schedule, timerChoice } from "./schedule.ts";

export interface Turn {
  readonly choice: number;
  readonly steps: number;
}

export function turnsOf(schedule: Schedule): Turn[] {
  const turns: Turn[] = [];
  for (let at = 0; at < schedule.length; ) {
    const choice = schedule[at] as number;
    let next = at + 1;
    while (choice >= 0 && schedule[next] === choice) next++;
    turns.push({ choice, steps: next - at });
    at = next;
  }
  return turns;
}

export function scheduleOfTurns(turns: readonly Turn[]): Schedule {
  const schedule = new Int8Array(turns.reduce((sum, { steps }) => sum + steps, 0));
  let at = 0;
  for (const { choice, steps } of turns) {
    schedule.fill(choice, at, at + steps);
    at += steps;
  }
  return schedule;
}

export function writeTurns(schedule: Schedule): string {
  return turnsOf(schedule)
    .map(({ choice, steps }) => (choice < 0 ? `~${timerChoice(choice)}` : `${choice}x${steps}`))
    .join(" ");
}

/** Throws UsageError on anything that `writeTurns` does not write. */
export function readTurns(text: string): Schedule {
  const turns = text.split(" ").map((turn) => {
    const [, timer, cpu, steps] = /^(?:~(\d+)|(\d+)x(\d+))$/.exec(turn) ?? [];
    if (timer !== undefined) return { choice: timerChoice(Number(timer)), steps: 1 };
    if (cpu === undefined) throw new UsageError(`schedule: "${turn}": expected turns such as 1x12 or ~1`);
    return { choice: Number(cpu), steps: Number(steps) };
  });
  return scheduleOfTurns(turns);
}
