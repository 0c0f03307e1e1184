/** The functions that a program is in, by name, from V8's stack text. */

import { SEAM_NAMES } from "./stepped-port.ts";

/** Two for each function. */
const MAX_FRAMES = 128;

/** Names of the generator functions on the stack of the CPU that runs, innermost first, without the seam's. */
export function functionsHere(): string[] {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = MAX_FRAMES;
  const stack = new Error().stack ?? "";
  Error.stackTraceLimit = stackTraceLimit;
  return functionsOf(stack);
}

/** V8 prints the frame of a generator and below it its own `next`; below `#advance` there is the CPU that lets others run. */
function functionsOf(stack: string): string[] {
  const lines = stack.split("\n");
  const names: string[] = [];
  for (let i = 0; i + 1 < lines.length; i++) {
    if (/#advance\b/.test(lines[i] as string)) break;
    if (!/\.next \(<anonymous>\)$/.test(lines[i + 1] as string)) continue;
    const name = /^\s*at (?:async )?(?:[\w$]+\.)*([\w$]+) \(/.exec(lines[i] as string)?.[1];
    if (name !== undefined && !SEAM_NAMES.has(name)) names.push(name);
  }
  return names;
}
