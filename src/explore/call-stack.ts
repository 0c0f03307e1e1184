/** The functions that a program is in, from V8's stack text. */

import { SEAM_NAMES } from "./stepped-port.ts";

/** A function on a stack, and the file that it is from. */
export interface StackFrame {
  readonly name: string;
  readonly file: string;
}

export interface ProgramStack {
  /** Generator functions of the CPU that runs, innermost first, without the seam's. */
  readonly frames: readonly StackFrame[];
  /** The seam's file. */
  readonly seam: string;
}

/** Two for each function. */
const MAX_FRAMES = 128;

const FRAME = /^\s*at (?:async )?(?:[\w$]+\.)*([\w$]+) \((.*):\d+:\d+\)$/;
/** Innermost functions of the seam, by way of which the explorer hears of an operation or a plain access. */
const SEAM_FRAME = /^\s*at (?:proceed|load|store) /;

/** The stack of the CPU that runs. */
export function programStack(): ProgramStack {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = MAX_FRAMES;
  const lines = (new Error().stack ?? "").split("\n");
  Error.stackTraceLimit = stackTraceLimit;
  const seam = lines.find((line) => SEAM_FRAME.test(line)) ?? "";
  return { frames: framesOf(lines), seam: FRAME.exec(seam)?.[2] ?? "" };
}

/** Names of its functions. */
export function functionsHere(): string[] {
  return programStack().frames.map(({ name }) => name);
}

/** V8 prints the frame of a generator and below it its own `next`; below `#advance` there is the CPU that lets others run. */
function framesOf(lines: readonly string[]): StackFrame[] {
  const frames: StackFrame[] = [];
  for (let i = 0; i + 1 < lines.length; i++) {
    if (/#advance\b/.test(lines[i] as string)) break;
    if (!/\.next \(<anonymous>\)$/.test(lines[i + 1] as string)) continue;
    const [, name, file] = FRAME.exec(lines[i] as string) ?? [];
    if (name !== undefined && file !== undefined && !SEAM_NAMES.has(name)) frames.push({ name, file });
  }
  return frames;
}
