/**
 * The event ring of one CPU, in the arena. An entry holds an event's first two words; what has more goes on in entries of
 * TRACE_MORE. When the ring is full the oldest entries are overwritten; the reader learns how many.
 *
 * Thread safety: a CPU writes to its own ring only. The ring is read after its CPU has stopped (interleaved: between
 * steps). `trace` is no scheduling point.
 */

import type { Cpu } from "../arena/cpu.ts";
import { nowNs } from "../arena/mem.ts";
import { CACHE_PAIR, type StructType, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { TRACE_EVENTS, TRACE_MORE, type TraceEvent } from "./event.ts";

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

/** Words of a record that an entry of TRACE_MORE holds, in the place of the time and of the two operands. */
const MORE_WORDS = 4;

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
  const head = cpu.words[cpu.trace + TraceRingHead.head] as number;
  writeHead(cpu, head, event, a, b);
  cpu.words[cpu.trace + TraceRingHead.head] = (head + 1) | 0;
}

/**
 * Records an event of any number of words, which are those of its fields in their order. Gathering them costs: callers
 * ask first whether this CPU has a ring (`cpu.trace` is not 0).
 */
export function traceWords(cpu: Cpu, event: number, fields: readonly number[]): void {
  const { words, trace: ring } = cpu;
  const { name, words: expected } = TRACE_EVENTS[event] as TraceEvent;
  assert(fields.length === expected, `traceWords: ${name} has ${expected} words, not ${fields.length}`);
  let head = words[ring + TraceRingHead.head] as number;
  writeHead(cpu, head++, event, fields[0] ?? 0, fields[1] ?? 0);
  for (let i = 2; i < fields.length; i += MORE_WORDS) {
    const at = entryAt(words, ring, head++);
    words[at + TraceEntry.timeLow] = fields[i] as number;
    words[at + TraceEntry.timeHigh] = fields[i + 1] ?? 0;
    words[at + TraceEntry.event] = TRACE_MORE;
    words[at + TraceEntry.a] = fields[i + 2] ?? 0;
    words[at + TraceEntry.b] = fields[i + 3] ?? 0;
  }
  words[ring + TraceRingHead.head] = head | 0;
}

/** The entry that is written `index`-th, counted since the start. */
function entryAt(words: Int32Array, ring: number, index: number): number {
  const slot = index & ((words[ring + TraceRingHead.capacity] as number) - 1);
  return ring + ENTRIES + slot * TraceEntry.WORDS;
}

function writeHead(cpu: Cpu, index: number, event: number, a: number, b: number): void {
  const { words } = cpu;
  const at = entryAt(words, cpu.trace, index);
  const now = Math.round(nowNs(cpu));
  const high = Math.floor(now / TIME_BASE);
  words[at + TraceEntry.timeLow] = now - high * TIME_BASE;
  words[at + TraceEntry.timeHigh] = high;
  words[at + TraceEntry.event] = event;
  words[at + TraceEntry.a] = a;
  words[at + TraceEntry.b] = b;
}

export interface TraceRecord {
  /** Nanoseconds on the CPU's clock. */
  readonly timeNs: number;
  readonly cpu: number;
  /** Number in TRACE_EVENTS. */
  readonly event: number;
  /** The first two words of its fields. */
  readonly a: number;
  readonly b: number;
  /** Those that follow, for an event that has more. */
  readonly more?: readonly number[];
}

export interface DrainedRing {
  /** In the order in which the CPU recorded them. */
  readonly records: readonly TraceRecord[];
  /** Older entries that were overwritten before they were read; a record that lost its first one is lost as a whole. */
  readonly lost: number;
}

/** Takes out what was recorded since the last time. `cpu` is only noted in the records. */
export function drainTraceRing(words: Int32Array, ring: number, cpu: number): DrainedRing {
  const head = words[ring + TraceRingHead.head] as number;
  const capacity = words[ring + TraceRingHead.capacity] as number;
  const written = (head - (words[ring + TraceRingHead.tail] as number)) >>> 0;
  let left = Math.min(written, capacity);
  while (left > 0 && eventOf(words, entryAt(words, ring, head - left)) === TRACE_MORE) left--;
  const lost = written - left;
  const records: TraceRecord[] = [];
  while (left > 0) {
    const record = readRecord(words, ring, head - left, cpu);
    records.push(record);
    left -= entriesOf(record);
  }
  words[ring + TraceRingHead.tail] = head;
  return { records, lost };
}

function eventOf(words: Int32Array, at: number): number {
  return words[at + TraceEntry.event] as number;
}

function entriesOf({ more }: TraceRecord): number {
  return 1 + Math.ceil((more?.length ?? 0) / MORE_WORDS);
}

/** The record whose first entry is the `index`-th since the start. */
function readRecord(words: Int32Array, ring: number, index: number, cpu: number): TraceRecord {
  const at = entryAt(words, ring, index);
  const first: TraceRecord = {
    timeNs: (words[at + TraceEntry.timeHigh] as number) * TIME_BASE + (words[at + TraceEntry.timeLow] as number),
    cpu,
    event: eventOf(words, at),
    a: words[at + TraceEntry.a] as number,
    b: words[at + TraceEntry.b] as number,
  };
  const rest = (TRACE_EVENTS[first.event] as TraceEvent).words - 2;
  if (rest <= 0) return first;
  const more: number[] = [];
  for (let i = index + 1; more.length < rest; i++) {
    const { timeLow, timeHigh, a, b } = TraceEntry;
    const entry = entryAt(words, ring, i);
    for (const field of [timeLow, timeHigh, a, b].slice(0, rest - more.length))
      more.push(words[entry + field] as number);
  }
  return { ...first, more };
}

/** Records of several CPUs in the order of time; equal times keep the order given. */
export function mergeTraces(rings: readonly DrainedRing[]): TraceRecord[] {
  return rings.flatMap((ring) => ring.records).sort((x, y) => x.timeNs - y.timeNs);
}
