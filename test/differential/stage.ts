/** A machine and its CPUs in one build of the kernel, for a program that one CPU at a time runs. */

import type { Cpu, Port } from "../../src/arena/cpu.ts";
import { WAIT_TIMED_OUT } from "../../src/arena/mem.ts";
import { Random } from "../../src/base/random.ts";
import type { MachineMap } from "../../src/machine/memory-map.ts";
import type { MachineShape } from "../../src/machine/shape.ts";
import { Task } from "../../src/task/task.ts";

export type Kernel = typeof import("../../src/kernel.ts");

/** Task slots that processes may use; what lies behind them is the programs' own space for locks. */
export const PROCESS_SLOTS = 4;
const SCRATCH_SLOTS = 2;
/** Words of that space. */
export const SCRATCH_WORDS = SCRATCH_SLOTS * Task.WORDS;

export interface Stage {
  readonly kernel: Kernel;
  readonly map: MachineMap;
  readonly words: Int32Array;
  readonly cpus: readonly [Cpu, Cpu];
  /** Arena words that only the program uses. */
  readonly scratch: number;
  /** Boots anew; the clocks begin at 0 again. */
  reset(): void;
}

/** Counts how often it was read. */
interface Clock {
  reads: number;
}

/** A port whose time is the number of reads so far, and on which whoever sleeps with a timeout sleeps until then. */
function countingPort(clock: Clock): Port {
  return {
    pending: new Int32Array(4),
    nowNs: () => ++clock.reads,
    readsClock: () => {},
    // A real sleep in the stripped build then takes no time, and a read of the clock ends any timeout.
    usPerNs: 1e9,
    gate: () => {},
    granted: () => {},
    park: (word, timeoutUs) => {
      if (timeoutUs < 0) throw new Error(`the program would sleep for ever on word ${word}`);
    },
    parkResult: () => WAIT_TIMED_OUT,
    wake: () => 0,
  };
}

export function stageOf(kernel: Kernel, shape: MachineShape): Stage {
  const { map, words } = kernel.bootMachine(shape);
  const clocks: readonly [Clock, Clock] = [{ reads: 0 }, { reads: 0 }];
  const cpu = (id: 0 | 1): Cpu => kernel.cpuOf(words, map, id, countingPort(clocks[id]));
  const reset = (): void => {
    kernel.rebootMachine(words, map);
    // Searches for a task end before the scratch space.
    words[map.root + kernel.TaskGlobals.taskCount] = PROCESS_SLOTS;
    for (const clock of clocks) clock.reads = 0;
  };
  return {
    kernel,
    map,
    words,
    cpus: [cpu(0), cpu(1)],
    scratch: map.tasks.base + PROCESS_SLOTS * map.tasks.struct.WORDS,
    reset,
  };
}

/** A random small machine. */
export function randomShape(seed: number, protocols: readonly string[]): MachineShape {
  const random = new Random(seed);
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)] as T;
  const minFreePages = pick([0, 0, 10, 40]);
  return {
    cpus: 2,
    frames: 64 + minFreePages + random.below(pick([80, 600])),
    tables: 6 + random.below(20),
    vmas: 3 + random.below(14),
    mms: 1 + random.below(3),
    tasks: PROCESS_SLOTS + SCRATCH_SLOTS,
    protocol: pick(protocols),
    lockGranularity: pick(["mm", "table", "pte"] as const),
    levels: pick([4, 5] as const),
    reschedEvery: pick([0, 1, 7, 100]),
    minFreePages,
    traceEvents: pick([0, 16]),
    lockOrder: pick([true, false]),
  };
}
