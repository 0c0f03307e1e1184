/** An execution step by step: who did what to which word, and in which functions, for diagrams and trace files. */

import { OP_NAMES, OP_NONE } from "../arena/mem.ts";
import { InternalFault } from "../base/errors.ts";
import { programStack } from "./call-stack.ts";
import { Executor, type Watch, watching } from "./executor.ts";
import type { Finding } from "./finding.ts";
import { lockCallIn } from "./lock-calls.ts";
import type { Subject } from "./program.ts";
import { PENDING_WORDS } from "./run-state.ts";
import type { Schedule } from "./schedule.ts";
import { fixedScheduler } from "./schedulers/fixed.ts";

export interface TracedStep {
  readonly step: number;
  readonly cpu: number;
  /** One of OP_NAMES; "timer" when its timer fired, "wake up" when it went on after a sleep. */
  readonly operation: string;
  /** Address of the word; -1 when none is touched. */
  readonly word: number;
  /** What the program calls the word. */
  readonly name: string;
  /** Operands as in the pending registers. */
  readonly a: number;
  readonly b: number;
  /** What the word held before and after the step; 0 without a word. */
  readonly before: number;
  readonly after: number;
  /** Functions on the CPU's stack, innermost first, without the seam. */
  readonly functions: readonly string[];
  /** Index in `functions` of the lock operation that the step is part of; -1 outside of locks. */
  readonly lockCall: number;
  /** Virtual nanoseconds after the step. */
  readonly timeNs: number;
}

export interface StepTrace {
  readonly steps: readonly TracedStep[];
  /** What the execution ended with; undefined when nothing was wrong with it. */
  readonly finding: Finding | undefined;
}

type Draft = { -readonly [K in keyof TracedStep]: TracedStep[K] };

/** Runs `schedule` once more, under the watch that it was found with, and writes down every step. */
export function traceSchedule(subject: Subject, schedule: Schedule, watch: Watch = {}): StepTrace {
  const steps: Draft[] = [];
  const { words } = subject;
  const executor = new Executor(subject, { ...watch, onOperation: noteStack });
  const { state } = executor.engine;
  let current: Draft | undefined;

  function noteStack(): void {
    if (!current) return;
    const { frames, seam } = programStack();
    current.functions = frames.map(({ name }) => name);
    current.lockCall = lockCallIn(frames, seam);
  }

  /** What the step before did is in memory by now. */
  function settle(): void {
    if (!current) return;
    current.after = current.word < 0 ? 0 : (words[current.word] as number);
    current.timeNs = state.clock[0] as number;
  }

  const finding = executor.execute(
    watching(fixedScheduler(schedule), (view, choice) => {
      settle();
      const cpu = choice < 0 ? ~choice : choice;
      const at = cpu * PENDING_WORDS;
      const [kind = OP_NONE, word = 0, a = 0, b = 0] = view.run.pending.subarray(at, at + PENDING_WORDS);
      const touches = choice >= 0 && kind !== OP_NONE;
      current = {
        step: view.step,
        cpu,
        operation: choice < 0 ? "timer" : kind === OP_NONE ? "wake up" : (OP_NAMES[kind] as string),
        word: touches ? word : -1,
        name: touches ? subject.describe(word) : "",
        a,
        b,
        before: touches ? (words[word] as number) : 0,
        after: 0,
        functions: [],
        lockCall: -1,
        timeNs: 0,
      };
      steps.push(current);
    }),
  );
  settle();
  if (steps.length !== schedule.length)
    throw new InternalFault("traceSchedule: the schedule was not followed to its end");
  return { steps, finding };
}
