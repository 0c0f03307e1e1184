/**
 * The modelled TLB of a CPU, and flushing it (arch/x86/mm/tlb.c in its effects: flush_tlb_mm_range by IPI).
 *
 * A user access looks its translation up and touches the page inside a bracket: `accessSeq` is odd within it. A
 * flush bumps the target's `generation`, which outdates all its entries at once, then waits until the target is
 * out of the access it may be in. Accesses take no lock inside the bracket and so always leave it; parked and
 * exited CPUs are out of it by construction. Every flush is a full one: what the kernel flushes by range, oomrace
 * flushes whole, so a missed flush is visible (I4) and a flush too wide is not modelled.
 *
 * Thread safety: `generation`, `accessSeq` and `flushWaiter` are atomic; entries are touched by their CPU only.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import {
  atomicLoad,
  atomicStore,
  fetchAdd,
  fetchOr,
  futexWait,
  futexWake,
  NO_TIMEOUT,
  spinWhile,
  WAKE_ALL,
} from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { TLB_FLUSH } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { Mm } from "./mm-struct.ts";

/** Entries of a CPU's TLB; a page's entry is picked by its number modulo this. */
export const TLB_ENTRIES = 64;

export const TlbEntry = struct("tlbEntry", {
  mm: 1,
  /** Virtual page number, low 30 bits and the rest. */
  vpnLow: 1,
  vpnHigh: 1,
  pfn: 1,
  /** 1 when the page may be written to. */
  writable: 1,
  /** The entry is live while this equals the CPU's generation. */
  generation: 1,
});

export const CpuTlb = struct(
  "cpuTlb",
  {
    /** (shared) Starts at 1, so a zeroed entry is never live. */
    generation: { words: 1, align: CACHE_PAIR },
    /** (shared) Odd inside a user access. */
    accessSeq: 1,
    /** (shared) 1 when a flusher sleeps on accessSeq. */
    flushWaiter: 1,
    /** (shared) The same for walks through page tables. */
    walkSeq: 1,
    walkWaiter: 1,
    /** Flushes this CPU asked for, its own included; and remote CPUs it had to wait for. */
    flushes: { words: 1, align: CACHE_PAIR },
    remoteFlushes: 1,
    entries: [TlbEntry, TLB_ENTRIES],
  },
  CACHE_PAIR,
);

/** Pauses before a flusher sleeps; an access is a handful of operations long. */
const FLUSH_SPIN_BUDGET = 1000;

/** `CpuTlb` of CPU number `id`. The struct sits at the same place in every CPU's `CpuMm`. */
function tlbOf(cpu: Cpu, id: number): number {
  return cpu.tlb + (id - cpu.id) * cpu.mmStride;
}

/** Boot: an empty TLB. */
export function initTlb(words: Int32Array, tlb: number): void {
  words[tlb + CpuTlb.generation] = 1;
}

/** This CPU runs threads of `mm` from now on (`switch_mm`): flushes of the mm reach it. */
export function* tlbActivate(cpu: Cpu, mm: number): Steps<void> {
  yield* fetchOr(cpu, mm + Mm.cpumask, 1 << cpu.id);
}

/** Flushes the TLBs of all CPUs in the mm's mask; returns when none of them can use an old translation. */
export function* flushTlbMm(cpu: Cpu, mm: number): Steps<void> {
  cpu.words[cpu.tlb + CpuTlb.flushes] = ((cpu.words[cpu.tlb + CpuTlb.flushes] as number) + 1) | 0;
  let mask = yield* atomicLoad(cpu, mm + Mm.cpumask);
  trace(cpu, TLB_FLUSH, mm, mask);
  while (mask !== 0) {
    const id = 31 - Math.clz32(mask);
    mask &= ~(1 << id);
    const tlb = tlbOf(cpu, id);
    yield* fetchAdd(cpu, tlb + CpuTlb.generation, 1);
    if (id === cpu.id) continue;
    cpu.words[cpu.tlb + CpuTlb.remoteFlushes] = ((cpu.words[cpu.tlb + CpuTlb.remoteFlushes] as number) + 1) | 0;
    yield* waitOut(cpu, tlb + CpuTlb.accessSeq, tlb + CpuTlb.flushWaiter);
  }
}

/**
 * Page tables were taken out of the mm's and are about to be freed: returns when no CPU's walk can be in them any more.
 * The kernel's flush does both at once, as no CPU answers its IPI in the middle of a walk; here a walk may wait for a
 * PTE lock, so this must not be called under one.
 */
export function* waitForTableWalks(cpu: Cpu, mm: number): Steps<void> {
  let mask = (yield* atomicLoad(cpu, mm + Mm.cpumask)) & ~(1 << cpu.id);
  while (mask !== 0) {
    const id = 31 - Math.clz32(mask);
    mask &= ~(1 << id);
    yield* waitOut(cpu, tlbOf(cpu, id) + CpuTlb.walkSeq, tlbOf(cpu, id) + CpuTlb.walkWaiter);
  }
}

/** Waits until what an odd `seqWord` says a CPU is in has ended. */
function* waitOut(cpu: Cpu, seqWord: number, waiterWord: number): Steps<void> {
  const seq = yield* atomicLoad(cpu, seqWord);
  if ((seq & 1) === 0) return;
  while ((yield* spinWhile(cpu, seqWord, seq, FLUSH_SPIN_BUDGET)) === seq) {
    yield* atomicStore(cpu, waiterWord, 1);
    yield* futexWait(cpu, seqWord, seq, NO_TIMEOUT);
  }
}

/** Opens a user access on this CPU. */
export function* beginUserAccess(cpu: Cpu): Steps<void> {
  yield* fetchAdd(cpu, cpu.tlb + CpuTlb.accessSeq, 1);
}

/** Closes it and wakes a flusher that waited for that. */
export function* endUserAccess(cpu: Cpu): Steps<void> {
  yield* endBracket(cpu, cpu.tlb + CpuTlb.accessSeq, cpu.tlb + CpuTlb.flushWaiter);
}

/** This CPU's MMU looks a translation up in page tables, outside any user access. */
export function* beginTableWalk(cpu: Cpu): Steps<void> {
  yield* fetchAdd(cpu, cpu.tlb + CpuTlb.walkSeq, 1);
}

export function* endTableWalk(cpu: Cpu): Steps<void> {
  yield* endBracket(cpu, cpu.tlb + CpuTlb.walkSeq, cpu.tlb + CpuTlb.walkWaiter);
}

function* endBracket(cpu: Cpu, seqWord: number, waiterWord: number): Steps<void> {
  yield* fetchAdd(cpu, seqWord, 1);
  if ((yield* atomicLoad(cpu, waiterWord)) === 0) return;
  yield* atomicStore(cpu, waiterWord, 0);
  yield* futexWake(cpu, seqWord, WAKE_ALL);
}

/** Generation that a translation read from now on may carry. */
export function* tlbGeneration(cpu: Cpu): Steps<number> {
  return yield* atomicLoad(cpu, cpu.tlb + CpuTlb.generation);
}

function entryOf(cpu: Cpu, vpn: number): number {
  return cpu.tlb + CpuTlb.entries + (vpn % TLB_ENTRIES) * TlbEntry.WORDS;
}

/** Cached frame of a page if its entry is live at `generation`, else 0. */
export function tlbLookup(cpu: Cpu, mm: number, vpn: number, generation: number): number {
  const words = cpu.words;
  const entry = entryOf(cpu, vpn);
  const live =
    words[entry + TlbEntry.mm] === mm &&
    words[entry + TlbEntry.generation] === generation &&
    words[entry + TlbEntry.vpnLow] === (vpn & 0x3fffffff) &&
    words[entry + TlbEntry.vpnHigh] === Math.floor(vpn / 0x40000000);
  return live ? (words[entry + TlbEntry.pfn] as number) : 0;
}

/** Whether the entry that `tlbLookup` just found lets the page be written to. */
export function tlbWritable(cpu: Cpu, vpn: number): boolean {
  return cpu.words[entryOf(cpu, vpn) + TlbEntry.writable] === 1;
}

/** Caches a translation that was read while the generation was `generation`. */
export function tlbFill(cpu: Cpu, mm: number, vpn: number, pfn: number, generation: number, writable = true): void {
  const words = cpu.words;
  const entry = entryOf(cpu, vpn);
  words[entry + TlbEntry.mm] = mm;
  words[entry + TlbEntry.vpnLow] = vpn & 0x3fffffff;
  words[entry + TlbEntry.vpnHigh] = Math.floor(vpn / 0x40000000);
  words[entry + TlbEntry.pfn] = pfn;
  words[entry + TlbEntry.writable] = writable ? 1 : 0;
  words[entry + TlbEntry.generation] = generation;
}
