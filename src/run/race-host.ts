/**
 * One staged race on the main thread's side: its arena, its snapshot, and what a trial came to. The CPUs are a crew's.
 */

import type { FrameOrder, Mapping } from "../machine/address-space.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import type { CpuFigures, Reaper, StagedRace } from "../machine/race.ts";
import type { LockGranularity, MachineShape } from "../machine/shape.ts";
import { MAX_CPUS } from "../task/task.ts";
import { actorSample } from "./actor-samples.ts";
import type { Kernel } from "./kernel-variant.ts";
import type { TwinStage } from "./native-twin.ts";
import type { Assignment, CpuResult, Crew, TrialResult } from "./parallel.ts";
import type { ActorSample, Role, StagingSample, TrialSample } from "./samples.ts";
import { StagedArena } from "./staged-arena.ts";

export interface RaceOptions {
  readonly mappings: readonly Mapping[];
  readonly levels: 4 | 5;
  readonly frames: FrameOrder;
  readonly protocol: string;
  readonly lockGranularity: LockGranularity;
  readonly reaper: Reaper;
  /** How many call process_mrelease. Default 1. */
  readonly reapers?: number;
  readonly allocators: number;
  /** Speed of the victim's and the reapers' CPUs, above 0 to 1. Default 1, full speed. */
  readonly victimSpeed?: number;
  readonly reaperSpeed?: number;
  readonly seed: number;
  /** Entries of each CPU's trace ring; 0 for no tracing. */
  readonly traceEvents: number;
  /** Checked builds: whether the lock-order checker watches. */
  readonly lockOrder: boolean;
}

const VICTIM = 0;
const FIRST_REAPER = 1;
export const MAX_ALLOCATORS = 16;
export const MAX_REAPERS = MAX_CPUS - MAX_ALLOCATORS - FIRST_REAPER;

/** Room beside the victim's own pages: batch pages, watermarks, per-CPU lists. */
const SPARE_FRAMES = 4096;
const SPARE_SHARE = 1 / 16;

/** A machine just large enough for the victim, with memory to spare for nobody else. */
function shapeFor(kernel: Kernel, options: RaceOptions): MachineShape {
  const pages = kernel.countPresent(options.mappings);
  const tables = kernel.countTables(options.mappings, options.levels);
  return {
    cpus: FIRST_REAPER + (options.reapers ?? 1) + options.allocators,
    frames: pages + tables + SPARE_FRAMES + Math.ceil(pages * SPARE_SHARE),
    ...kernel.countKinds(options.mappings),
    tables: tables + 8,
    vmas: options.mappings.length + 1,
    mms: 1,
    tasks: 1,
    protocol: options.protocol,
    lockGranularity: options.lockGranularity,
    levels: options.levels,
    reschedEvery: kernel.RESCHED_EVERY,
    traceEvents: options.traceEvents,
    lockOrder: options.lockOrder,
  };
}

export class RaceHost {
  readonly options: RaceOptions;
  readonly #kernel: Kernel;
  readonly #arena: StagedArena<StagedRace>;
  /** Nothing has run since the race was staged. */
  #fresh = true;

  /** Boots a machine and stages the race in it; the arena is as at the start barrier. */
  constructor(kernel: Kernel, options: RaceOptions) {
    this.#kernel = kernel;
    this.options = options;
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

  get #staged(): StagedRace {
    return this.#arena.staged;
  }

  get #reapers(): number {
    return this.options.reapers ?? 1;
  }

  /** Whether a reset is a copy, and not another boot and build. */
  get resetsByCopy(): boolean {
    return this.#arena.resetsByCopy;
  }

  /** Frames of the victim. */
  get pages(): number {
    return this.#kernel.countPresent(this.options.mappings);
  }

  /** What the C twin needs of it. */
  get twinStage(): TwinStage {
    return { kernel: this.#kernel, map: this.map, words: this.words, mm: this.#staged.mm };
  }

  #stage(words: Int32Array, map: MachineMap): StagedRace {
    const cpu = this.#kernel.cpuOf(words, map, VICTIM, this.#kernel.soloPort());
    const staged = this.#kernel.runToEnd(
      this.#kernel.stageRace(cpu, { ...this.options, exhausted: this.options.allocators > 0 }),
    );
    this.#kernel.resetFigures(words, map);
    const { victimSpeed = 1, reaperSpeed = 1 } = this.options;
    for (let id = 0; id < FIRST_REAPER + this.#reapers; id++) {
      this.#kernel.setSpeed(words, map, id, id === VICTIM ? victimSpeed : reaperSpeed);
    }
    return staged;
  }

  /** Puts the arena back to the start barrier. */
  reset(): void {
    this.#arena.reset();
  }

  /** Makes this race the one that the crew works on. */
  async attach(crew: Crew): Promise<void> {
    await this.#arena.attach(crew);
  }

  /** `reset`, unless nothing has run yet, and `run`. */
  async trial(crew: Crew, order: string | null): Promise<TrialSample> {
    if (!this.#fresh) this.reset();
    return this.run(crew, order);
  }

  /**
   * Runs one kill from the start barrier and checks every invariant. `order` null leaves the reaper out. Rejects with
   * the first Violation, or with what the crew rejects with.
   */
  async run(crew: Crew, order: string | null): Promise<TrialSample> {
    this.#fresh = false;
    return this.#finish(await crew.trial(this.#assignments(order)), order);
  }

  /** What the race came to; ends it and checks every invariant. */
  #finish(result: TrialResult, order: string | null): TrialSample {
    const unusedPin = order === null && this.options.reaper === "mrelease" ? this.#staged.mm : 0;
    const actors = this.#actors(result);
    const teardownNs = this.#tornDownNs() - result.releaseNs;
    const boot = this.#kernel.cpuOf(this.words, this.map, VICTIM, this.#kernel.soloPort());
    this.#kernel.runToEnd(this.#kernel.endRace(boot, unusedPin, this.#staged.hog, this.#reapers));
    const [broken] = this.#kernel.findViolations(this.words, this.map);
    if (broken) throw broken;
    const racers = actors.filter((actor) => actor.role !== "allocator");
    return {
      seed: this.options.seed,
      phaseNs: Math.max(...racers.map((actor) => actor.wallNs)),
      teardownNs,
      pages: racers.reduce((sum, actor) => sum + actor.pages, 0),
      actors,
    };
  }

  /** When the victim had exited and both sides had left their last VMA, on the CPUs' clock. */
  #tornDownNs(): number {
    const figures = (id: number): CpuFigures => this.#kernel.readFigures(this.words, this.map, id);
    const reapers = Array.from({ length: this.#reapers }, (_, i) => figures(FIRST_REAPER + i).leftLastVmaNs);
    return Math.max(figures(VICTIM).finishedNs, ...reapers);
  }

  #assignments(order: string | null): Assignment[] {
    const { reaper, protocol, allocators } = this.options;
    const reapers = this.#reapers;
    const all: Assignment[] = [{ cpu: VICTIM, role: "victim", params: {} }];
    for (let i = 0; order !== null && reaper === "mrelease" && i < reapers; i++) {
      all.push({ cpu: FIRST_REAPER + i, role: "mrelease", params: { mm: this.#staged.mm, protocol, order } });
    }
    if (order !== null && reaper === "kthread") {
      all.push({ cpu: FIRST_REAPER, role: "kthread", params: { task: this.#staged.task, protocol, order } });
    }
    // Memory is exhausted when the race begins, so all that they get is the victim's.
    const pages = Math.floor(this.pages / 2);
    for (let i = 0; i < allocators; i++) {
      all.push({
        cpu: FIRST_REAPER + reapers + i,
        role: "allocator",
        params: { pages: Math.floor(pages / allocators) },
      });
    }
    return all;
  }

  #actors(result: TrialResult): ActorSample[] {
    return result.cpus.map((cpu) => {
      const figures = this.#kernel.readFigures(this.words, this.map, cpu.cpu);
      return actorSample({ ...cpu, role: roleOf(cpu) }, figures, result.releaseNs);
    });
  }
}

function roleOf(cpu: CpuResult): Role {
  return cpu.role === "victim" || cpu.role === "allocator" ? cpu.role : "reaper";
}
