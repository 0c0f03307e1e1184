/** Options that name a file to write: a target that cannot be written is said before the work, not after it. */

import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { UsageError } from "../base/errors.ts";

export const JSON_FLAGS = "--json <file>";

/** Throws UsageError unless the value is "-" or a file that can be written or made. */
export function writableTarget(option: string): (target: string) => string {
  return (target) => {
    const problem = target === "-" ? undefined : problemOf(resolve(target));
    if (problem !== undefined) throw new UsageError(`${option} ${target}: ${problem}, expected a writable file or -`);
    return target;
  };
}

export const jsonTarget = writableTarget("--json");

function problemOf(path: string): string | undefined {
  const there = statSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory()) return "a folder";
  try {
    accessSync(there ? path : dirname(path), constants.W_OK);
    return undefined;
  } catch (error) {
    return `cannot be written (${(error as NodeJS.ErrnoException).code})`;
  }
}
