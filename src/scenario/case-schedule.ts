/** A schedule of a case as one word for the command line: "B3:AWiG..." or, of the mended protocol, "B3+fixed:AWiG...". */

import { UsageError } from "../base/errors.ts";
import { type PackedSchedule, readScheduleString } from "../explore/schedule-string.ts";
import type { Case } from "./case.ts";
import { findCase } from "./cases/index.ts";

export interface CaseSchedule {
  readonly found: Case;
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
  if (colon < 0) throw new UsageError(`schedule "${word}": expected CASE:..., as \`oomrace explore\` prints it`);
  const name = word.slice(0, colon);
  const fixed = name.endsWith(FIXED);
  const found = findCase(fixed ? name.slice(0, -FIXED.length) : name);
  return { found, fixed, packed: readScheduleString(word.slice(colon + 1)) };
}
