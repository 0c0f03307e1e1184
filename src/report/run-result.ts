/**
 * What `oomrace run` saw, as data: schema "oomrace.run/1". schemas/oomrace.run.1.json says the same to other programs.
 * Times are nanoseconds since the kill, pages are 4 KiB.
 */

import { FIRST_PROCESS_PID } from "../machine/pressure.ts";
import type { TimerScale } from "../run/bench/record.ts";
import type { MachineInfo } from "../run/cpu-info.ts";
import type { KillSetup, RawKill } from "../run/kill.ts";
import type { ActorSample } from "../run/samples.ts";
import { SIGNAL_GENERATE } from "../trace/event.ts";
import { type TraceFields, traceEventOf, traceFields } from "../trace/record.ts";
import type { TraceRecord } from "../trace/ring.ts";
import { type KlogLine, kernelLog } from "./klog.ts";
import { type CurvePoint, type MemoryBack, memoryBackCurve, memoryBackTimes } from "./memory-back.ts";
import { type TimelineItem, timelineItems } from "./timeline.ts";

export const RUN_SCHEMA = "oomrace.run/1";

/** A tracepoint that fired, with its fields by the kernel's names. */
export interface Tracepoint {
  readonly ns: number;
  readonly cpu: number;
  /** "wake_reaper" */
  readonly event: string;
  readonly fields: TraceFields;
}

export interface KilledProcess {
  readonly ns: number;
  readonly pid: number;
  /** "victim", or which bystander. */
  readonly name: string;
}

export interface RunResult {
  readonly schema: typeof RUN_SCHEMA;
  readonly version: string;
  readonly machine: MachineInfo;
  readonly setup: KillSetup;
  readonly timers: TimerScale;
  readonly layout: RawKill["layout"];
  /** More actors than CPUs: lock holders get preempted. */
  readonly oversubscribed: boolean;
  /** What each CPU was, by its number. */
  readonly roles: readonly string[];
  /** Processes that were killed, in the order of time; the victim is the first. */
  readonly kills: readonly KilledProcess[];
  /** How many of them died although memory was on its way. */
  readonly needless: number;
  /** Nobody was left to kill: the machine stopped there, and has no actors. */
  readonly panicked: boolean;
  /** What a kernel with this protocol would have printed; its clock starts with the trace. */
  readonly log: readonly KlogLine[];
  readonly tracepoints: readonly Tracepoint[];
  readonly timeline: readonly TimelineItem[];
  readonly memoryBack: {
    /** The victim's own: those of files and of shared memory stay. */
    readonly pages: number;
    readonly times: readonly MemoryBack[];
    readonly curve: readonly CurvePoint[];
  };
  /** Until victim and reaper had left their last VMA. */
  readonly phaseNs: number;
  readonly actors: readonly ActorSample[];
  readonly notes: readonly string[];
}

/** Groups of tracepoints that tell the story; the others are the timeline's. */
const STORY_GROUPS = ["oom", "signal", "sched"];

/** Points that a curve keeps at most: more than a screen can show. */
const CURVE_POINTS = 1000;

export function buildRunResult(raw: RawKill): RunResult {
  const { kill, version, machine, setup, timers, layout, oversubscribed, roles, logEra } = raw;
  const curve = memoryBackCurve(kill.trace, kill.mms[0] as number);
  return {
    schema: RUN_SCHEMA,
    version,
    machine,
    setup,
    timers,
    layout,
    oversubscribed,
    roles,
    kills: killedProcesses(kill.trace),
    needless: kill.needless,
    panicked: kill.panicked,
    log: kernelLog(kill.trace, logEra, {
      originNs: Math.min(0, kill.trace[0]?.timeNs ?? 0),
      usPerNs: 1 / timers.kernelSecondMs,
    }),
    tracepoints: kill.trace.flatMap((record): Tracepoint[] => {
      const { group, name } = traceEventOf(record);
      if (!STORY_GROUPS.includes(group)) return [];
      return [{ ns: record.timeNs, cpu: record.cpu, event: name, fields: traceFields(record, logEra) }];
    }),
    timeline: timelineItems(kill.trace),
    memoryBack: {
      pages: layout.ownPages,
      times: memoryBackTimes(curve, layout.ownPages),
      curve: thinned(curve),
    },
    phaseNs: kill.phaseNs,
    actors: kill.actors,
    notes: [
      ...raw.notes,
      ...(kill.lost === 0 ? [] : [`${kill.lost} older trace events did not fit the rings: the timeline begins late`]),
    ],
  };
}

/** Every process has one thread and its own memory, so each SIGKILL is a kill. */
function killedProcesses(trace: readonly TraceRecord[]): KilledProcess[] {
  return trace
    .filter(({ event }) => event === SIGNAL_GENERATE)
    .map((record) => {
      const pid = Number(traceFields(record).pid);
      return { ns: record.timeNs, pid, name: nameOf(pid - FIRST_PROCESS_PID) };
    });
}

/** The victim is in slot 0, bystanders behind it. */
function nameOf(slot: number): string {
  return slot === 0 ? "victim" : `bystander ${slot}`;
}

/** Every n-th point, and always the last. */
function thinned(curve: readonly CurvePoint[]): CurvePoint[] {
  const step = Math.ceil(curve.length / CURVE_POINTS);
  return curve.filter((_, i) => i % step === 0 || i === curve.length - 1);
}
