/** The invariants, and the look at a machine after a race. */

import { Violation } from "../base/errors.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import type { Invariant } from "./invariant.ts";
import { locksGivenBack, nobodyWaits } from "./locks.ts";
import { nothingLeft, useAfterFree } from "./objects.ts";
import { noStaleTranslation, pageAccounting } from "./pages.ts";
import { noRefilledRead } from "./refill.ts";
import { noNeedlessKill } from "./second-kill.ts";
import { flushesDone, reaperLetGo } from "./teardown.ts";
import { victimsCounted, victimsDequeued } from "./victims.ts";

export const INVARIANTS: readonly Invariant[] = [
  useAfterFree,
  pageAccounting,
  nothingLeft,
  noStaleTranslation,
  noNeedlessKill,
  noRefilledRead,
  locksGivenBack,
  nobodyWaits,
  reaperLetGo,
  flushesDone,
  victimsDequeued,
  victimsCounted,
];

/** Every place where an invariant does not hold; while no CPU runs and after the victim is gone. */
export function findViolations(words: Int32Array, map: MachineMap): Violation[] {
  return INVARIANTS.flatMap(({ name, check }) => check(words, map).map((message) => new Violation(name, message)));
}
