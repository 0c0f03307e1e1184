/** A case on real worker threads, turn by turn as an explored schedule has it. */

import { type Finding, findingBy, findingOf } from "../explore/finding.ts";
import type { Schedule } from "../explore/schedule.ts";
import { type CaseVariant, programOf } from "../scenario/case.ts";
import { ForcedCrew } from "./forced.ts";
import { workerUrl } from "./kernel-variant.ts";
import type { PlainRecord } from "./messages.ts";

/**
 * Follows `schedule` on the gated build and returns what went wrong, undefined when nothing did. Threads that are not done
 * at the end of the schedule are ended there. Rejects as `ForcedCrew.run` does.
 */
export async function forceCase(variant: CaseVariant, schedule: Schedule): Promise<Finding | undefined> {
  const program = programOf(variant);
  const { words, roles, sync, describe } = program;
  const crew = new ForcedCrew({ worker: workerUrl("forced"), cpus: roles.length });
  try {
    const outcome = await crew.run({
      arena: words.buffer as SharedArrayBuffer,
      machine: program.map.shape,
      programs: roles.map(({ role, params }) => ({ role, params: params as PlainRecord })),
      schedule,
      ...(sync && { sync }),
      ...(describe && { describe }),
    });
    const finding = findingOf(outcome);
    if (finding) return finding;
    return findingBy(() => (outcome.state === "finished" ? program.check?.(words, []) : program.invariants?.(words)));
  } finally {
    await crew.close();
  }
}
