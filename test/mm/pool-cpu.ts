/** CPUs over a small arena of given regions, for tests of pools and trees. */

import { ARENA_START, createArena } from "../../src/arena/arena.ts";
import type { Cpu } from "../../src/arena/cpu.ts";
import { type MemoryMap, planMemory, type RegionRequest, regionOf } from "../../src/arena/region.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { explainUseAfterFree, initSlab, Slab } from "../../src/mm/slab.ts";
import { CpuSync } from "../../src/sync/cpu-sync.ts";

export interface Bench {
  readonly words: Int32Array;
  readonly map: MemoryMap;
  readonly cpus: readonly Cpu[];
  readonly cpu: Cpu;
  /** Word address of a region's first struct. */
  readonly at: (region: string) => number;
}

/** An arena with the given regions and `count` CPUs. */
export function makeBench(requests: readonly RegionRequest[], count = 1): Bench {
  const map = planMemory([{ name: "cpuSync", struct: CpuSync, count }, ...requests], ARENA_START);
  const words = createArena(map);
  const syncBase = regionOf(map, "cpuSync").base;
  const describe = (word: number): string => explainUseAfterFree(words, map, word);
  const cpus = Array.from({ length: count }, (_, id): Cpu => {
    return {
      words,
      id,
      port: soloPort(),
      describe,
      sync: syncBase + id * CpuSync.WORDS,
      syncBase,
      syncStride: CpuSync.WORDS,
      lockOrder: 0,
      trace: 0,
      machine: 0,
      mm: 0,
      mmStride: 0,
      tlb: 0,
      gather: 0,
      upcalls: {
        outOfMemory: () => {
          throw new Error("no OOM killer here");
        },
        memcgOutOfMemory: () => {
          throw new Error("no memory groups here");
        },
        currentIsVictim: () => {
          throw new Error("no tasks here");
        },
        exitMmap: () => {
          throw new Error("no mm here");
        },
      },
    };
  });
  return { words, map, cpus, cpu: cpus[0] as Cpu, at: (region) => regionOf(map, region).base };
}

/** Makes the pool `slab` (a region of one Slab) of all objects in region `objects`. */
export function poolOf(bench: Bench, slab: string, objects: string): number {
  const region = regionOf(bench.map, objects);
  initSlab(bench.words, bench.at(slab), region.base, region.struct.WORDS, region.count);
  return bench.at(slab);
}

export const slabRegion = (name: string): RegionRequest => ({ name, struct: Slab, count: 1 });
