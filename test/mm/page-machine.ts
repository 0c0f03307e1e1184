/** A machine that has pages and locks and nothing else, for the tests of the page allocator. */

import { ARENA_START, createArena } from "../../src/arena/arena.ts";
import type { Cpu, Port, Steps } from "../../src/arena/cpu.ts";
import { planMemory, regionOf } from "../../src/arena/region.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { struct } from "../../src/arena/struct.ts";
import { blockBit, freeArea } from "../../src/mm/buddy.ts";
import { PageGlobals } from "../../src/mm/page.ts";
import { checkPageAccounting, type PageAccounting } from "../../src/mm/page-check.ts";
import { initPageAllocator, type PageShape, pageRegions } from "../../src/mm/page-init.ts";
import { CpuPcp } from "../../src/mm/pcp.ts";
import { FreeArea, Zone } from "../../src/mm/zone.ts";
import { CpuSync } from "../../src/sync/cpu-sync.ts";
import { syncCpu } from "../../src/sync/sync-cpu.ts";

const SCRATCH_WORDS = 4096;
const Scratch = struct("scratch", { word: 1 });

export interface PageMachine {
  readonly words: Int32Array;
  /** Handle of CPU `id`, over a port of its own unless one is given. */
  cpu(id: number, port?: Port): Cpu;
  /** Arena words that the test may use. */
  readonly scratch: number;
  /** Word address of zone number `index`. */
  zone(index: number): number;
  /** Word address of frame `pfn`. */
  frame(pfn: number): number;
  check(): PageAccounting;
  /** All free blocks [pfn, order] of zone number `index`, ascending. */
  freeBlocks(index: number): [number, number][];
  /** Boots again, from zeroed words. */
  reset(): void;
}

/** Answer of `outOfMemory` on machines built here, unless a test gives its own. */
function* nothingToKill(): Steps<boolean> {
  return false;
}

export function pageMachine(shape: PageShape, outOfMemory: Cpu["upcalls"]["outOfMemory"] = nothingToKill): PageMachine {
  const cpus = shape.cpuNodes.length;
  const map = planMemory(
    [
      { name: "root", struct: PageGlobals, count: 1 },
      { name: "cpuSync", struct: CpuSync, count: cpus },
      { name: "cpuPcp", struct: CpuPcp, count: cpus },
      { name: "scratch", struct: Scratch, count: SCRATCH_WORDS },
      ...pageRegions(shape),
    ],
    ARENA_START,
  );
  const words = createArena(map);
  const base = (name: string): number => regionOf(map, name).base;
  const machine = base("root");
  const pcps = shape.cpuNodes.map((_, id) => base("cpuPcp") + id * CpuPcp.WORDS);
  const boot = (): void => initPageAllocator(words, map, shape, machine, pcps);
  const zone = (index: number): number => base("zones") + index * Zone.WORDS;
  const frame = (pfn: number): number => base("frames") + pfn * 3;
  boot();
  return {
    words,
    scratch: base("scratch"),
    zone,
    frame,
    cpu: (id, port = soloPort()) => {
      const bare = syncCpu(words, base("cpuSync"), id, port);
      const upcalls = { ...bare.upcalls, outOfMemory };
      return { ...bare, machine, mm: pcps[id] as number, mmStride: CpuPcp.WORDS, upcalls };
    },
    check: () => checkPageAccounting(words, machine, pcps),
    freeBlocks: (index) => {
      const area = freeArea(zone(index), 0);
      const end = words[zone(index) + Zone.endPfn] as number;
      const blocks: [number, number][] = [];
      for (let pfn = words[zone(index) + Zone.startPfn] as number; pfn < end; pfn++) {
        for (let order = 0; order <= 10 && pfn % (1 << order) === 0; order++) {
          const bit = blockBit(words, zone(index), pfn, order);
          const level = words[area + order * FreeArea.WORDS + FreeArea.levels] as number;
          if ((((words[level + (bit >> 5)] as number) >> (bit & 31)) & 1) === 1) blocks.push([pfn, order]);
        }
      }
      return blocks;
    },
    reset: () => {
      words.fill(0, ARENA_START);
      boot();
    },
  };
}

/** One zone of pages [1, frames), one node, tiny per-CPU lists, no reserves worth speaking of. */
export function toyShape(frames: number, cpus = 1, batch = 2, high = 8): PageShape {
  return {
    frames,
    zones: [{ node: 0, start: 1, end: frames }],
    cpuNodes: Array.from({ length: cpus }, () => 0),
    minFreePages: 0,
    pcp: { batch, high },
  };
}

/** Blocks [pfn, order] of the largest aligned size that make up pages [start, end). */
export function largestBlocks(start: number, end: number): [number, number][] {
  const blocks: [number, number][] = [];
  for (let pfn = start; pfn < end; ) {
    let order = 0;
    while (order < 10 && pfn % (2 << order) === 0 && pfn + (2 << order) <= end) order++;
    blocks.push([pfn, order]);
    pfn += 1 << order;
  }
  return blocks;
}
