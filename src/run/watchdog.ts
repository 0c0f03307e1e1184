/**
 * Turns a hang into a report. Samples, on the main thread, counters that work advances and spinning does not: each
 * CPU's `CpuSync.progress` and its lock acquisitions. When none has moved for the limit (see stall-clock for what
 * counts), it says what every CPU is at.
 */

import { describeCycle, describeLocks, readLocks, type SyncPlace, waitCycle } from "../explore/wait-for.ts";
import { CPU_DONE, CpuSync, LockStat } from "../sync/cpu-sync.ts";
import { MAX_LOCK_CLASSES } from "../sync/lock-class.ts";
import { StallClock, type TickReading } from "./stall-clock.ts";
import { otherThreadsWantCpu } from "./thread-states.ts";

/** The report of a hang. Exit code 3. */
export class HangError extends Error {
  override readonly name = "HangError";
}

export interface WatchdogOptions {
  readonly place: SyncPlace;
  /** Stalled time after which it is a hang, in milliseconds. */
  readonly limitMs: number;
  /** CPUs that take part, with the name of what they run. */
  readonly running: ReadonlyMap<number, string>;
  /** Called once, with the report. */
  readonly onHang: (error: HangError) => void;
}

const TICKS_PER_LIMIT = 20;
const MIN_TICK_MS = 5;
const MAX_TICK_MS = 250;

/** Starts watching the CPUs of a trial; the function returned ends it. */
export function watch(options: WatchdogOptions): () => void {
  const { place, running, limitMs } = options;
  const counters = (): number[] => [...running.keys()].map((cpu) => progressOf(place, cpu));
  return watchCounter(counters, limitMs, () => options.onHang(new HangError(hangReport(options))));
}

/** Calls `onHang` once when none of the counters has changed for `limitMs` of stalled time; the result ends it. */
export function watchCounter(counters: () => readonly number[], limitMs: number, onHang: () => void): () => void {
  const tickMs = Math.min(Math.max(limitMs / TICKS_PER_LIMIT, MIN_TICK_MS), MAX_TICK_MS);
  const clock = new StallClock(tickMs);
  let last: readonly number[] = [];
  const tick = (): void => {
    const now = counters();
    const advanced = now.some((count, i) => count !== last[i]);
    last = now;
    clock.tick(readTick(), advanced);
    if (clock.stalledMs < limitMs) return;
    clearInterval(timer);
    onHang();
  };
  const timer = setInterval(tick, tickMs);
  timer.unref();
  tick();
  return () => clearInterval(timer);
}

function readTick(): TickReading {
  const { user, system } = process.cpuUsage();
  return { wallMs: performance.now(), cpuMs: (user + system) / 1000, wantsCpu: otherThreadsWantCpu };
}

/** A number that changes when the CPU advances or ends. */
function progressOf(place: SyncPlace, cpu: number): number {
  const at = place.base + cpu * place.stride;
  let sum = (place.words[at + CpuSync.progress] as number) + Number(place.words[at + CpuSync.state] === CPU_DONE);
  for (let cls = 0; cls < MAX_LOCK_CLASSES; cls++) {
    sum += place.words[at + CpuSync.stats + cls * LockStat.WORDS + LockStat.acquired] as number;
  }
  return sum;
}

/** What every CPU is at: one line each, then the wait-for cycle where there is one. */
export function hangReport(options: Pick<WatchdogOptions, "place" | "limitMs" | "running">): string {
  const locks = readLocks(options.place);
  const lines = [`no CPU advanced for ${options.limitMs / 1000} s`];
  for (const [cpu, doing] of options.running) {
    const own = locks[cpu];
    if (!own) continue;
    const about = describeLocks(own);
    lines.push(`CPU ${cpu} (${doing}) ${own.state}${about ? `; ${about}` : ""}`);
  }
  const cycle = waitCycle(locks);
  if (cycle) lines.push(describeCycle(cycle));
  return lines.join("\n");
}
