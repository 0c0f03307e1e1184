import { expect, test } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { commWords, storeComm } from "../../src/trace/comm.ts";
import { MARK_VICTIM, TLB_FLUSH, TRACE_EVENTS, WAKE_REAPER, ZAP_BEGIN } from "../../src/trace/event.ts";
import { formatTraceRecord, traceFields } from "../../src/trace/record.ts";
import {
  drainTraceRing,
  initTraceRing,
  mergeTraces,
  type TraceRecord,
  trace,
  traceRing,
  traceWords,
} from "../../src/trace/ring.ts";
import { createToy, toyCpu } from "../race/workers/toy.ts";

const RING = 32;

function tracedCpu(capacity: number, clock: { ns: number }, id = 0): Cpu {
  const words = new Int32Array(RING + traceRing(capacity).WORDS);
  initTraceRing(words, RING, capacity);
  const bare = toyCpu(createToy({ cpus: 2 }), { cpus: 2 }, id, { ...soloPort(), nowNs: () => clock.ns });
  return { ...bare, words, trace: RING };
}

test("records come back in order, with times beyond 32 bits and negative operands", () => {
  const clock = { ns: 3 };
  const cpu = tracedCpu(4, clock);
  trace(cpu, TLB_FLUSH, 7, -40);
  clock.ns = 5_000_000_000_123;
  trace(cpu, ZAP_BEGIN, 1, 2);
  expect(drainTraceRing(cpu.words, RING, 9)).toEqual({
    records: [
      { timeNs: 3, cpu: 9, event: TLB_FLUSH, a: 7, b: -40 },
      { timeNs: 5_000_000_000_123, cpu: 9, event: ZAP_BEGIN, a: 1, b: 2 },
    ],
    lost: 0,
  });
});

test("a full ring keeps the newest and counts what it lost; a drained ring starts anew", () => {
  const cpu = tracedCpu(4, { ns: 0 });
  for (let i = 0; i < 10; i++) trace(cpu, TLB_FLUSH, i, 0);
  const drained = drainTraceRing(cpu.words, RING, 0);
  expect(drained.records.map((r) => r.a)).toEqual([6, 7, 8, 9]);
  expect(drained.lost).toBe(6);
  trace(cpu, TLB_FLUSH, 10, 0);
  expect(drainTraceRing(cpu.words, RING, 0).records.map((r) => r.a)).toEqual([10]);
});

test("the count of entries may pass 2^31", () => {
  const cpu = tracedCpu(4, { ns: 0 });
  cpu.words[RING] = 0x7fffffff;
  cpu.words[RING + 1] = 0x7fffffff;
  for (let i = 0; i < 3; i++) trace(cpu, TLB_FLUSH, i, 0);
  expect(drainTraceRing(cpu.words, RING, 0)).toMatchObject({ records: [{ a: 0 }, { a: 1 }, { a: 2 }], lost: 0 });
});

test("a CPU without a ring records nothing and touches no word", () => {
  const cpu = { ...tracedCpu(4, { ns: 0 }), trace: 0 };
  const before = cpu.words.slice();
  trace(cpu, TLB_FLUSH, 1, 2);
  expect(cpu.words).toEqual(before);
});

test("rings of several CPUs merge by time", () => {
  const clock = { ns: 0 };
  const cpus = [tracedCpu(8, clock, 0), tracedCpu(8, clock, 1)];
  for (const turn of [1, 0, 0, 1]) {
    clock.ns += 1500;
    trace(cpus[turn] as Cpu, TLB_FLUSH, turn, clock.ns);
  }
  const merged = mergeTraces(cpus.map((cpu) => drainTraceRing(cpu.words, RING, cpu.id)));
  expect(merged.map(formatTraceRecord)).toEqual([
    "[001] 1.500: tlb_flush: mm=1 cpus=1500",
    "[000] 3.000: tlb_flush: mm=0 cpus=3000",
    "[000] 4.500: tlb_flush: mm=0 cpus=4500",
    "[001] 6.000: tlb_flush: mm=1 cpus=6000",
  ]);
});

/** A record of mark_victim, of 12 words: it takes four entries. */
function markVictim(cpu: Cpu, pid: number): void {
  const comm = new Int32Array(4);
  storeComm(comm, 0, "a command with a long name");
  traceWords(cpu, MARK_VICTIM, [pid, ...commWords(comm, 0), 2 ** 32 - 4, 16, 8, 4, 1000, 12, -900]);
}

test("an event with many fields comes back with all of them, between others and around the ring's end", () => {
  const cpu = tracedCpu(8, { ns: 5 });
  for (let pid = 1; pid <= 5; pid++) {
    trace(cpu, WAKE_REAPER, pid, 0);
    markVictim(cpu, pid);
    const { records, lost } = drainTraceRing(cpu.words, RING, 0);
    expect([records.map((record) => record.event), lost]).toEqual([[WAKE_REAPER, MARK_VICTIM], 0]);
    expect(traceFields(records[1] as TraceRecord)).toEqual({
      pid,
      comm: "a command with ",
      total_vm: 2 ** 32 - 4,
      anon_rss: 16,
      file_rss: 8,
      shmem_rss: 4,
      uid: 1000,
      pgtables: 12,
      oom_score_adj: -900,
    });
    expect(traceFields(records[1] as TraceRecord, "v5.12")).toEqual({ pid });
  }
});

test("of a record whose first entry was overwritten nothing is left, and the next one is whole", () => {
  for (let after = 1; after <= 8; after++) {
    const cpu = tracedCpu(8, { ns: 0 });
    markVictim(cpu, 1);
    markVictim(cpu, 2);
    for (let i = 0; i < after; i++) trace(cpu, TLB_FLUSH, i, 0);
    const { records, lost } = drainTraceRing(cpu.words, RING, 0);
    const second = after <= 4 ? [MARK_VICTIM] : [];
    expect(records.map(({ event }) => event)).toEqual([...second, ...Array(after).fill(TLB_FLUSH)]);
    expect(lost).toBe(after <= 4 ? 4 : 8);
  }
});

test("a record with too few words is refused", () => {
  const cpu = tracedCpu(8, { ns: 0 });
  expect(() => traceWords(cpu, MARK_VICTIM, [1])).toThrow("traceWords: mark_victim has 12 words, not 1");
});

test("a capacity that is no power of two is refused", () => {
  expect(() => traceRing(12)).toThrow("traceRing: 12 is no power of two");
});

test("event names are unique inside their group", () => {
  const names = TRACE_EVENTS.map((event) => `${event.group}:${event.name}`);
  expect(new Set(names).size).toBe(names.length);
});
