/**
 * The event ring of one CPU, in the arena. When it is full the oldest events are overwritten; the reader learns
 * how many.
 *
 * Thread safety: a CPU writes to its own ring only. The ring is read after its CPU has stopped (interleaved: between
 * steps). `trace` is no scheduling point.
 */

import type { Cpu } from "../arena/cpu.ts";
import { nowNs } from "../arena/mem.ts";
import { CACHE_PAIR, type StructType, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { TRACE_EVENTS } from "./event.ts";

export const TraceEntry = struct("traceEntry", {
  /** Nanoseconds on the CPU's clock: low 30 bits, then the rest. */
  timeLow: 1,
  timeHigh: 1,
  /** Number in TRACE_EVENTS. */
  event: 1,
  a: 1,
  b: 1,
});

const TIME_BASE = 2 ** 30;

/** What every ring begins with; its entries follow. */
const TraceRingHead = struct("traceRingHead", {
  /** Entries written since the start, modulo 2^32. */
  head: 1,
  /** Entries read since the start, modulo 2^32. */
  tail: 1,
  /** Entries that fit: a power of two. */
  capacity: 1,
});
const ENTRIES = TraceRingHead.WORDS;

/** Struct of a ring of `capacity` entries, a power of two. */
export function traceRing(capacity: number): StructType {
  assert(capacity > 0 && Number.isInteger(Math.log2(capacity)), `traceRing: ${capacity} is no power of two`);
  return struct("traceRing", { head: TraceRingHead, entries: [TraceEntry, capacity] }, CACHE_PAIR);
}

/** Makes the ring at `ring` an empty one of `capacity` entries. Before its CPU starts. */
export function initTraceRing(words: Int32Array, ring: number, capacity: number): void {
  words[ring + TraceRingHead.head] = 0;
  words[ring + TraceRingHead.tail] = 0;
  words[ring + TraceRingHead.capacity] = capacity;
}

/** Records an event with its two operands. Costs one comparison when this CPU has no ring. */
export function trace(cpu: Cpu, event: number, a: number, b: number): void {
  if (cpu.trace !== 0) record(cpu, event, a, b);
}

function record(cpu: Cpu, event: number, a: number, b: number): void {
  const { words, trace: ring } = cpu;
  const head = words[ring + TraceRingHead.head] as number;
  const slot = head & ((words[ring + TraceRingHead.capacity] as number) - 1);
  const at = ring + ENTRIES + slot * TraceEntry.WORDS;
  const now = Math.round(nowNs(cpu));
  const high = Math.floor(now / TIME_BASE);
  words[at + TraceEntry.timeLow] = now - high * TIME_BASE;
  words[at + TraceEntry.timeHigh] = high;
  words[at + TraceEntry.event] = event;
  words[at + TraceEntry.a] = a;
  words[at + TraceEntry.b] = b;
  words[ring + TraceRingHead.head] = (head + 1) | 0;
}

export interface TraceRecord {
  /** Nanoseconds on the CPU's clock. */
  readonly timeNs: number;
  readonly cpu: number;
  /** Number in TRACE_EVENTS. */
  readonly event: number;
  readonly a: number;
  readonly b: number;
}

export interface DrainedRing {
  /** In the order in which the CPU recorded them. */
  readonly records: readonly TraceRecord[];
  /** Older events that were overwritten before they were read. */
  readonly lost: number;
}

/** Takes out what was recorded since the last time. `cpu` is only noted in the records. */
export function drainTraceRing(words: Int32Array, ring: number, cpu: number): DrainedRing {
  const head = words[ring + TraceRingHead.head] as number;
  const capacity = words[ring + TraceRingHead.capacity] as number;
  const written = (head - (words[ring + TraceRingHead.tail] as number)) >>> 0;
  const kept = Math.min(written, capacity);
  const records: TraceRecord[] = [];
  for (let i = kept; i > 0; i--) {
    const slot = (head - i) & (capacity - 1);
    records.push(readEntry(words, ring + ENTRIES + slot * TraceEntry.WORDS, cpu));
  }
  words[ring + TraceRingHead.tail] = head;
  return { records, lost: written - kept };
}

function readEntry(words: Int32Array, at: number, cpu: number): TraceRecord {
  return {
    timeNs: (words[at + TraceEntry.timeHigh] as number) * TIME_BASE + (words[at + TraceEntry.timeLow] as number),
    cpu,
    event: words[at + TraceEntry.event] as number,
    a: words[at + TraceEntry.a] as number,
    b: words[at + TraceEntry.b] as number,
  };
}

/** Records of several CPUs in the order of time; equal times keep the order given. */
export function mergeTraces(rings: readonly DrainedRing[]): TraceRecord[] {
  return rings.flatMap((ring) => ring.records).sort((x, y) => x.timeNs - y.timeNs);
}

/** One line in the manner of the kernel's trace files: "[001] 12.345: mark_victim: pid=7 total_vm=40". */
export function formatTraceRecord(record: TraceRecord): string {
  const event = TRACE_EVENTS[record.event];
  assert(event !== undefined, `formatTraceRecord: no event ${record.event}`);
  const fields = [event.a && `${event.a}=${record.a}`, event.b && `${event.b}=${record.b}`].filter(Boolean).join(" ");
  const micros = (record.timeNs / 1000).toFixed(3);
  return `[${String(record.cpu).padStart(3, "0")}] ${micros}: ${event.name}:${fields && ` ${fields}`}`;
}
