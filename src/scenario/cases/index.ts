/** The cases, by id. A new one is a file here and a line below. */

import { UsageError } from "../../base/errors.ts";
import type { Case } from "../case.ts";
import { b1 } from "./b1.ts";
import { b3 } from "./b3.ts";
import { b25 } from "./b25.ts";
import { b29 } from "./b29.ts";
import { b30 } from "./b30.ts";
import { b31 } from "./b31.ts";
import { BROKEN_LOCK_CASES, LOCK_CASES } from "./locks.ts";
import { RACE_CASES } from "./races.ts";

export const CASES: readonly Case[] = [b1, b3, b25, b29, b30, b31];

/** Races under every protocol and locks as well, the locks that are broken on purpose last. */
export const ALL_CASES: readonly Case[] = [...CASES, ...RACE_CASES, ...LOCK_CASES, ...BROKEN_LOCK_CASES];

export function findCase(id: string): Case {
  const found = ALL_CASES.find((one) => one.id.toLowerCase() === id.toLowerCase());
  if (found) return found;
  const bugs = CASES.map((one) => one.id).join(", ");
  throw new UsageError(`case "${id}": expected one of ${bugs}, race:... or lock:..., as \`oomrace list\` shows them`);
}
