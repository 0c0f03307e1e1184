/**
 * A schedule with what it is of, as one word for the command line: "B3:AWiG...", of the mended protocol
 * "B3+fixed:AWiG...", of a user's module "./mine.ts:AWiG...".
 */

import { UsageError } from "../base/errors.ts";
import { type PackedSchedule, readScheduleString } from "../explore/schedule-string.ts";

export interface CaseSchedule {
  /** The case's id, or the path of a module. */
  readonly name: string;
  readonly fixed: boolean;
  readonly packed: PackedSchedule;
}

const FIXED = "+fixed";

/** `text` is what `writeScheduleString` wrote. */
export function writeCaseSchedule(id: string, fixed: boolean, text: string): string {
  return `${id}${fixed ? FIXED : ""}:${text}`;
}

/** Throws UsageError on what `writeCaseSchedule` does not write. */
export function readCaseSchedule(word: string): CaseSchedule {
  const colon = word.lastIndexOf(":");
  if (colon < 0)
    throw new UsageError(`schedule "${word}": expected CASE:... or FILE:..., as \`oomrace explore\` prints it`);
  const name = word.slice(0, colon);
  const fixed = name.endsWith(FIXED);
  return {
    name: fixed ? name.slice(0, -FIXED.length) : name,
    fixed,
    packed: readScheduleString(word.slice(colon + 1)),
  };
}
