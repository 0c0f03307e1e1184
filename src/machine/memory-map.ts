/** Where everything of a machine lies in its arena. A function of the shape alone, so every thread computes it anew. */

import { ARENA_START } from "../arena/arena.ts";
import { type MemoryMap, planMemory, type Region, type RegionRequest, regionOf } from "../arena/region.ts";
import { assert } from "../base/assert.ts";
import { InternalFault } from "../base/errors.ts";
import { AnonVma } from "../mm/anon-vma.ts";
import { CpuMm } from "../mm/cpu-mm.ts";
import { MapleNode, mapleNodesFor } from "../mm/maple-tree/index.ts";
import { Memcg, PageMemcg } from "../mm/memcg.ts";
import { Mm } from "../mm/mm-struct.ts";
import { Frame, PTE_WORDS } from "../mm/page.ts";
import { File, FileSlot } from "../mm/page-cache.ts";
import { type PageShape, pageRegions } from "../mm/page-init.ts";
import { PageTable, PageTableWithPteLocks } from "../mm/page-table.ts";
import { Vma } from "../mm/vma.ts";
import { OomGlobals } from "../oom/globals.ts";
import { CpuSync } from "../sync/cpu-sync.ts";
import { LockOrder } from "../sync/lock-order.ts";
import { Cpuset } from "../task/cpuset.ts";
import { Signal } from "../task/signal.ts";
import { Task } from "../task/task.ts";
import { traceRing } from "../trace/ring.ts";
import { Board } from "./board.ts";
import { LockLab } from "./lock-lab.ts";
import { checkShape, type MachineShape } from "./shape.ts";

assert((Frame.WORDS + PTE_WORDS) * 4 <= 16, "memory-map: PTE and frame take more than 16 bytes a page");

export interface MachineMap {
  readonly shape: MachineShape;
  readonly memory: MemoryMap;
  readonly root: number;
  readonly cpuSync: Region;
  readonly cpuMm: Region;
  /** Undefined when tracing is off. */
  readonly rings: Region | undefined;
  readonly lockOrder: Region;
  /** What the programs of a crowd share; no part of the kernel. */
  readonly board: Region;
  readonly tasks: Region;
  /** One per task slot. */
  readonly signals: Region;
  readonly mms: Region;
  readonly vmas: Region;
  readonly nodes: Region;
  readonly anonVmas: Region;
  readonly tables: Region;
  /** Undefined on machines without. */
  readonly cpusets: Region | undefined;
  readonly memcgs: Region | undefined;
  /** One per page frame. */
  readonly pageMemcgs: Region | undefined;
  readonly files: Region;
  readonly fileSlots: Region;
  /** Undefined but on machines whose CPUs fight over one lock and do nothing else. */
  readonly lockLab: Region | undefined;
}

/** What the page allocator is told: by default one node, with one zone of all frames but the reserved first. */
export function pageShapeOf(shape: MachineShape): PageShape {
  return {
    frames: shape.frames,
    zones: shape.zones ?? [{ node: 0, start: 1, end: shape.frames }],
    cpuNodes: shape.cpuNodes ?? Array.from({ length: shape.cpus }, () => 0),
    swapSlots: shape.swapSlots ?? 0,
    ...(shape.minFreePages !== undefined && { minFreePages: shape.minFreePages }),
  };
}

/** Lays a machine out. Throws UsageError when the shape is impossible. */
export function planMachine(shape: MachineShape): MachineMap {
  checkShape(shape);
  const table = shape.lockGranularity === "pte" ? PageTableWithPteLocks : PageTable;
  // Worst case for one tree of all VMAs, and the rounding of the others.
  const nodes = mapleNodesFor(shape.vmas) + shape.mms * mapleNodesFor(1);
  const requests: RegionRequest[] = [
    { name: "machine", struct: OomGlobals, count: 1 },
    { name: "cpuSync", struct: CpuSync, count: shape.cpus },
    { name: "cpuMm", struct: CpuMm, count: shape.cpus },
    { name: "lockOrder", struct: LockOrder, count: 1 },
    { name: "board", struct: Board, count: 1 },
    { name: "tasks", struct: Task, count: shape.tasks },
    { name: "signals", struct: Signal, count: shape.tasks },
    { name: "mms", struct: Mm, count: shape.mms },
    { name: "vmas", struct: Vma, count: shape.vmas },
    { name: "anonVmas", struct: AnonVma, count: shape.vmas },
    { name: "mapleNodes", struct: MapleNode, count: nodes },
    { name: "tables", struct: table, count: shape.tables },
    // Pools have one object at least.
    { name: "files", struct: File, count: Math.max(1, shape.files ?? 0) },
    { name: "fileSlots", struct: FileSlot, count: Math.max(1, shape.filePages ?? 0) },
    ...pageRegions(pageShapeOf(shape)),
  ];
  const memcgs = shape.memcgs ?? 0;
  if (memcgs > 0) {
    requests.push({ name: "memcgs", struct: Memcg, count: memcgs });
    requests.push({ name: "pageMemcgs", struct: PageMemcg, count: shape.frames });
  }
  const cpusets = shape.cpusets ?? 0;
  if (cpusets > 0) requests.push({ name: "cpusets", struct: Cpuset, count: cpusets });
  if (shape.lockLab) requests.push({ name: "lockLab", struct: LockLab, count: 1 });
  if (shape.traceEvents > 0) requests.push({ name: "rings", struct: traceRing(shape.traceEvents), count: shape.cpus });
  const memory = planMemory(requests, ARENA_START);
  const region = (name: string): Region => regionOf(memory, name);
  return {
    shape,
    memory,
    root: region("machine").base,
    cpuSync: region("cpuSync"),
    cpuMm: region("cpuMm"),
    rings: shape.traceEvents > 0 ? region("rings") : undefined,
    lockOrder: region("lockOrder"),
    board: region("board"),
    tasks: region("tasks"),
    signals: region("signals"),
    mms: region("mms"),
    vmas: region("vmas"),
    nodes: region("mapleNodes"),
    anonVmas: region("anonVmas"),
    tables: region("tables"),
    memcgs: memcgs > 0 ? region("memcgs") : undefined,
    pageMemcgs: memcgs > 0 ? region("pageMemcgs") : undefined,
    cpusets: cpusets > 0 ? region("cpusets") : undefined,
    files: region("files"),
    fileSlots: region("fileSlots"),
    lockLab: shape.lockLab ? region("lockLab") : undefined,
  };
}

/** Word address of element `index` of a region. */
export function elementOf(region: Region, index: number): number {
  // No `assert`: it would word its reason every time, and checks ask for thousands of elements.
  if (!(index >= 0 && index < region.count)) {
    throw new InternalFault(`elementOf: ${region.name}[${index}] of ${region.count}`);
  }
  return region.base + index * region.struct.WORDS;
}
