/**
 * The choices of a step in one fixed order, so that a small number names a choice: go on with the CPU at hand, then the
 * other CPUs ascending, then timers ascending. Number 0 is what happens when nobody interferes.
 */

import { timerChoice } from "./schedule.ts";
import type { StepView } from "./scheduler.ts";

/** The CPU of the step before can take the next one, too. */
export function canGoOn(view: StepView): boolean {
  return view.last >= 0 && view.run.isReady(view.last);
}

export function optionCount(view: StepView): number {
  return view.enabledCount + view.timerCount;
}

/** The choice that number `option`, below `optionCount`, stands for. */
export function optionAt(view: StepView, option: number): number {
  let left = option;
  if (canGoOn(view)) {
    if (left === 0) return view.last;
    left--;
  }
  for (let i = 0; i < view.enabledCount; i++) {
    const cpu = view.enabled[i] as number;
    if (cpu === view.last) continue;
    if (left === 0) return cpu;
    left--;
  }
  return timerChoice(view.timers[left] as number);
}

/** The number of a choice, or -1 when it cannot be taken now. */
export function optionOf(view: StepView, choice: number): number {
  const all = optionCount(view);
  for (let option = 0; option < all; option++) if (optionAt(view, option) === choice) return option;
  return -1;
}

/** True when taking `choice` interrupts a CPU that could have gone on. */
export function isPreemption(view: StepView, choice: number): boolean {
  return choice !== view.last && canGoOn(view);
}
