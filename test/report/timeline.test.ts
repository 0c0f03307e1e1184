import { describe, expect, it } from "vitest";
import { MMF_OOM_SKIP } from "../../src/mm/mm-struct.ts";
import { renderTimeline, timelineItems } from "../../src/report/timeline.ts";
import {
  ALLOC_STALL_BEGIN,
  ALLOC_STALL_END,
  CONTENTION_BEGIN,
  CONTENTION_END,
  MM_PAGES_FREED,
  MMAP_LOCK_ACQUIRE_RETURNED,
  MMAP_LOCK_RELEASED,
  MMAP_LOCK_START_LOCKING,
  MMF_FLAG_SET,
  SCHED_PROCESS_EXIT,
  TLB_FLUSH,
  ZAP_BEGIN,
  ZAP_END,
} from "../../src/trace/event.ts";
import type { TraceRecord } from "../../src/trace/ring.ts";

const at = (timeNs: number, cpu: number, event: number, a = 0, b = 0): TraceRecord => ({ timeNs, cpu, event, a, b });

describe("timelineItems", () => {
  it("joins the VMAs of one walk, and counts the waits inside it", () => {
    const records = [
      at(100, 0, ZAP_BEGIN),
      at(110, 0, CONTENTION_BEGIN),
      at(150, 0, CONTENTION_END),
      at(160, 0, ZAP_END),
      at(170, 0, TLB_FLUSH),
      at(175, 0, MM_PAGES_FREED, 8, 3),
      at(180, 0, ZAP_BEGIN),
      at(200, 0, ZAP_END),
      at(210, 0, MMF_FLAG_SET, 8, MMF_OOM_SKIP),
      at(220, 0, ZAP_BEGIN),
      at(230, 0, ZAP_END),
    ];
    expect(timelineItems(records)).toEqual([
      { cpu: 0, startNs: 100, endNs: 200, text: "unmaps 2 ranges, 1 lock wait" },
      { cpu: 0, startNs: 210, endNs: null, text: "sets MMF_OOM_SKIP" },
      { cpu: 0, startNs: 220, endNs: 230, text: "unmaps 1 range" },
    ]);
  });

  it("shows how long mmap_lock and stalls lasted, and what had not ended", () => {
    const records = [
      at(5, 1, ALLOC_STALL_BEGIN, 0, 7),
      at(10, 0, MMAP_LOCK_START_LOCKING, 8, 1),
      at(30, 0, MMAP_LOCK_ACQUIRE_RETURNED, 8, 1),
      at(40, 0, SCHED_PROCESS_EXIT, 1000),
      at(90, 0, MMAP_LOCK_RELEASED, 8, 1),
      at(95, 1, ALLOC_STALL_END, 0, 7),
      at(99, 1, MMAP_LOCK_ACQUIRE_RETURNED, 8, 0),
      at(100, 1, ALLOC_STALL_BEGIN, 0, 8),
      at(101, 0, MMAP_LOCK_ACQUIRE_RETURNED, 8, 1),
    ];
    expect(timelineItems(records).map(({ cpu, startNs, endNs, text }) => [cpu, startNs, endNs, text])).toEqual([
      [1, 5, 95, "allocation stalls"],
      [0, 30, 90, "holds mmap_lock for writing"],
      [0, 40, null, "sched_process_exit pid=1000"],
      [1, 99, null, "did not get mmap_lock"],
      [1, 100, null, "allocation stalls"],
      [0, 101, null, "holds mmap_lock"],
    ]);
  });

  it("is a table with a column per CPU that did something", () => {
    const items = timelineItems([at(500, 2, ZAP_BEGIN), at(3000, 2, ZAP_END), at(-500, 0, SCHED_PROCESS_EXIT, 7)]);
    expect(renderTimeline(items, ["victim", "asleep", "reaper"]).split("\n")).toEqual([
      "   time  victim                    reaper",
      "-500 ns  sched_process_exit pid=7",
      " 500 ns                            unmaps 1 range (2.50 us)",
    ]);
  });
});
