import { describe, expect, it } from "vitest";
import { StartBarrier } from "../../src/run/start-barrier.ts";

const MS = 1e6;

/** A barrier of one CPU whose clock answers `times` in turn, the last one for ever; counts how often it was asked. */
function meetAlone(times: readonly number[], processors = 1): { laps: number; releasedAtNs: number } {
  const barrier = new StartBarrier(new SharedArrayBuffer(StartBarrier.BYTES), processors);
  let laps = 0;
  barrier.meet(1, () => times[Math.min(laps++, times.length - 1)] as number, 50 * MS);
  return { laps, releasedAtNs: barrier.releasedAtNs };
}

describe("meet", () => {
  it("goes round until four laps in a row were quick, and begins with the last", () => {
    expect(meetAlone([100, 200, 300, 400, 500, 600])).toEqual({ laps: 5, releasedAtNs: 500 });
  });

  it("begins to count anew after a slow lap: somebody was not running", () => {
    const times = [0, 100, 200, 3 * MS, 3 * MS + 1, 3 * MS + 2, 3 * MS + 3, 3 * MS + 4];
    expect(meetAlone(times)).toEqual({ laps: 8, releasedAtNs: 3 * MS + 4 });
  });

  it("loses patience with CPUs that never run together", () => {
    const slow = Array.from({ length: 100 }, (_, lap) => lap * 4 * MS);
    expect(meetAlone(slow)).toEqual({ laps: 14, releasedAtNs: 52 * MS });
  });

  it("does not wait for what cannot be: more CPUs than processors", () => {
    expect(meetAlone([100, 200], 0)).toEqual({ laps: 1, releasedAtNs: 100 });
  });

  it("can be met again, whatever the laps before came to", () => {
    const barrier = new StartBarrier(new SharedArrayBuffer(StartBarrier.BYTES));
    for (let trial = 1; trial <= 3; trial++) {
      let laps = 0;
      barrier.meet(1, () => trial * MS + laps++, MS);
      expect([laps, barrier.releasedAtNs]).toEqual([5, trial * MS + 4]);
    }
  });
});
