/** A machine with a process or two in it, whose CPUs run whatever programs a test gives them. */

import type { Cpu, Steps, Upcalls } from "../../src/arena/cpu.ts";
import { OP_NAMES, OP_NONE, runToEnd } from "../../src/arena/mem.ts";
import { describeAddress } from "../../src/arena/region.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { Random } from "../../src/base/random.ts";
import { findViolations } from "../../src/check/index.ts";
import { interleave } from "../../src/explore/engine.ts";
import { describeOutcome, type Outcome } from "../../src/explore/outcome.ts";
import { CPU_ENDED, CPU_WAITS, PENDING_WORDS } from "../../src/explore/run-state.ts";
import { timerChoice } from "../../src/explore/schedule.ts";
import type { Scheduler, StepView } from "../../src/explore/scheduler.ts";
import { buildAddressSpace, type Mapping } from "../../src/machine/address-space.ts";
import { bootMachine, cpuOf } from "../../src/machine/boot.ts";
import { elementOf, type MachineMap } from "../../src/machine/memory-map.ts";
import { findProtocol } from "../../src/machine/roles.ts";
import { type MachineShape, TOY_SHAPE } from "../../src/machine/shape.ts";
import { mmAlloc } from "../../src/mm/mm.ts";
import { MM_ANONPAGES, Mm } from "../../src/mm/mm-struct.ts";
import { drainPages } from "../../src/mm/pcp.ts";
import { lockClassNames } from "../../src/sync/lock-class.ts";
import { createTask, switchTo, type TaskSpec } from "../../src/task/task.ts";
import { TOY_MAPPINGS } from "../helpers/race.ts";

export type Program = (cpu: Cpu) => Steps<unknown>;

/** Word addresses of one process. */
export interface Process {
  readonly task: number;
  readonly mm: number;
}

export class OomLab {
  readonly map: MachineMap;
  readonly words: Int32Array;
  /** Replaces the protocol's own exit_mmap, for mutations. */
  readonly #exitMmap: Upcalls["exitMmap"] | undefined;
  #snapshot: Int32Array | undefined;

  constructor(shape: Partial<MachineShape> & { readonly protocol: string }, exitMmap?: Upcalls["exitMmap"]) {
    const { map, words } = bootMachine({ ...TOY_SHAPE, ...shape });
    this.map = map;
    this.words = words;
    this.#exitMmap = exitMmap;
  }

  cpu(id: number, port = soloPort()): Cpu {
    const cpu = cpuOf(this.words, this.map, id, port);
    const exitMmap = this.#exitMmap;
    return exitMmap ? { ...cpu, upcalls: { ...cpu.upcalls, exitMmap } } : cpu;
  }

  /** Runs one program alone, before or after a race. */
  alone<T>(id: number, program: (cpu: Cpu) => Steps<T>): T {
    return runToEnd(program(this.cpu(id)));
  }

  /** A live process in task slot `slot`, running on CPU `slot`, with its pages faulted in. */
  spawn(slot: number, mappings: readonly Mapping[] = TOY_MAPPINGS, more: Partial<TaskSpec> = {}): Process {
    return this.alone(slot, (cpu) => spawnProcess(cpu, this.map.shape.protocol, slot, mappings, more));
  }

  /** Another process in `slot` that shares the address space of the first (CLONE_VM). */
  share(slot: number, { mm }: Process): Process {
    const cpu = this.cpu(slot);
    const task = createTask(cpu, slot, { pid: 1000 + slot, mm });
    this.words[mm + Mm.mmUsers]!++;
    switchTo(cpu, task);
    return { task, mm };
  }

  /** What `reset` goes back to. */
  keep(): void {
    this.#snapshot = this.words.slice();
  }

  reset(): void {
    if (!this.#snapshot) throw new Error("reset: nothing was kept");
    this.words.set(this.#snapshot);
  }

  /** Runs one program per CPU under a scheduler. */
  run(programs: readonly Program[], scheduler: Scheduler, afterStep?: () => void): Outcome {
    const { base, struct } = this.map.cpuSync;
    return interleave({
      words: this.words,
      programs,
      cpuOf: (id, port) => this.cpu(id, port),
      scheduler,
      sync: { words: this.words, base, stride: struct.WORDS, cpus: programs.length, classNames: lockClassNames() },
      ...(afterStep && { afterStep }),
    });
  }

  /** As `run`, from the kept state; throws when the programs did not finish. Returns what they returned. */
  finish(programs: readonly Program[], scheduler: Scheduler, afterStep?: () => void): readonly unknown[] {
    this.reset();
    const outcome = this.run(programs, scheduler, afterStep);
    if (outcome.state !== "finished") throw new Error(`${scheduler.name}: ${describeOutcome(outcome)}`);
    return outcome.results;
  }

  /** "I1: ..." of every invariant that does not hold. */
  broken(): string[] {
    return findViolations(this.words, this.map).map(({ message }) => message);
  }

  word(at: number): number {
    return this.words[at] as number;
  }

  rss(mm: number): number {
    return this.word(mm + Mm.rss + MM_ANONPAGES);
  }

  sync(id: number): number {
    return elementOf(this.map.cpuSync, id);
  }
}

function* spawnProcess(
  cpu: Cpu,
  protocol: string,
  slot: number,
  mappings: readonly Mapping[],
  more: Partial<TaskSpec>,
): Steps<Process> {
  const mm = yield* mmAlloc(cpu, slot + 1, findProtocol(protocol).rwsemRules);
  const task = createTask(cpu, slot, { pid: 1000 + slot, mm, ...more });
  switchTo(cpu, task);
  yield* buildAddressSpace(cpu, mm, mappings, "sequential", 1);
  yield* drainPages(cpu);
  return { task, mm };
}

/** Runs one CPU until something holds, then goes on with the next stage. */
export interface Stage {
  readonly cpu: number;
  /** Looked at before each step. */
  readonly until: (view: StepView) => boolean;
}

/** Stage after stage, then as `rest` says. */
export function stagedScheduler(stages: readonly Stage[], rest: Scheduler): Scheduler {
  let at = 0;
  return {
    name: `staged, then ${rest.name}`,
    begin(cpus, execution) {
      at = 0;
      rest.begin(cpus, execution);
    },
    pick(view) {
      while (at < stages.length && (stages[at] as Stage).until(view)) at++;
      const stage = stages[at];
      if (!stage) return rest.pick(view);
      if (view.run.isReady(stage.cpu)) return stage.cpu;
      if (view.run.hasTimer(stage.cpu)) return timerChoice(stage.cpu);
      throw new Error(`stage ${at}: ${view.run.obstacle(stage.cpu)}, and what it shall run until does not hold`);
    },
  };
}

/** At random among those who can run; the clock moves on only when nobody can. */
export function patientScheduler(seed: number): Scheduler {
  const random = new Random(seed);
  return {
    name: `patient, seed ${seed}`,
    begin: () => {},
    pick({ enabled, enabledCount, timers }) {
      return enabledCount > 0 ? enabled[random.below(enabledCount)] : timerChoice(timers[0] as number);
    },
  };
}

/**
 * Runs of steps on one CPU, their mean length drawn per seed between 1 and 128. A uniform walk keeps CPUs abreast and
 * next to never lets one stand still while another does all its work, which is what most of these races need.
 */
export function burstScheduler(seed: number): Scheduler {
  const random = new Random(seed);
  const mean = 2 ** random.below(8);
  let current = -1;
  return {
    name: `burst, seed ${seed}`,
    begin: () => {
      current = -1;
    },
    pick({ enabled, enabledCount, timers, timerCount, run }) {
      if (current >= 0 && run.isReady(current) && random.below(mean) !== 0) return current;
      const chosen = random.below(enabledCount + timerCount);
      if (chosen >= enabledCount) return timerChoice(timers[chosen - enabledCount] as number);
      current = enabled[chosen] as number;
      return current;
    },
  };
}

/**
 * Two CPUs and two preemptions: `first` takes `before` steps, the other one `between`, then `first` goes on to its end,
 * then the other. Tried over all numbers it finds windows of one step, which bursts next to never hit.
 */
export function twoSwitches(first: number, before: number, between: number): Scheduler {
  const other = 1 - first;
  return {
    name: `${before} steps of CPU ${first}, ${between} of CPU ${other}`,
    begin: () => {},
    pick({ step, run, timers }) {
      const turn = step >= before && step < before + between ? other : first;
      if (run.isReady(turn)) return turn;
      return run.isReady(1 - turn) ? 1 - turn : timerChoice(timers[0] as number);
    },
  };
}

/** True once that CPU's program has returned. */
export function ended(cpu: number): Stage["until"] {
  return (view) => view.run.state[cpu] === CPU_ENDED;
}

/** True while that CPU sleeps on a word or for a time. */
export function asleep(cpu: number): Stage["until"] {
  return (view) => view.run.state[cpu] === CPU_WAITS;
}

/** A scheduler that writes down what each CPU does: "CPU 0 add mms[0].mmUsers -1", in order. */
export function recordingScheduler(lab: OomLab, inner: Scheduler, log: string[]): Scheduler {
  return {
    name: inner.name,
    begin: (cpus, execution) => inner.begin(cpus, execution),
    pick(view) {
      const choice = inner.pick(view);
      if (choice === undefined || choice < 0) return choice;
      const [kind, word, a] = view.run.pending.subarray(choice * PENDING_WORDS, choice * PENDING_WORDS + 3);
      if (kind !== OP_NONE) {
        log.push(`CPU ${choice} ${OP_NAMES[kind as number]} ${describeAddress(lab.map.memory, word as number)} ${a}`);
      }
      return choice;
    },
  };
}
