/** A crowd, staged once and reset by copy, run step by step under many seeds. */

import type { Cpu } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { findViolations } from "../../src/check/index.ts";
import { interleave } from "../../src/explore/engine.ts";
import type { Outcome } from "../../src/explore/outcome.ts";
import type { Scheduler } from "../../src/explore/scheduler.ts";
import { bootMachine, cpuOf } from "../../src/machine/boot.ts";
import { type CrowdProgram, endCrowd, stageCrowd } from "../../src/machine/crowd.ts";
import { type CrowdMachine, type CrowdSetup, crowdShape } from "../../src/machine/crowd-setup.ts";
import type { MachineMap } from "../../src/machine/memory-map.ts";
import { roles } from "../../src/machine/roles.ts";
import { OomGlobals } from "../../src/oom/globals.ts";
import { lockClassNames } from "../../src/sync/lock-class.ts";

export class CrowdLab {
  readonly map: MachineMap;
  readonly words: Int32Array;
  readonly programs: readonly CrowdProgram[];
  readonly #hog: number;
  readonly #start: Int32Array;

  constructor(setup: CrowdSetup, machine: CrowdMachine = { lockGranularity: "table", levels: 4 }) {
    const { map, words } = bootMachine(crowdShape(setup, machine));
    this.map = map;
    this.words = words;
    const cpus = Array.from({ length: map.shape.cpus }, (_, id) => cpuOf(words, map, id, soloPort()));
    const { programs, hog } = stageCrowd(cpus, map.board.base, setup);
    this.programs = programs;
    this.#hog = hog;
    this.#start = words.slice();
  }

  /** The handle of a CPU on which something is done before or after a run. */
  cpu(id: number): Cpu {
    return cpuOf(this.words, this.map, id, soloPort());
  }

  /** From the start barrier, where `change` may still do something, to the end of all. */
  run(scheduler: Scheduler, change: () => void = () => {}): Outcome {
    const { words, map } = this;
    words.set(this.#start);
    change();
    const byCpu = [...this.programs].sort((a, b) => a.cpu - b.cpu);
    const { base, struct } = map.cpuSync;
    return interleave({
      words,
      programs: byCpu.map(
        ({ role, params }) =>
          (cpu) =>
            roles[role as keyof typeof roles](cpu, params as never),
      ),
      cpuOf: (id, port) => cpuOf(words, map, id, port),
      scheduler,
      sync: { words, base, stride: struct.WORDS, cpus: byCpu.length, classNames: lockClassNames() },
    });
  }

  /** After a run that finished: "I1: ..." of what does not hold once everything is given back. */
  end(): string[] {
    runToEnd(endCrowd(this.cpu(0), this.#hog));
    return findViolations(this.words, this.map).map(({ message }) => message);
  }

  /** What the program of that role returned, or undefined where it returns nothing. */
  resultOf(outcome: Outcome, role: string): unknown {
    const cpu = this.programs.find((program) => program.role === role)?.cpu;
    return outcome.state === "finished" && cpu !== undefined ? outcome.results[cpu] : undefined;
  }

  /** Processes that the OOM killer killed. */
  get oomKills(): number {
    return this.words[this.map.root + OomGlobals.oomKills] as number;
  }
}
