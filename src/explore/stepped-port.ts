/** The port of a CPU in the interleaved engine, and its check that a step does exactly one shared operation. */

import type { PlainWatch, Port } from "../arena/cpu.ts";
import * as seam from "../arena/mem.ts";
import { Misstep } from "./misstep.ts";
import type { RaceDetector } from "./race-detector.ts";
import { PENDING_WORDS, type RunState } from "./run-state.ts";

/** What the engine allows in the step at hand. */
export interface Grant {
  /** Shared operations done since the step began. */
  done: number;
  /** 0 while a program runs up to its first scheduling point, 1 in every step after. */
  allowed: number;
}

export interface SteppedPortOptions {
  /** The arena. */
  readonly words: Int32Array;
  /** Hears of each operation before it is done. */
  readonly onOperation?: (cpu: number) => void;
  readonly races?: RaceDetector;
  /** Hears of plain accesses. */
  readonly plain?: PlainWatch;
}

export function steppedPort(run: RunState, cpu: number, grant: Grant, options: SteppedPortOptions): Port {
  const { words, onOperation, races, plain } = options;
  return {
    ...run.portOf(cpu),
    plain,
    gate: () => {},
    granted: () => {
      grant.done++;
      if (grant.done > grant.allowed) throw missedPoint(cpu, grant);
      onOperation?.(cpu);
      races?.operation(cpu, words, run.pending, cpu * PENDING_WORDS);
    },
    park: (word, timeoutUs) => run.park(cpu, word, timeoutUs),
    ...(races && { wake: (word, count) => run.wake(word, count, (woken) => races.woke(cpu, woken)) }),
  };
}

function missedPoint(cpu: number, grant: Grant): Misstep {
  const where = callerOfSeam(new Error().stack ?? "");
  return new Misstep(
    `granted: CPU ${cpu} did shared operation ${grant.done} of a step that was granted ${grant.allowed}; ` +
      `no scheduling point before ${where}`,
  );
}

/** Functions that stand between a program and its shared operations on the stack. */
export const SEAM_NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(seam),
  "granted",
  "proceed",
  "missedPoint",
  "next",
]);

/** The innermost stack frame that is neither the seam nor this file, as "function (file:line:column)". */
function callerOfSeam(stack: string): string {
  for (const line of stack.split("\n").slice(1)) {
    const match = /^\s*at (?:new |async )?(?:Object\.)?([\w$.]+)?.*?((?:file:|\/|\w:\\)[^()]*:\d+:\d+)\)?$/.exec(line);
    if (!match) continue;
    const name = match[1] ?? "";
    if (!SEAM_NAMES.has(name)) return `${name || "code"} (${match[2]})`;
  }
  return "an unknown line";
}
