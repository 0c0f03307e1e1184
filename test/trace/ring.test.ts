import { expect, test } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { soloPort } from "../../src/arena/solo-port.ts";
import { MARK_VICTIM, TLB_FLUSH, TRACE_EVENTS, ZAP_BEGIN } from "../../src/trace/event.ts";
import {
  drainTraceRing,
  formatTraceRecord,
  initTraceRing,
  mergeTraces,
  trace,
  traceRing,
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
  trace(cpu, MARK_VICTIM, 7, -40);
  clock.ns = 5_000_000_000_123;
  trace(cpu, ZAP_BEGIN, 1, 2);
  expect(drainTraceRing(cpu.words, RING, 9)).toEqual({
    records: [
      { timeNs: 3, cpu: 9, event: MARK_VICTIM, a: 7, b: -40 },
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
  trace(cpu, MARK_VICTIM, 1, 2);
  expect(cpu.words).toEqual(before);
});

test("rings of several CPUs merge by time", () => {
  const clock = { ns: 0 };
  const cpus = [tracedCpu(8, clock, 0), tracedCpu(8, clock, 1)];
  for (const turn of [1, 0, 0, 1]) {
    clock.ns += 1500;
    trace(cpus[turn] as Cpu, MARK_VICTIM, turn, clock.ns);
  }
  const merged = mergeTraces(cpus.map((cpu) => drainTraceRing(cpu.words, RING, cpu.id)));
  expect(merged.map(formatTraceRecord)).toEqual([
    "[001] 1.500: mark_victim: pid=1 total_vm=1500",
    "[000] 3.000: mark_victim: pid=0 total_vm=3000",
    "[000] 4.500: mark_victim: pid=0 total_vm=4500",
    "[001] 6.000: mark_victim: pid=1 total_vm=6000",
  ]);
});

test("a capacity that is no power of two is refused", () => {
  expect(() => traceRing(12)).toThrow("traceRing: 12 is no power of two");
});

test("event names are unique inside their group", () => {
  const names = TRACE_EVENTS.map((event) => `${event.group}:${event.name}`);
  expect(new Set(names).size).toBe(names.length);
});
