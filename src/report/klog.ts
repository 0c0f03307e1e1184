/** The kernel's log of a run, from its trace: what a kernel of that era would have printed, and when. */

import type { LogEra } from "../trace/log-era.ts";
import type { TraceRecord } from "../trace/ring.ts";
import { klogLines } from "./klog-lines.ts";

export interface KlogLine {
  /** Emulated microseconds. */
  readonly us: number;
  readonly cpu: number;
  readonly text: string;
}

export interface KlogTime {
  /** When the log's clock starts, in nanoseconds on the trace's clock. */
  readonly originNs: number;
  /** Emulated microseconds in a nanosecond of the trace's clock. */
  readonly usPerNs: number;
}

/** Lines in the order of time. `records` are in that order already (`mergeTraces`). */
export function kernelLog(records: readonly TraceRecord[], era: LogEra, time: KlogTime): KlogLine[] {
  return records.flatMap((record) => {
    const us = Math.max(0, Math.floor((record.timeNs - time.originNs) * time.usPerNs));
    return klogLines(record, era).map((text) => ({ us, cpu: record.cpu, text }));
  });
}

const US_PER_S = 1_000_000;

/** "[    5.123456] text", as dmesg shows it. */
export function formatKlogLine({ us, text }: KlogLine): string {
  const seconds = String(Math.floor(us / US_PER_S)).padStart(5);
  return `[${seconds}.${String(us % US_PER_S).padStart(6, "0")}] ${text}`;
}
