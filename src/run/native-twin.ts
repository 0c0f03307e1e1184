/**
 * The unmapping loop in JavaScript beside the same loop in C (bench/native): pairs of runs over one staged arena, in
 * turn A B B A, and whether both leave the same words behind. JavaScript runs on the workers of a crew (role
 * `unmapLoop`, with `mrelease` beside it), C in a process of its own; both restore the arena on one thread and walk it
 * on others.
 */

import { describeAddress } from "../arena/region.ts";
import { UsageError } from "../base/errors.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import type { CpuFigures, RaceSetup } from "../machine/race.ts";
import type { MachineShape } from "../machine/shape.ts";
import type { Kernel } from "./kernel-variant.ts";
import { buildNative, type NativeBuildOptions } from "./native-build.ts";
import { NativeTwin, type TwinActor, type TwinMode, type TwinRun } from "./native-process.ts";
import type { Assignment, CpuResult, Crew } from "./parallel.ts";

export { buildNative, type NativeBuild, type NativeBuildOptions } from "./native-build.ts";
export { NativeTwin, TWIN_MODES, type TwinActor, type TwinMode, type TwinRun } from "./native-process.ts";

/** A race at the start barrier: `words` is its arena, `mm` the victim's. */
export interface TwinStage {
  /** A parallel build, the one that booted the machine and that the crew's workers run. */
  readonly kernel: Kernel;
  readonly map: MachineMap;
  readonly words: Int32Array;
  readonly mm: number;
}

/** Two runs from the same arena, one of each language, in the order that `nativeFirst` says. */
export interface TwinPair {
  readonly js: TwinRun;
  readonly native: TwinRun;
  readonly nativeFirst: boolean;
}

export interface TwinOptions extends NativeBuildOptions {
  readonly stage: TwinStage;
  /** Attached to the stage's arena; a machine of two CPUs at least, unless only "solo" is asked for. */
  readonly crew: Crew;
  readonly modes: readonly TwinMode[];
  readonly pairs: number;
  /** Runs of each language before the first pair of each mode. */
  readonly warmUps: number;
  /** Told before each run. */
  readonly progress?: (text: string) => void;
}

export type TwinResult =
  | { readonly available: false; readonly reason: string }
  | {
      readonly available: true;
      readonly compiler: string;
      /** Undefined when both left the same words; else the first that differs, by name. */
      readonly difference: string | undefined;
      /** Pairs of the modes asked for. */
      readonly pairs: Readonly<Partial<Record<TwinMode, readonly TwinPair[]>>>;
    };

const VICTIM = 0;
const REAPER = 1;

/** Boots a machine, stages a race in it and zeroes its figures. The two-sided modes need the reaper "mrelease". */
export function stageTwin(kernel: Kernel, shape: MachineShape, setup: RaceSetup): TwinStage {
  const { map, words } = kernel.bootMachine(shape);
  const { mm } = kernel.runToEnd(kernel.stageRace(kernel.cpuOf(words, map, VICTIM, kernel.soloPort()), setup));
  kernel.resetFigures(words, map);
  return { kernel, map, words, mm };
}

/** Starts the C twin on what `stage.words` holds now. */
export async function startTwin(program: string, stage: TwinStage): Promise<NativeTwin> {
  const { map, words, mm } = stage;
  const places = { machine: map.root, syncBase: map.cpuSync.base, mmBase: map.cpuMm.base, mm };
  return NativeTwin.start(program, words, places);
}

/** Builds the twin, compares the arenas after a solo run each, then measures. The stage is as it was afterwards. */
export async function runNativeTwin(options: TwinOptions): Promise<TwinResult> {
  const { stage, modes, progress } = options;
  requireTree(stage);
  progress?.("compiling the C twin");
  const build = await buildNative(stage.kernel, options);
  if (!build.available) return build;
  const twin = await startTwin(build.program, stage);
  const bench = new TwinBench(stage, options.crew, twin);
  try {
    progress?.("comparing the arenas of JavaScript and C");
    const difference = await bench.compareArenas();
    const pairs: Partial<Record<TwinMode, readonly TwinPair[]>> = {};
    for (const mode of modes) pairs[mode] = await bench.measure(mode, options);
    return { available: true, compiler: build.compiler, difference, pairs };
  } finally {
    bench.reset();
    await twin.stop();
  }
}

function requireTree({ kernel, map }: TwinStage): void {
  const { protocol } = map.shape;
  if (kernel.findProtocol(protocol).vmaStore === kernel.VMAS_IN_TREE) return;
  throw new UsageError(`native twin: ${protocol} walks a list of VMAs, expected a protocol with the maple tree`);
}

/** One staged race, run by either language. */
class TwinBench {
  readonly #stage: TwinStage;
  readonly #crew: Crew;
  readonly #twin: NativeTwin;
  readonly #snapshot: Int32Array;

  constructor(stage: TwinStage, crew: Crew, twin: NativeTwin) {
    this.#stage = stage;
    this.#crew = crew;
    this.#twin = twin;
    this.#snapshot = stage.words.slice();
  }

  reset(): void {
    this.#stage.words.set(this.#snapshot);
  }

  /** Undefined when a solo run leaves the same words in both; else what differs first. */
  async compareArenas(): Promise<string | undefined> {
    await this.#runJs("solo");
    await this.#twin.run("solo");
    return firstDifference(this.#stage, this.#twin);
  }

  async measure(mode: TwinMode, { pairs, warmUps, progress }: TwinOptions): Promise<TwinPair[]> {
    for (let i = 0; i < warmUps; i++) {
      progress?.(`C twin, ${mode}: warming up`);
      await this.#runJs(mode);
      await this.#twin.run(mode);
    }
    const all: TwinPair[] = [];
    for (let i = 0; i < pairs; i++) {
      progress?.(`C twin, ${mode}: pair ${i + 1} of ${pairs}`);
      all.push(await this.#runPair(mode, i % 2 === 1));
    }
    return all;
  }

  async #runPair(mode: TwinMode, nativeFirst: boolean): Promise<TwinPair> {
    if (!nativeFirst) return { js: await this.#runJs(mode), native: await this.#twin.run(mode), nativeFirst };
    const native = await this.#twin.run(mode);
    return { native, js: await this.#runJs(mode), nativeFirst };
  }

  async #runJs(mode: TwinMode): Promise<TwinRun> {
    const { kernel, map, words, mm } = this.#stage;
    const assignments: Assignment[] = [{ cpu: VICTIM, role: "unmapLoop", params: { mm } }];
    if (mode !== "solo") {
      const { protocol } = map.shape;
      assignments.push({ cpu: REAPER, role: "mrelease", params: { mm, protocol, order: mode } });
    }
    this.reset();
    const { cpus } = await this.#crew.trial(assignments);
    return { actors: cpus.map((result) => actorOf(result, kernel.readFigures(words, map, result.cpu))) };
  }
}

function actorOf({ wallNs, cpuNs }: CpuResult, { ptes, locks }: CpuFigures): TwinActor {
  const pteLock = locks.find((lock) => lock.name === "pte_lock");
  const { acquired = 0, contended = 0, waitNs = 0, spinNs = 0 } = pteLock ?? {};
  return { wallNs, cpuNs, pages: ptes, acquired, contended, waitNs, spinNs };
}

/** The first word in which the arenas of JavaScript and C differ, clock stamps apart; undefined when none does. */
async function firstDifference({ kernel, map, words }: TwinStage, twin: NativeTwin): Promise<string | undefined> {
  const stamps = new Set<number>();
  for (let id = 0; id < map.shape.cpus; id++) {
    const cpuMm = kernel.elementOf(map.cpuMm, id);
    for (const field of [kernel.CpuMm.leftLastVmaNs, kernel.CpuMm.finishedNs]) {
      stamps.add(cpuMm + field).add(cpuMm + field + 1);
    }
  }
  let difference: string | undefined;
  await twin.readArena((piece, from) => {
    for (let i = 0; i < piece.length && difference === undefined; i++) {
      if (piece[i] === words[from + i] || stamps.has(from + i)) continue;
      difference = `${describeAddress(map.memory, from + i)}: ${words[from + i]} in JavaScript, ${piece[i]} in C`;
    }
  });
  return difference;
}
