/**
 * Turns a hang into a report. Samples, on the main thread, counters that work advances and spinning does not: each
 * CPU's `CpuSync.progress` and its lock acquisitions. When none has moved for the limit (see stall-clock for what
 * counts), it says what every CPU is at.
 */

import { describeCycle, describeLocks, readLocks, type SyncPlace, waitCycle } from "../explore/wait-for.ts";
import { CPU_DONE, CpuSync, LockStat } from "../sync/cpu-sync.ts";
import { MAX_LOCK_CLASSES } from "../sync/lock-class.ts";
import { StallClock } from "./stall-clock.ts";
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

/** Starts watching; the function returned ends it. */
export function watch(options: WatchdogOptions): () => void {
  const tickMs = Math.min(Math.max(options.limitMs / TICKS_PER_LIMIT, MIN_TICK_MS), MAX_TICK_MS);
  const clock = new StallClock(tickMs);
  let last: number[] = [];
  const tick = (): void => {
    const progress = [...options.running.keys()].map((cpu) => progressOf(options.place, cpu));
    const advanced = progress.some((count, i) => count !== last[i]);
    last = progress;
    clock.tick(readTick(), advanced);
    if (clock.stalledMs < options.limitMs) return;
    clearInterval(timer);
    options.onHang(new HangError(hangReport(options)));
  };
  const timer = setInterval(tick, tickMs);
  timer.unref();
  tick();
  return () => clearInterval(timer);
}

function readTick(): { wallMs: number; cpuMs: number; wantsCpu: () => boolean | undefined } {
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
