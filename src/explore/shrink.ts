/**
 * Shrinking: from a failing schedule to one that a person can read. Fewest preemptions first, then fewest steps, then
 * fewest CPUs. What is tried is run, so whatever comes out breaks the same invariant.
 *
 * By delta debugging over turns (Zeller and Hildebrandt, IEEE TSE 2002): larger groups of turns first, then single ones,
 * then neighbours swapped, so that turns of one CPU join.
 */

import type { Executor } from "./executor.ts";
import type { Failure } from "./finding.ts";
import { optionAt, optionOf } from "./options.ts";
import type { Scheduler } from "./scheduler.ts";
import { scheduleOfTurns, type Turn, turnsOf } from "./turns.ts";

/** Follows turns as far as they are possible, leaves out what is not, then lets everybody go on undisturbed. */
export function lenientScheduler(turns: readonly Turn[]): Scheduler {
  const schedule = scheduleOfTurns(turns);
  let at = 0;
  return {
    name: "lenient",
    begin: () => {
      at = 0;
    },
    pick: (view) => {
      while (at < schedule.length) {
        const choice = schedule[at++] as number;
        if (optionOf(view, choice) >= 0) return choice;
      }
      return optionAt(view, 0);
    },
  };
}

export interface ShrinkOptions {
  /** Executions to spend at most. */
  readonly budget: number;
  /** Asked before each execution; true ends the shrinking with what there is. */
  readonly stopped?: () => boolean;
}

/** Returns the least failure found; `found` itself when none is less. */
export function shrink(executor: Executor, found: Failure, { budget, stopped = () => false }: ShrinkOptions): Failure {
  let best = found;
  let left = budget;

  /** Runs a candidate; true when it fails in the same way and is less. */
  function improves(turns: readonly Turn[]): boolean {
    if (left <= 0 || stopped()) return false;
    left--;
    const failure = executor.measure(lenientScheduler(turns));
    if (failure?.invariant !== found.invariant || !isLess(failure, best)) return false;
    best = failure;
    return true;
  }

  function withoutGroups(): boolean {
    let improved = false;
    for (let size = turnsOf(best.schedule).length >> 1; size >= 1; size >>= 1) {
      for (let from = 0; from < turnsOf(best.schedule).length; ) {
        if (improves(turnsOf(best.schedule).toSpliced(from, size))) improved = true;
        else from += size;
      }
    }
    return improved;
  }

  function withNeighboursSwapped(): boolean {
    let improved = false;
    for (let at = 0; at + 1 < turnsOf(best.schedule).length; at++) {
      const turns = turnsOf(best.schedule);
      const [one, other] = [turns[at] as Turn, turns[at + 1] as Turn];
      if (improves(turns.toSpliced(at, 2, other, one))) improved = true;
    }
    return improved;
  }

  function withTurnsJoined(): boolean {
    let improved = false;
    for (let at = 0; at < turnsOf(best.schedule).length; at++) {
      const turns = turnsOf(best.schedule);
      const same = turns.findIndex((turn, i) => i > at && turn.choice === turns[at]?.choice);
      if (same < 0 || (turns[at] as Turn).choice < 0) continue;
      const { choice, steps } = turns[at] as Turn;
      const joined = { choice, steps: steps + (turns[same] as Turn).steps };
      const early = turns.toSpliced(same, 1).toSpliced(at, 1, joined);
      const late = turns.toSpliced(same, 1, joined).toSpliced(at, 1);
      if (improves(early) || improves(late)) improved = true;
    }
    return improved;
  }

  while (withoutGroups() || withTurnsJoined() || withNeighboursSwapped());
  return best;
}

function isLess(one: Failure, other: Failure): boolean {
  if (one.preemptions !== other.preemptions) return one.preemptions < other.preemptions;
  if (one.steps !== other.steps) return one.steps < other.steps;
  return one.cpus < other.cpus;
}
