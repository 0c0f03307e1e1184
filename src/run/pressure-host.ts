/**
 * A machine under memory pressure on the main thread's side: processes in user space, the reaper, and allocators who take
 * what is free and more. The OOM killer chooses who dies for it; a trial is over when every allocator has its memory.
 */

import { assert } from "../base/assert.ts";
import type { AllocatorResult } from "../machine/allocator-roles.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import type { ProcessSetup, StagedProcess } from "../machine/pressure.ts";
import type { MachineShape } from "../machine/shape.ts";
import type { TraceRecord } from "../trace/ring.ts";
import { actorSample } from "./actor-samples.ts";
import type { Actors } from "./actors.ts";
import type { Kernel } from "./kernel-variant.ts";
import type { Assignment, CpuResult, Crew, TrialResult } from "./parallel.ts";
import type { ActorSample, Role, StagingSample } from "./samples.ts";
import { StagedArena } from "./staged-arena.ts";

export interface PressureOptions extends Actors {
  /** One to a CPU; task slots and CPUs in this order. */
  readonly processes: readonly ProcessSetup[];
  /** Processes without a CPU, in the task slots behind; killed, they do not get to run. Default none. */
  readonly sleepers?: readonly ProcessSetup[];
  /** Pages of the first one that it writes to until it is killed; 0: it sleeps, as the others do. */
  readonly busy: { readonly startVpn: number; readonly pages: number };
  readonly levels: 4 | 5;
  readonly protocol: string;
  /** Pages that the allocators want, all together, beyond what is free: what kills have to bring. */
  readonly wanted: number;
  /** Entries of each CPU's trace ring; 0 for no tracing. */
  readonly traceEvents: number;
  /** Checked builds: whether the lock-order checker watches. */
  readonly lockOrder: boolean;
}

/** What the processes were killed for. Times are nanoseconds on the CPUs' clock. */
export interface PressureSample {
  readonly kills: number;
  /** Of those (`oom/needless`). */
  readonly needless: number;
  /**
   * "System is deadlocked on memory": nobody was left to kill. The machine stopped there: no actors, no invariants checked,
   * and the workers are gone (`BenchContext.close`).
   */
  readonly panicked: boolean;
  /** Processes with a CPU that were killed ("victim"), then reapers and allocators. */
  readonly actors: readonly ActorSample[];
}

/** One trial with what its CPUs traced. Times are nanoseconds since the first kill of process 0. */
export interface TracedPressure extends PressureSample {
  /** Of all CPUs, in the order of time, until the last allocator had its memory and whoever was killed had exited. */
  readonly trace: readonly TraceRecord[];
  /** Older events that did not fit the rings any more. */
  readonly lost: number;
  /** Word addresses of the mms of processes with a CPU, as the events name them. */
  readonly mms: readonly number[];
  /** Until process 0 and every reaper had left their last VMA. */
  readonly phaseNs: number;
}

/** Room beside the processes' own pages: batch pages, watermarks, per-CPU lists, and what allocators take first. */
const SPARE_FRAMES = 4096;
const SPARE_SHARE = 1 / 16;

function reaperCount({ reaper, reapers }: Actors): number {
  if (reaper === "none") return 0;
  return reaper === "mrelease" ? reapers : 1;
}

function allProcesses({ processes, sleepers = [] }: PressureOptions): readonly ProcessSetup[] {
  return [...processes, ...sleepers];
}

function shapeFor(kernel: Kernel, options: PressureOptions): MachineShape {
  const { levels, allocators } = options;
  const processes = allProcesses(options);
  const sum = (of: (process: ProcessSetup) => number): number => processes.reduce((total, one) => total + of(one), 0);
  const pages = sum(({ mappings }) => kernel.countPresent(mappings));
  const tables = sum(({ mappings }) => kernel.countTables(mappings, levels));
  return {
    cpus: options.processes.length + reaperCount(options) + allocators,
    frames: pages + tables + SPARE_FRAMES + Math.ceil(pages * SPARE_SHARE),
    ...kernel.countKinds(processes.flatMap(({ mappings }) => mappings)),
    tables: tables + 8,
    vmas: sum(({ mappings }) => mappings.length) + 1,
    mms: processes.length,
    tasks: processes.length + allocators,
    protocol: options.protocol,
    lockGranularity: options.lockGranularity,
    levels,
    reschedEvery: kernel.RESCHED_EVERY,
    oomKiller: true,
    oomReaper: options.reaper === "kthread",
    traceEvents: options.traceEvents,
    lockOrder: options.lockOrder,
  };
}

/** `Violation.invariant` of the emulated panic. */
const PANIC = "panic";

interface Staged {
  readonly processes: readonly StagedProcess[];
  readonly freePages: number;
}

export class PressureHost {
  readonly options: PressureOptions;
  readonly #kernel: Kernel;
  readonly #arena: StagedArena<Staged>;
  readonly #firstReaper: number;
  readonly #firstAllocator: number;

  /** Boots a machine and stages its processes; throws UsageError when no machine holds them. */
  constructor(kernel: Kernel, options: PressureOptions) {
    this.#kernel = kernel;
    this.options = options;
    this.#firstReaper = options.processes.length;
    this.#firstAllocator = this.#firstReaper + reaperCount(options);
    this.#arena = new StagedArena(kernel, shapeFor(kernel, options), (words, map) => this.#stage(words, map));
  }

  get map(): MachineMap {
    return this.#arena.map;
  }

  get words(): Int32Array {
    return this.#arena.words;
  }

  get staging(): StagingSample {
    return this.#arena.staging;
  }

  get resetsByCopy(): boolean {
    return this.#arena.resetsByCopy;
  }

  async attach(crew: Crew): Promise<void> {
    await this.#arena.attach(crew);
  }

  /** Kills so far in the trial that runs or ran last, one that failed included. */
  get kills(): Pick<PressureSample, "kills" | "needless"> {
    const word = (field: number): number => this.words[this.map.root + field] as number;
    const { oomKills, needlessKills } = this.#kernel.OomGlobals;
    return { kills: word(oomKills), needless: word(needlessKills) };
  }

  #stage(words: Int32Array, map: MachineMap): Staged {
    const { cpuOf, soloPort, runToEnd, stageProcess, stageSleeper, stageAllocator, setSpeed } = this.#kernel;
    const { processes, sleepers = [], protocol, allocators, victimSpeed, reaperSpeed } = this.options;
    const cpu = (id: number) => cpuOf(words, map, id, soloPort());
    // Sleepers first, because CPU 0 then goes on to its own process.
    for (const [i, sleeper] of sleepers.entries()) {
      runToEnd(stageSleeper(cpu(0), processes.length + i, protocol, sleeper));
    }
    const staged = processes.map((process, slot) => runToEnd(stageProcess(cpu(slot), slot, protocol, process)));
    for (let i = 0; i < allocators; i++) {
      runToEnd(stageAllocator(cpu(this.#firstAllocator + i), processes.length + sleepers.length + i, i));
    }
    this.#kernel.resetFigures(words, map);
    for (let id = 0; id < this.#firstAllocator; id++) {
      setSpeed(words, map, id, id < processes.length ? victimSpeed : reaperSpeed);
    }
    return { processes: staged, freePages: runToEnd(this.#kernel.nrFreePages(cpu(0))) };
  }

  /** From pressure to recovery; `order` is the reaper's walk, null where there is none. */
  async trial(crew: Crew, order: string | null): Promise<PressureSample> {
    this.#arena.reset();
    const result = await this.#run(crew, order);
    return result ? this.#finish(result, this.#actors(result, result.releaseNs)) : this.#panic();
  }

  /** As `trial`, on a host with `traceEvents`. */
  async tracedTrial(crew: Crew, order: string | null): Promise<TracedPressure> {
    this.#arena.reset();
    // What building the processes left there.
    this.#arena.drainRings();
    const result = await this.#run(crew, order);
    const rings = this.#arena.drainRings();
    const records = this.#kernel.mergeTraces(rings);
    const killNs = this.#killNs(records);
    const actors = result ? this.#actors(result, killNs) : [];
    const walked = actors.filter(({ role }) => role !== "allocator").map(({ wallNs }) => wallNs);
    return {
      ...(result ? this.#finish(result, actors) : this.#panic()),
      trace: records.map((record) => ({ ...record, timeNs: record.timeNs - killNs })),
      lost: rings.reduce((sum, ring) => sum + ring.lost, 0),
      mms: this.#arena.staged.processes.map(({ mm }) => mm),
      phaseNs: Math.max(0, ...walked),
    };
  }

  /** undefined when it ended in a panic. */
  async #run(crew: Crew, order: string | null): Promise<TrialResult | undefined> {
    try {
      return await crew.trial(this.#assignments(order));
    } catch (error) {
      if ((error as { invariant?: unknown }).invariant === PANIC) return undefined;
      throw error;
    }
  }

  #panic(): PressureSample {
    return { ...this.kills, panicked: true, actors: [] };
  }

  /** When process 0 was sent its signal: no trial ends before that. */
  #killNs(records: readonly TraceRecord[]): number {
    const { SIGNAL_GENERATE, FIRST_PROCESS_PID, traceFields } = this.#kernel;
    const kill = records.find((one) => one.event === SIGNAL_GENERATE && traceFields(one).pid === FIRST_PROCESS_PID);
    assert(kill !== undefined, "tracedTrial: process 0 was never killed");
    return kill.timeNs;
  }

  /** Whoever lives exits, allocators give their memory back, and every invariant is checked; throws the first Violation. */
  #finish(result: TrialResult, actors: readonly ActorSample[]): PressureSample {
    const { cpuOf, soloPort, runToEnd, endProcess, endPressure, findViolations } = this.#kernel;
    const cpu = (id: number) => cpuOf(this.words, this.map, id, soloPort());
    const { kills } = this;
    for (const slot of allProcesses(this.options).keys()) {
      runToEnd(endProcess(cpu(slot < this.#firstReaper ? slot : 0), slot));
    }
    const chains = result.cpus.flatMap((one) =>
      this.#roleOf(one) === "allocator" ? [(one.result as AllocatorResult).chain] : [],
    );
    runToEnd(endPressure(cpu(0), chains));
    // Needless kills are what is counted here, not a reason to stop.
    const broken = findViolations(this.words, this.map).find(({ invariant }) => invariant !== "I5");
    if (broken) throw broken;
    return { ...kills, panicked: false, actors };
  }

  #assignments(order: string | null): Assignment[] {
    const { processes, reaper, protocol, allocators, wanted, busy } = this.options;
    const asleep = { startVpn: 0, pages: 0 };
    const all: Assignment[] = processes.map((_, cpu) => ({
      cpu,
      role: "userProcess",
      params: { ...(cpu === 0 ? busy : asleep) },
    }));
    for (let cpu = this.#firstReaper; order !== null && cpu < this.#firstAllocator; cpu++) {
      const params = { protocol, order, processes: allProcesses(this.options).length };
      all.push({ cpu, role: reaper === "kthread" ? "oomReaperKthread" : "mreleaseCaller", params });
    }
    const pages = Math.floor((this.#arena.staged.freePages + wanted) / allocators);
    for (let i = 0; i < allocators; i++) {
      all.push({ cpu: this.#firstAllocator + i, role: "pressureAllocator", params: { pages } });
    }
    return all;
  }

  #actors(result: TrialResult, originNs: number): ActorSample[] {
    return result.cpus.flatMap((one) => {
      const role = this.#roleOf(one);
      if (role === undefined) return [];
      const figures = this.#kernel.readFigures(this.words, this.map, one.cpu);
      const since = role === "allocator" ? result.releaseNs : originNs;
      return [actorSample({ role, cpuNs: one.cpuNs, result: one.result }, figures, since)];
    });
  }

  /** undefined for a process that lives on. */
  #roleOf({ cpu, result }: CpuResult): Role | undefined {
    if (cpu >= this.#firstAllocator) return "allocator";
    if (cpu >= this.#firstReaper) return "reaper";
    return (result as { killed: number }).killed === 1 ? "victim" : undefined;
  }
}
