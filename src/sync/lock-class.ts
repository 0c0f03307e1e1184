/** Lock classes: locks of one class share a name, statistics and a place in the lock order (as in lockdep). */

import { assert } from "../base/assert.ts";

/** Most classes one program may name; statistics and the order matrix are sized by it. */
export const MAX_LOCK_CLASSES = 32;

const names: string[] = [];

/** Names a class and returns its number. Called at module load; the same name gives the same number. */
export function lockClass(name: string): number {
  const known = names.indexOf(name);
  if (known >= 0) return known;
  assert(names.length < MAX_LOCK_CLASSES, `lockClass: more than ${MAX_LOCK_CLASSES} classes`);
  return names.push(name) - 1;
}

/** Names of all classes, by number. */
export function lockClassNames(): readonly string[] {
  return names;
}
