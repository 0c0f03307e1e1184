/** Whether shrunk failures are real: each is repeated on worker threads, turn by turn, and must break the same invariant. */

import { explore } from "../../src/explore/explore.ts";
import { forceCase } from "../../src/run/forced-case.ts";
import { type Case, programOf } from "../../src/scenario/case.ts";

export interface ForcedReplays {
  readonly id: string;
  readonly schedules: number;
  /** Of those, how many are unlike each other. */
  readonly different: number;
  readonly mostPreemptions: number;
  readonly strays: readonly string[];
}

/** Explores a case under `seeds` seeds from `seed` on, with default options, and forces what each finds. */
export async function forceFailures({ id, broken }: Case, seed: number, seeds: number): Promise<ForcedReplays> {
  const texts = new Set<string>();
  const strays: string[] = [];
  let mostPreemptions = 0;
  for (let one = seed; one < seed + seeds; one++) {
    const { violation } = explore(programOf(broken), { seed: one });
    if (!violation) {
      strays.push(`${id}, seed ${one}: nothing was found`);
      continue;
    }
    texts.add(violation.text);
    mostPreemptions = Math.max(mostPreemptions, violation.preemptions);
    const forced = await forceCase(broken, violation.schedule);
    if (forced?.invariant === violation.invariant) continue;
    strays.push(`${id}, seed ${one}: ${violation.invariant} became ${forced?.message ?? "nothing"}`);
  }
  return { id, schedules: seeds, different: texts.size, mostPreemptions, strays };
}
