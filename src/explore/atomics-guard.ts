/**
 * What a thread does to the shared words by `Atomics` itself, past the seam, no scheduler sees and no report shows. While
 * an execution is audited, such a call is refused: the explorer never guesses what a primitive does.
 */

import * as seam from "../arena/mem.ts";
import type { Subject } from "./program.ts";
import { type PlaceOf, placeInFrame } from "./source-place.ts";

/** A thread uses a primitive that the explorer does not know. Neither a race that was found nor a fault of oomrace. */
export class UnknownPrimitive extends Error {
  override readonly name = "UnknownPrimitive";
}

type AtomicsFunction = (words: Int32Array, ...operands: number[]) => unknown;

const KINDS = [
  "load",
  "store",
  "add",
  "sub",
  "and",
  "or",
  "xor",
  "exchange",
  "compareExchange",
  "wait",
  "notify",
] as const;
/** The seam's own functions, which may. */
const SEAM: ReadonlySet<string> = new Set(Object.keys(seam));

/** Runs `run`; throws UnknownPrimitive afterwards when anything but the seam has used `Atomics` on its words meanwhile. */
export function withAtomicsWatched<T>({ words, placeOf }: Pick<Subject, "words" | "placeOf">, run: () => T): T {
  const atomics = Atomics as unknown as Record<string, AtomicsFunction>;
  const originals = KINDS.map((kind) => atomics[kind] as AtomicsFunction);
  let refused = "";
  KINDS.forEach((kind, i) => {
    atomics[kind] = function watched(array, ...operands) {
      if (array.buffer === words.buffer && refused === "") refused = strangerOn(shortStack(), kind, placeOf);
      return (originals[i] as AtomicsFunction)(array, ...operands);
    };
  });
  try {
    const result = run();
    if (refused === "") return result;
  } finally {
    KINDS.forEach((kind, i) => {
      atomics[kind] = originals[i] as AtomicsFunction;
    });
  }
  throw new UnknownPrimitive(
    `explore: ${refused}, expected the operations of oomrace/kernel, which a scheduler can see`,
  );
}

/** Of its caller, and that one's caller. */
function shortStack(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 3;
  const { stack = "" } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return stack;
}

/** "Atomics.add in addOne (file:line:column)", or "" when the caller is the seam. */
function strangerOn(stack: string, kind: string, placeOf?: PlaceOf): string {
  const [, , , caller = ""] = stack.split("\n");
  const [, name = "", place = caller.trim()] = /^\s*at (?:[\w$]+\.)*([\w$]+) \((.*)\)$/.exec(caller) ?? [];
  return SEAM.has(name) ? "" : `Atomics.${kind} in ${name} (${placeInFrame(caller, placeOf) ?? place})`;
}
