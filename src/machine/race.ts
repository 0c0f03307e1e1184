/**
 * Setting a race up: the victim process built and killed, the reaper's hold on its mm taken; and reading what it came
 * to. What happens in between is the roles'.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicStore } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { CpuMm } from "../mm/cpu-mm.ts";
import { mmAlloc, mmdrop } from "../mm/mm.ts";
import { dropCaches } from "../mm/page-cache.ts";
import { drainPages } from "../mm/pcp.ts";
import { mreleaseFind } from "../oom/process-mrelease.ts";
import { markOomVictim } from "../oom/victim.ts";
import { slowdownOf } from "../sync/cpu-speed.ts";
import { CpuSync, LockStat, readNs } from "../sync/cpu-sync.ts";
import { type LockKind, lockClassKinds, lockClassNames, MAX_LOCK_CLASSES } from "../sync/lock-class.ts";
import { createTask, killTask, switchTo, taskAt } from "../task/task.ts";
import { putOomMm } from "../task/tasklist.ts";
import { buildAddressSpace, type FrameOrder, type Mapping } from "./address-space.ts";
import { elementOf, type MachineMap } from "./memory-map.ts";
import { putPageChain, takeAllPages } from "./page-chain.ts";
import { findProtocol } from "./roles.ts";

export const REAPERS = ["mrelease", "kthread", "none"] as const;
export type Reaper = (typeof REAPERS)[number];

/** Task slot of the victim. */
export const VICTIM_SLOT = 0;
const VICTIM_PID = 1000;
const VICTIM_COMM = "victim";

export interface RaceSetup {
  readonly protocol: string;
  readonly mappings: readonly Mapping[];
  readonly frames: FrameOrder;
  readonly seed: number;
  readonly reaper: Reaper;
  /** process_mrelease callers, each with a pin of its own. Default 1. */
  readonly reapers?: number;
  /** Somebody else takes all free memory down to the watermarks, as before an OOM kill. Default false. */
  readonly exhausted?: boolean;
}

export interface StagedRace {
  /** Word addresses. */
  readonly mm: number;
  readonly task: number;
  /** First page of those that somebody else holds, each naming the next in its content; 0 for none. */
  readonly hog: number;
}

/**
 * On the victim's CPU: builds the process, kills it, and takes what the reaper needs before the clock starts: the
 * pin of mreleaseFind, or the victim's mark for the kthread.
 */
export function* stageRace(cpu: Cpu, setup: RaceSetup): Steps<StagedRace> {
  const mm = yield* mmAlloc(cpu, 1, findProtocol(setup.protocol).rwsemRules);
  assert(mm !== 0, "stageRace: no memory for the mm");
  const task = createTask(cpu, VICTIM_SLOT, { pid: VICTIM_PID, comm: VICTIM_COMM, mm });
  switchTo(cpu, task);
  yield* buildAddressSpace(cpu, mm, setup.mappings, setup.frames, setup.seed);
  yield* drainPages(cpu);
  yield* killTask(cpu, task);
  if (setup.reaper === "kthread") yield* markOomVictim(cpu, task);
  for (let i = 0; setup.reaper === "mrelease" && i < (setup.reapers ?? 1); i++) {
    const found = yield* mreleaseFind(cpu, VICTIM_SLOT, 0);
    assert(found === mm, `stageRace: mreleaseFind answered ${found}`);
  }
  // A new victim starts with an empty token: the kill woke nobody who slept.
  yield* atomicStore(cpu, cpu.sync + CpuSync.parkToken, 0);
  return { mm, task, hog: setup.exhausted ? yield* takeAllPages(cpu) : 0 };
}

/**
 * After the roles: files are forgotten, the victim's signal_struct goes, and with it the pin that `markOomVictim` took.
 * `unusedPin` is the mm that was pinned, once for each of `callers` mrelease callers who did not run, 0 when they did;
 * `hog` is `StagedRace.hog`.
 */
export function* endRace(cpu: Cpu, unusedPin: number, hog = 0, callers = 1): Steps<void> {
  yield* putPageChain(cpu, hog);
  yield* dropCaches(cpu);
  for (let i = 0; unusedPin !== 0 && i < callers; i++) yield* mmdrop(cpu, unusedPin);
  yield* putOomMm(cpu, taskAt(cpu, VICTIM_SLOT));
}

/** Zeroes what the CPUs counted so far, so that a race's figures are its own. While no CPU runs. */
export function resetFigures(words: Int32Array, map: MachineMap): void {
  for (let id = 0; id < map.shape.cpus; id++) {
    const sync = elementOf(map.cpuSync, id);
    words.fill(0, sync + CpuSync.stats, sync + CpuSync.stats + LockStat.WORDS * MAX_LOCK_CLASSES);
    words[sync + CpuSync.progress] = 0;
    const mm = elementOf(map.cpuMm, id);
    for (const field of [CpuMm.ptesZapped, CpuMm.tablesZapped, CpuMm.resched]) words[mm + field] = 0;
    words.fill(0, mm + CpuMm.leftLastVmaNs, mm + CpuMm.finishedNs + 2);
  }
}

/** Lets CPU `id` work at `speed`, above 0 to 1. While no CPU runs. */
export function setSpeed(words: Int32Array, map: MachineMap, id: number, speed: number): void {
  words[elementOf(map.cpuSync, id) + CpuSync.slowdown] = slowdownOf(speed);
}

export interface LockFigures {
  readonly name: string;
  readonly kind: LockKind;
  readonly acquired: number;
  readonly contended: number;
  readonly waitNs: number;
  readonly spinNs: number;
  readonly waitMaxNs: number;
  readonly parked: number;
  readonly holdNs: number;
  readonly holds: number;
  readonly tryFailed: number;
}

export interface CpuFigures {
  /** PTEs this CPU cleared, and tables it zapped in. */
  readonly ptes: number;
  readonly tables: number;
  readonly resched: number;
  /** On the CPU's clock; 0 when it never got there. */
  readonly leftLastVmaNs: number;
  readonly finishedNs: number;
  /** Classes this CPU took at least once, or tried to. */
  readonly locks: readonly LockFigures[];
}

/** What one CPU did since `resetFigures`. While no CPU runs. */
export function readFigures(words: Int32Array, map: MachineMap, id: number): CpuFigures {
  const mm = elementOf(map.cpuMm, id);
  const stats = elementOf(map.cpuSync, id) + CpuSync.stats;
  const word = (at: number): number => words[at] as number;
  const locks = lockClassNames().map((name, cls): LockFigures => {
    const at = stats + cls * LockStat.WORDS;
    return {
      name,
      kind: lockClassKinds()[cls] as LockKind,
      acquired: word(at + LockStat.acquired),
      contended: word(at + LockStat.contended),
      waitNs: readNs(words, at + LockStat.waitNs),
      spinNs: readNs(words, at + LockStat.spinNs),
      waitMaxNs: word(at + LockStat.waitMaxNs),
      parked: word(at + LockStat.parked),
      holdNs: readNs(words, at + LockStat.holdNs),
      holds: word(at + LockStat.holds),
      tryFailed: word(at + LockStat.tryFailed),
    };
  });
  return {
    ptes: word(mm + CpuMm.ptesZapped),
    tables: word(mm + CpuMm.tablesZapped),
    resched: word(mm + CpuMm.resched),
    leftLastVmaNs: readNs(words, mm + CpuMm.leftLastVmaNs),
    finishedNs: readNs(words, mm + CpuMm.finishedNs),
    locks: locks.filter((lock) => lock.acquired + lock.contended + lock.tryFailed > 0),
  };
}
