/** An arena in which something is staged and run again and again from the same state. */

import { assert } from "../base/assert.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import type { MachineShape } from "../machine/shape.ts";
import type { DrainedRing } from "../trace/ring.ts";
import type { Kernel } from "./kernel-variant.ts";
import type { Crew } from "./parallel.ts";
import type { StagingSample } from "./samples.ts";

/** Arenas up to this size are reset by copying a snapshot, larger ones by staging anew. */
const MAX_SNAPSHOT_BYTES = 2 ** 30;

/** Builds what is staged in a booted machine; returns where it is. */
export type Stager<T> = (words: Int32Array, map: MachineMap) => T;

export class StagedArena<T> {
  readonly map: MachineMap;
  readonly words: Int32Array;
  /** What the first boot and build took; real time, nothing of it emulated. */
  readonly staging: StagingSample;
  readonly #kernel: Kernel;
  readonly #stage: Stager<T>;
  readonly #snapshot: Int32Array | undefined;
  #staged: T;

  /** Boots a machine and stages in it. */
  constructor(kernel: Kernel, shape: MachineShape, stage: Stager<T>) {
    const startedAt = performance.now();
    const { map, words } = kernel.bootMachine(shape);
    const bootedAt = performance.now();
    this.#kernel = kernel;
    this.#stage = stage;
    this.map = map;
    this.words = words;
    this.#staged = stage(words, map);
    this.staging = {
      arenaBytes: words.byteLength,
      bootNs: (bootedAt - startedAt) * 1e6,
      buildNs: (performance.now() - bootedAt) * 1e6,
    };
    this.#snapshot = words.byteLength <= MAX_SNAPSHOT_BYTES ? words.slice() : undefined;
  }

  get staged(): T {
    return this.#staged;
  }

  /** Whether a reset is a copy, and not another boot and build. */
  get resetsByCopy(): boolean {
    return this.#snapshot !== undefined;
  }

  /** Puts the arena back to what was staged. */
  reset(): void {
    if (this.#snapshot) {
      this.words.set(this.#snapshot);
      return;
    }
    this.#kernel.rebootMachine(this.words, this.map);
    this.#staged = this.#stage(this.words, this.map);
  }

  /** Makes this arena the one that the crew works on. */
  async attach(crew: Crew): Promise<void> {
    const { base, struct, count } = this.map.cpuSync;
    await crew.attach({
      arena: this.words.buffer as SharedArrayBuffer,
      machine: this.map.shape,
      sync: { words: this.words, base, stride: struct.WORDS, cpus: count, classNames: this.#kernel.lockClassNames() },
    });
  }

  /** What each CPU traced since the last time. */
  drainRings(): DrainedRing[] {
    const { rings } = this.map;
    assert(rings !== undefined, "drainRings: this machine has no trace rings");
    const { drainTraceRing, elementOf } = this.#kernel;
    return Array.from({ length: rings.count }, (_, id) => drainTraceRing(this.words, elementOf(rings, id), id));
  }
}
