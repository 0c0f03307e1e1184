import { describe, expect, it } from "vitest";
import { memoryBackCurve, memoryBackTimes, renderMemoryBack } from "../../src/report/memory-back.ts";
import { MM_PAGES_FREED, TLB_FLUSH } from "../../src/trace/event.ts";
import type { TraceRecord } from "../../src/trace/ring.ts";

const MM = 64;
const freed = (timeNs: number, cpu: number, pages: number, mm = MM): TraceRecord => ({
  timeNs,
  cpu,
  event: MM_PAGES_FREED,
  a: mm,
  b: pages,
});

describe("the memory-back curve", () => {
  const records = [
    freed(2000, 1, 40),
    freed(1000, 0, 10),
    freed(1500, 1, 7, 128),
    freed(1600, 0, 0),
    { timeNs: 1700, cpu: 0, event: TLB_FLUSH, a: MM, b: 50 },
    freed(8000, 0, 50),
  ];

  it("adds up what all CPUs freed of this mm, in the order of time, since the kill", () => {
    expect(memoryBackCurve(records, MM)).toEqual([
      { ns: 1000, pages: 10 },
      { ns: 2000, pages: 50 },
      { ns: 8000, pages: 100 },
    ]);
  });

  it("reaches a share with the flush that completes it, and says what never came back", () => {
    const curve = memoryBackCurve(records, MM);
    expect(memoryBackTimes(curve, 100).map(({ pages, ns }) => [pages, ns])).toEqual([
      [50, 2000],
      [90, 8000],
      [100, 8000],
    ]);
    expect(memoryBackTimes(curve, 105).map(({ ns }) => ns)).toEqual([8000, 8000, null]);
    expect(memoryBackTimes([], 3).map(({ ns }) => ns)).toEqual([null, null, null]);
  });

  it("is drawn in ten steps of time", () => {
    const text = renderMemoryBack(memoryBackCurve(records, MM), 100, { indent: 2 });
    const rows = text.split("\n").slice(1, 11);
    expect(rows).toHaveLength(10);
    expect(rows[0]).toMatch(/^ +800 ns +0 +\.{40}$/);
    expect(rows[4]).toMatch(/^ +4\.00 us +50 +#{20}\.{20}$/);
    expect(rows[9]).toMatch(/^ +8\.00 us +100 +#{40}$/);
    expect(text).toContain("of 100 pages: 50 % after 2.00 us, 90 % after 8.00 us, 100 % after 8.00 us");
    expect(renderMemoryBack([], 5)).toBe("of 5 pages: 50 % never, 90 % never, 100 % never");
  });
});
