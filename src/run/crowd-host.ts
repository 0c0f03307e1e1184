/** One staged crowd on the main thread's side: its arena, its snapshot, and what a run of it came to. */

import { Violation } from "../base/errors.ts";
import type { CrowdProgram } from "../machine/crowd.ts";
import type { CrowdMachine, CrowdSetup } from "../machine/crowd-setup.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import type { CrewHost } from "./bench/context.ts";
import type { Kernel } from "./kernel-variant.ts";
import type { Assignment, CpuResult, Crew, TrialResult } from "./parallel.ts";

/** How a run of a crowd ended. */
export interface CrowdOutcome {
  /** Processes killed by the OOM killer, and those that were left over and killed in the end. */
  readonly oomKills: number;
  readonly otherKills: number;
  /** Accesses of bystanders that found their memory as it should be. */
  readonly accesses: number;
  /** The machine panicked: everybody who could be killed was dying already. */
  readonly panicked: boolean;
  /** What did not hold, in order. */
  readonly violations: readonly Violation[];
  /** A CPU stopped at a violation or panic, and with it went the workers. */
  readonly crewLost: boolean;
}

/** Looked at before processes are released, which takes their traces away. */
const BEFORE_THE_END = ["I9", "I12"];

export class CrowdHost implements CrewHost {
  readonly setup: CrowdSetup;
  readonly map: MachineMap;
  readonly words: Int32Array;
  readonly resetsByCopy = true;
  readonly #kernel: Kernel;
  readonly #start: Int32Array;
  readonly #programs: readonly CrowdProgram[];
  readonly #hog: number;

  /** Boots a machine and builds the crowd in it. */
  constructor(kernel: Kernel, setup: CrowdSetup, machine: CrowdMachine) {
    this.#kernel = kernel;
    this.setup = setup;
    const { map, words } = kernel.bootMachine(kernel.crowdShape(setup, machine));
    this.map = map;
    this.words = words;
    const cpus = Array.from({ length: map.shape.cpus }, (_, id) => kernel.cpuOf(words, map, id, kernel.soloPort()));
    const staged = kernel.stageCrowd(cpus, map.board.base, setup);
    this.#programs = staged.programs;
    this.#hog = staged.hog;
    kernel.resetFigures(words, map);
    this.#start = words.slice();
  }

  async attach(crew: Crew): Promise<void> {
    const { base, struct, count } = this.map.cpuSync;
    const classNames = this.#kernel.lockClassNames();
    await crew.attach({
      arena: this.words.buffer as SharedArrayBuffer,
      machine: this.map.shape,
      sync: { words: this.words, base, stride: struct.WORDS, cpus: count, classNames },
    });
  }

  /** One run from the start barrier. Rejects with what the crew rejects with, but for a Violation, which is an outcome. */
  async run(crew: Crew): Promise<CrowdOutcome> {
    this.words.set(this.#start);
    let result: TrialResult;
    try {
      result = await crew.trial(this.#programs as readonly Assignment[]);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "Violation") throw error;
      return this.#stopped(error as Violation);
    }
    return this.#ended(result);
  }

  get #oomKills(): number {
    return this.words[this.map.root + this.#kernel.OomGlobals.oomKills] as number;
  }

  #check(names: readonly string[]): Violation[] {
    const { INVARIANTS } = this.#kernel;
    return INVARIANTS.filter(({ name }) => names.includes(name)).flatMap(({ name, check }) =>
      check(this.words, this.map).map((message) => new Violation(name, message)),
    );
  }

  #stopped(violation: Violation): CrowdOutcome {
    const early = this.#check(["I5"]);
    const panicked = violation.invariant === "panic" && this.#nobodyIsLeft();
    return {
      oomKills: this.#oomKills,
      otherKills: 0,
      accesses: 0,
      panicked,
      violations: panicked ? early : [...early, violation],
      crewLost: true,
    };
  }

  /** Whether all who may be killed are victims that the scan passes by. */
  #nobodyIsLeft(): boolean {
    const { Task, Signal, Mm, elementOf, MMF_OOM_SKIP, OOM_SCORE_ADJ_MIN, PF_KTHREAD } = this.#kernel;
    const word = (at: number): number => this.words[at] as number;
    for (let slot = 0; slot < this.map.tasks.count; slot++) {
      const task = elementOf(this.map.tasks, slot);
      const signal = word(task + Task.signal);
      if (word(task + Task.pid) === 0 || (word(task + Task.flags) & PF_KTHREAD) !== 0) continue;
      if (word(signal + Signal.oomScoreAdj) === OOM_SCORE_ADJ_MIN) continue;
      const mm = word(signal + Signal.oomMm) || word(task + Task.mm);
      if (mm !== 0 && (word(mm + Mm.flags) & MMF_OOM_SKIP) === 0) return false;
    }
    return true;
  }

  #ended({ cpus }: TrialResult): CrowdOutcome {
    const before = this.#check(BEFORE_THE_END);
    const { kernel, cpu } = this.#boot();
    kernel.runToEnd(kernel.endCrowd(cpu, this.#hog));
    return {
      oomKills: this.#oomKills,
      otherKills: resultOf(cpus, "crowdDirector", "killed"),
      accesses: resultOf(cpus, "crowdBystander", "accesses"),
      panicked: false,
      violations: [...before, ...kernel.findViolations(this.words, this.map)],
      crewLost: false,
    };
  }

  #boot() {
    const kernel = this.#kernel;
    return { kernel, cpu: kernel.cpuOf(this.words, this.map, 0, kernel.soloPort()) };
  }
}

function resultOf(cpus: readonly CpuResult[], role: string, field: string): number {
  const of = cpus.find((cpu) => cpu.role === role)?.result;
  return (of?.[field] as number | undefined) ?? 0;
}
