/** Toy machines with address spaces on them, and what their words say; for the tests of mm. */

import type { Cpu, Port, Steps } from "../../src/arena/cpu.ts";
import { OP_ADD, OP_CMPXCHG, runToEnd } from "../../src/arena/mem.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { findViolations } from "../../src/check/index.ts";
import { type InterleaveOptions, interleave } from "../../src/explore/engine.ts";
import { describeOutcome, type Outcome } from "../../src/explore/outcome.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { buildAddressSpace, type Mapping } from "../../src/machine/address-space.ts";
import { bootMachine, cpuOf } from "../../src/machine/boot.ts";
import { elementOf, type MachineMap } from "../../src/machine/memory-map.ts";
import { readFigures } from "../../src/machine/race.ts";
import { type MachineShape, TOY_SHAPE } from "../../src/machine/shape.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { mmAlloc, mmput } from "../../src/mm/mm.ts";
import { MM_ANONPAGES, Mm } from "../../src/mm/mm-struct.ts";
import { tlbFinishMmu, tlbGatherMmu } from "../../src/mm/mmu-gather.ts";
import { Frame, frameRefs, frameRmaps, PageGlobals } from "../../src/mm/page.ts";
import { allocPages, GFP_KERNEL, putPage } from "../../src/mm/page-alloc.ts";
import { checkPageAccounting } from "../../src/mm/page-check.ts";
import { entrySpan, PageTable, PTE_SHIFT, PTRS_PER_TABLE } from "../../src/mm/page-table.ts";
import { slabInUse } from "../../src/mm/slab.ts";
import { CpuTlb, TLB_ENTRIES, TlbEntry } from "../../src/mm/tlb.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { unmapPageRange, ZAP_WAIT } from "../../src/mm/zap.ts";
import { lockClassNames } from "../../src/sync/lock-class.ts";
import { RULES_MODERN } from "../../src/sync/rwsem.ts";

export interface MmMachine {
  readonly map: MachineMap;
  readonly words: Int32Array;
  /** CPU 0 over a port that no scheduler drives. */
  readonly cpu: Cpu;
  handle(id: number, port?: Port): Cpu;
}

/** A booted toy machine, with what a test wants otherwise. */
export function mmMachine(overrides: Partial<MachineShape> = {}): MmMachine {
  const { map, words } = bootMachine({ ...TOY_SHAPE, ...overrides });
  const handle = (id: number, port: Port = soloPort()): Cpu => cpuOf(words, map, id, port);
  return { map, words, cpu: handle(0), handle };
}

/** One shared operation, as announced. */
export interface Op {
  readonly kind: number;
  readonly word: number;
  readonly a: number;
  readonly b: number;
}

/** A port that shows each shared operation right before it happens. */
export function watchingPort(seen: (op: Op) => void): Port {
  const port = soloPort();
  const { pending } = port;
  return {
    ...port,
    granted: () =>
      seen({
        kind: pending[0] as number,
        word: pending[1] as number,
        a: pending[2] as number,
        b: pending[3] as number,
      }),
  };
}

/** A mapping of which every page is present. */
export function full(startVpn: number, pages: number, more: Partial<Mapping> = {}): Mapping {
  return { startVpn, pages, flags: VM_WRITE, present: "all", ...more };
}

export function emptyMm(m: MmMachine, number = 1): number {
  const mm = runToEnd(mmAlloc(m.cpu, number, RULES_MODERN));
  if (mm === 0) throw new Error("emptyMm: no memory");
  return mm;
}

/** A new mm with these mappings and pages; CPU 0 runs its thread. */
export function buildMm(m: MmMachine, mappings: readonly Mapping[], number = 1): number {
  const mm = emptyMm(m, number);
  runToEnd(buildAddressSpace(m.cpu, mm, mappings, "sequential", 1));
  return mm;
}

/** Unmaps [start, end) in a gather of its own. */
export function* zap(cpu: Cpu, mm: number, start: number, end: number, mode = ZAP_WAIT): Steps<boolean> {
  yield* tlbGatherMmu(cpu, mm);
  const done = yield* unmapPageRange(cpu, mm, start, end, mode);
  yield* tlbFinishMmu(cpu);
  return done;
}

/** Drops the last user of an mm, and with it everything. */
export function endMm(m: MmMachine, mm: number): void {
  runToEnd(mmput(m.cpu, mm));
}

/** Present PTEs by virtual page: page frame. */
export function readPtes(m: MmMachine, mm: number): Map<number, number> {
  const ptes = new Map<number, number>();
  const visit = (table: number, level: number, base: number): void => {
    for (let i = 0; i < PTRS_PER_TABLE; i++) {
      const entry = m.words[table + PageTable.entries + i] as number;
      if (entry === 0) continue;
      const vpn = base + i * entrySpan(level);
      if (level === 0) ptes.set(vpn, entry >>> PTE_SHIFT);
      else visit(entry, level - 1, vpn);
    }
  };
  visit(m.words[mm + Mm.pgd] as number, m.map.shape.levels - 1, 0);
  return ptes;
}

/** Virtual pages that are mapped, ascending. */
export function mappedPages(m: MmMachine, mm: number): number[] {
  return [...readPtes(m, mm).keys()];
}

/** Pages that the mappings hold, ascending. */
export function presentPages(mappings: readonly Mapping[]): number[] {
  const pages: number[] = [];
  for (const { startVpn, pages: count, present } of mappings) {
    const runs = present === "all" ? [0, count] : present;
    for (let r = 0; r < runs.length; r += 2) {
      for (let i = 0; i < (runs[r + 1] as number); i++) pages.push(startVpn + (runs[r] as number) + i);
    }
  }
  return pages;
}

/** Word address of the table at `level` that translates `vpn`, 0 where there is none. */
export function tableAt(m: MmMachine, mm: number, vpn: number, level = 0): number {
  let table = m.words[mm + Mm.pgd] as number;
  for (let at = m.map.shape.levels - 1; at > level && table !== 0; at--) {
    table = m.words[table + PageTable.entries + (Math.floor(vpn / entrySpan(at)) % PTRS_PER_TABLE)] as number;
  }
  return table;
}

export function rss(m: MmMachine, mm: number): number {
  return m.words[mm + Mm.rss + MM_ANONPAGES] as number;
}

/** Pages in use on the whole machine, all accounts checked on the way. */
export function pagesInUse(m: MmMachine): number {
  const pcps = Array.from({ length: m.map.shape.cpus }, (_, id) => elementOf(m.map.cpuMm, id));
  return checkPageAccounting(m.words, m.map.root, pcps).allocated;
}

/** Objects in use of a pool: MmGlobals.tables, .vmas, ... */
export function inUse(m: MmMachine, pool: number): number {
  return slabInUse(m.words, m.map.root + pool);
}

/** Everything that an out-of-memory path must give back. */
export function balances(m: MmMachine): Record<string, number> {
  return {
    pages: pagesInUse(m),
    tables: inUse(m, MmGlobals.tables),
    vmas: inUse(m, MmGlobals.vmas),
    nodes: inUse(m, MmGlobals.nodes),
    anonVmas: inUse(m, MmGlobals.anonVmas),
    mms: inUse(m, MmGlobals.mms),
    committed: m.words[m.map.root + MmGlobals.committed] as number,
  };
}

/** Word address of a frame. */
export function frameOf(m: MmMachine, pfn: number): number {
  return (m.words[m.map.root + PageGlobals.framesBase] as number) + pfn * Frame.WORDS;
}

export function refs(m: MmMachine, pfn: number): number {
  return frameRefs(m.words[frameOf(m, pfn)] as number);
}

export function rmaps(m: MmMachine, pfn: number): number {
  return frameRmaps(m.words[frameOf(m, pfn)] as number);
}

/** Page frame that a word lies in the frame of, -1 for words elsewhere. */
function pfnOfWord(m: MmMachine, word: number): number {
  const pfn = Math.floor((word - frameOf(m, 0)) / Frame.WORDS);
  return pfn >= 0 && pfn < m.map.shape.frames ? pfn : -1;
}

/** What an operation adds to a frame's count word, and which frame's; undefined for operations on anything else. */
export function countStep(m: MmMachine, { kind, word, a, b }: Op): { pfn: number; by: number } | undefined {
  const pfn = pfnOfWord(m, word);
  if (pfn < 0 || word !== frameOf(m, pfn) + Frame.count) return undefined;
  if (kind === OP_ADD) return { pfn, by: a };
  return kind === OP_CMPXCHG && m.words[word] === a ? { pfn, by: b - a } : undefined;
}

/** Acquisitions of a lock class by one CPU. */
export function acquired(m: MmMachine, name: string, id = 0): number {
  return readFigures(m.words, m.map, id).locks.find((lock) => lock.name === name)?.acquired ?? 0;
}

/** Word address of a CPU's modelled TLB. */
export function tlbAt(m: MmMachine, id: number): number {
  return elementOf(m.map.cpuMm, id) + CpuMm.tlb;
}

export function gatherAt(m: MmMachine, id: number): number {
  return elementOf(m.map.cpuMm, id) + CpuMm.gather;
}

/** Live translations of a CPU: virtual page and frame. */
export function liveEntries(m: MmMachine, id: number): [number, number][] {
  const tlb = tlbAt(m, id);
  const live: [number, number][] = [];
  for (let i = 0; i < TLB_ENTRIES; i++) {
    const at = tlb + CpuTlb.entries + i * TlbEntry.WORDS;
    const word = (field: number): number => m.words[at + field] as number;
    if (word(TlbEntry.generation) !== m.words[tlb + CpuTlb.generation]) continue;
    live.push([word(TlbEntry.vpnHigh) * 2 ** 30 + word(TlbEntry.vpnLow), word(TlbEntry.pfn)]);
  }
  return live;
}

/** Takes single pages until the allocator refuses. */
export function takeAllPages(cpu: Cpu): number[] {
  const pages: number[] = [];
  for (let pfn = -1; pfn !== 0; ) {
    pfn = runToEnd(allocPages(cpu, 0, GFP_KERNEL));
    if (pfn !== 0) pages.push(pfn);
  }
  return pages;
}

/** Does `work` while the allocator refuses every page above the min watermark. */
export function whileShort(m: MmMachine, work: () => void): void {
  const hoard = takeAllPages(m.cpu);
  work();
  for (const pfn of hoard) runToEnd(putPage(m.cpu, pfn));
}

/** What every invariant says of a machine whose processes are all gone. */
export function faultsOf(m: MmMachine): string[] {
  return findViolations(m.words, m.map).map((fault) => fault.message);
}

export interface Exploration {
  readonly programs: readonly ((cpu: Cpu) => Steps<unknown>)[];
  readonly seeds: number;
  readonly afterStep?: () => void;
  /** Called with every outcome; the arena is as it was left. */
  readonly look?: (outcome: Outcome, seed: number) => void;
}

function runSeed(m: MmMachine, { programs, afterStep }: Exploration, seed: number): Outcome {
  const { base, struct } = m.map.cpuSync;
  const options: InterleaveOptions = {
    words: m.words,
    programs,
    cpuOf: (id, port) => m.handle(id, port),
    scheduler: randomScheduler(seed),
    sync: { words: m.words, base, stride: struct.WORDS, cpus: programs.length, classNames: lockClassNames() },
    ...(afterStep && { afterStep }),
  };
  return interleave(options);
}

/** Runs the programs from the arena as it is now, once per seed; throws, naming the seed, unless they all finish. */
export function everySeed(m: MmMachine, exploration: Exploration): void {
  const start = m.words.slice();
  for (let seed = 1; seed <= exploration.seeds; seed++) {
    m.words.set(start);
    const outcome = runSeed(m, exploration, seed);
    if (outcome.state !== "finished") throw new Error(`seed ${seed}: ${describeOutcome(outcome)}`);
    try {
      exploration.look?.(outcome, seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  m.words.set(start);
}

/** The first outcome that is a violation, or undefined; for programs that are broken on purpose. */
export function firstViolation(m: MmMachine, exploration: Exploration): string | undefined {
  const start = m.words.slice();
  try {
    for (let seed = 1; seed <= exploration.seeds; seed++) {
      m.words.set(start);
      const outcome = runSeed(m, exploration, seed);
      if (outcome.state === "violation") return outcome.violation.message;
      if (outcome.state !== "finished") throw new Error(`seed ${seed}: ${describeOutcome(outcome)}`);
    }
    return undefined;
  } finally {
    m.words.set(start);
  }
}
