/** `--json FILE`: a target that cannot be written is said before the work, not after it. */

import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { UsageError } from "../base/errors.ts";

export const JSON_FLAGS = "--json <file>";

/** Throws UsageError unless `target` is "-" or a file that can be written or made. */
export function jsonTarget(target: string): string {
  if (target === "-") return target;
  const problem = problemOf(resolve(target));
  if (problem !== undefined) throw new UsageError(`--json ${target}: ${problem}, expected a writable file or -`);
  return target;
}

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
