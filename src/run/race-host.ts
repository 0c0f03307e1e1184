/**
 * One staged race on the main thread's side: its arena, its snapshot, and what a trial came to. The CPUs are a crew's.
 */

import type { FrameOrder, Mapping } from "../machine/address-space.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import type { CpuFigures, Reaper, StagedRace } from "../machine/race.ts";
import type { AllocatorResult } from "../machine/roles.ts";
import type { LockGranularity, MachineShape } from "../machine/shape.ts";
import { MAX_CPUS } from "../task/task.ts";
import type { Kernel } from "./kernel-variant.ts";
import type { TwinStage } from "./native-twin.ts";
import type { Assignment, CpuResult, Crew, TrialResult } from "./parallel.ts";
import type { ActorSample, LockSample, Role, StagingSample, StallSample, TrialSample } from "./samples.ts";

export interface RaceOptions {
  readonly mappings: readonly Mapping[];
  readonly levels: 4 | 5;
  readonly frames: FrameOrder;
  readonly protocol: string;
  readonly lockGranularity: LockGranularity;
  readonly reaper: Reaper;
  readonly allocators: number;
  readonly seed: number;
  /** Entries of each CPU's trace ring; 0 for no tracing. */
  readonly traceEvents: number;
  /** Checked builds: whether the lock-order checker watches. */
  readonly lockOrder: boolean;
}

const VICTIM = 0;
const REAPER = 1;
const FIRST_ALLOCATOR = 2;
export const MAX_ALLOCATORS = MAX_CPUS - FIRST_ALLOCATOR;

/** Arenas up to this size are reset by copying a snapshot, larger ones by staging the race anew. */
const MAX_SNAPSHOT_BYTES = 2 ** 30;

/** Room beside the victim's own pages: batch pages, watermarks, per-CPU lists. */
const SPARE_FRAMES = 4096;
const SPARE_SHARE = 1 / 16;

/** A machine just large enough for the victim, with memory to spare for nobody else. */
function shapeFor(kernel: Kernel, options: RaceOptions): MachineShape {
  const pages = kernel.countPresent(options.mappings);
  const tables = kernel.countTables(options.mappings, options.levels);
  return {
    cpus: FIRST_ALLOCATOR + options.allocators,
    frames: pages + tables + SPARE_FRAMES + Math.ceil(pages * SPARE_SHARE),
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
  readonly map: MachineMap;
  readonly words: Int32Array;
  /** What the first boot and build took; real time, nothing of it emulated. */
  readonly staging: StagingSample;
  readonly #kernel: Kernel;
  readonly #snapshot: Int32Array | undefined;
  #staged: StagedRace;
  /** Nothing has run since the race was staged. */
  #fresh = true;

  /** Boots a machine and stages the race in it; the arena is as at the start barrier. */
  constructor(kernel: Kernel, options: RaceOptions) {
    this.#kernel = kernel;
    this.options = options;
    const startedAt = performance.now();
    const { map, words } = kernel.bootMachine(shapeFor(kernel, options));
    const bootedAt = performance.now();
    this.map = map;
    this.words = words;
    this.#staged = this.#stage();
    this.staging = {
      arenaBytes: words.byteLength,
      bootNs: (bootedAt - startedAt) * 1e6,
      buildNs: (performance.now() - bootedAt) * 1e6,
    };
    this.#snapshot = words.byteLength <= MAX_SNAPSHOT_BYTES ? words.slice() : undefined;
  }

  /** Whether a reset is a copy, and not another boot and build. */
  get resetsByCopy(): boolean {
    return this.#snapshot !== undefined;
  }

  /** Frames of the victim. */
  get pages(): number {
    return this.#kernel.countPresent(this.options.mappings);
  }

  /** What the C twin needs of it. */
  get twinStage(): TwinStage {
    return { kernel: this.#kernel, map: this.map, words: this.words, mm: this.#staged.mm };
  }

  #stage(): StagedRace {
    const cpu = this.#kernel.cpuOf(this.words, this.map, VICTIM, this.#kernel.soloPort());
    const staged = this.#kernel.runToEnd(
      this.#kernel.stageRace(cpu, { ...this.options, exhausted: this.options.allocators > 0 }),
    );
    this.#kernel.resetFigures(this.words, this.map);
    return staged;
  }

  /** Puts the arena back to the start barrier. */
  reset(): void {
    if (this.#snapshot) {
      this.words.set(this.#snapshot);
      return;
    }
    this.#kernel.rebootMachine(this.words, this.map);
    this.#staged = this.#stage();
  }

  /** Makes this race the one that the crew works on. */
  async attach(crew: Crew): Promise<void> {
    const { base, struct, count } = this.map.cpuSync;
    await crew.attach({
      arena: this.words.buffer as SharedArrayBuffer,
      machine: this.map.shape,
      sync: { words: this.words, base, stride: struct.WORDS, cpus: count, classNames: this.#kernel.lockClassNames() },
    });
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
    const result = await crew.trial(this.#assignments(order));
    const unusedPin = order === null && this.options.reaper === "mrelease" ? this.#staged.mm : 0;
    const actors = this.#actors(result);
    const teardownNs = this.#tornDownNs() - result.releaseNs;
    const boot = this.#kernel.cpuOf(this.words, this.map, VICTIM, this.#kernel.soloPort());
    this.#kernel.runToEnd(this.#kernel.endRace(boot, unusedPin, this.#staged.hog));
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
    const [victim, reaper] = [VICTIM, REAPER].map((id) => this.#kernel.readFigures(this.words, this.map, id));
    return Math.max(victim?.finishedNs ?? 0, reaper?.leftLastVmaNs ?? 0);
  }

  #assignments(order: string | null): Assignment[] {
    const { reaper, protocol, allocators } = this.options;
    const all: Assignment[] = [{ cpu: VICTIM, role: "victim", params: {} }];
    if (order !== null && reaper === "mrelease") {
      all.push({ cpu: REAPER, role: "mrelease", params: { mm: this.#staged.mm, protocol, order } });
    }
    if (order !== null && reaper === "kthread") {
      all.push({ cpu: REAPER, role: "kthread", params: { task: this.#staged.task, protocol, order } });
    }
    // Memory is exhausted when the race begins, so all that they get is the victim's.
    const pages = Math.floor(this.pages / 2);
    for (let i = 0; i < allocators; i++) {
      all.push({ cpu: FIRST_ALLOCATOR + i, role: "allocator", params: { pages: Math.floor(pages / allocators) } });
    }
    return all;
  }

  #actors(result: TrialResult): ActorSample[] {
    return result.cpus.map((cpu) => {
      const figures = this.#kernel.readFigures(this.words, this.map, cpu.cpu);
      return actorSample(cpu, figures, result.releaseNs);
    });
  }
}

function roleOf(cpu: CpuResult): Role {
  return cpu.role === "victim" || cpu.role === "allocator" ? cpu.role : "reaper";
}

/** A side that never walked (the reaper came too late, or the other side tore down) has no wall time of its own. */
function actorSample(cpu: CpuResult, figures: CpuFigures, releaseNs: number): ActorSample {
  const role = roleOf(cpu);
  const allocator = role === "allocator" ? (cpu.result as AllocatorResult) : undefined;
  const ended = allocator ? figures.finishedNs : figures.leftLastVmaNs;
  return {
    role,
    wallNs: ended === 0 ? 0 : ended - releaseNs,
    cpuNs: cpu.cpuNs ?? null,
    pages: allocator ? allocator.allocated : figures.ptes,
    locks: figures.locks.map(lockSample),
    stalls: allocator ? stallSample(allocator) : null,
  };
}

function stallSample({ stalls, stallUs, longestStallUs }: AllocatorResult): StallSample {
  return { count: stalls, totalUs: stallUs, longestUs: longestStallUs };
}

function lockSample(lock: CpuFigures["locks"][number]): LockSample {
  return {
    class: lock.name,
    type: lock.kind,
    acquired: lock.acquired,
    contended: lock.contended,
    waitNs: lock.waitNs,
    spinNs: lock.spinNs,
    maxNs: lock.waitMaxNs,
    parked: lock.parked,
    tryFailed: lock.tryFailed,
  };
}
