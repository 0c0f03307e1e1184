/** CPU time of the calling thread, from the best source that this Node and system have. */

import { closeSync, openSync, readSync } from "node:fs";
import type { CpuTimeSource } from "./messages.ts";

export interface CpuTimer {
  readonly source: CpuTimeSource;
  /** Nanoseconds of CPU time of this thread since its start; undefined when not available. */
  read(): number | undefined;
}

type ThreadCpuUsage = () => { user: number; system: number };

/**
 * The timer for this thread. Linux brings a running thread's account up to date when the process asks for its own
 * usage; without that call both sources step by a scheduler tick (4 ms).
 */
export function threadCpuTimer(): CpuTimer {
  const usage = (process as { threadCpuUsage?: ThreadCpuUsage }).threadCpuUsage;
  if (usage) {
    return {
      source: "threadCpuUsage",
      read: () => {
        process.cpuUsage();
        const { user, system } = usage.call(process);
        return (user + system) * 1000;
      },
    };
  }
  return schedstatTimer() ?? { source: "not available", read: () => undefined };
}

/** /proc/thread-self/schedstat: its first number is the thread's time on a CPU, in nanoseconds. */
function schedstatTimer(): CpuTimer | undefined {
  const text = Buffer.alloc(96);
  const read = (): number => {
    process.cpuUsage();
    const file = openSync("/proc/thread-self/schedstat", "r");
    const length = readSync(file, text, 0, text.length, 0);
    closeSync(file);
    return Number.parseInt(text.toString("latin1", 0, length), 10);
  };
  try {
    return Number.isFinite(read()) ? { source: "schedstat", read } : undefined;
  } catch {
    return undefined;
  }
}

/** Smallest step between readings taken back to back, in nanoseconds: what the timer can tell apart at best. */
export function cpuTimeResolutionNs(timer: CpuTimer): number {
  let smallest = Number.POSITIVE_INFINITY;
  let last = timer.read();
  for (let i = 0; i < 64 && last !== undefined; i++) {
    const next = timer.read() as number;
    if (next > last) smallest = Math.min(smallest, next - last);
    last = next;
  }
  return Number.isFinite(smallest) ? smallest : 0;
}
