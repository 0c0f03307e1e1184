/** What the processes of a crowd do until they are killed, and who else is in their address spaces meanwhile. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, NO_TIMEOUT } from "../arena/mem.ts";
import { Random } from "../base/random.ts";
import { mlock } from "../mm/mlock.ts";
import { mmput } from "../mm/mm.ts";
import { mmapRegion } from "../mm/mmap.ts";
import { mmapWriteLockKillable, mmapWriteUnlock } from "../mm/mmap-lock.ts";
import { munmap } from "../mm/munmap.ts";
import { getUser, putUser, VM_FAULT_KILLED } from "../mm/user-fault.ts";
import { VM_FAULT_DONE, VM_FAULT_OOM } from "../mm/vm-fault.ts";
import { VM_WRITE } from "../mm/vma.ts";
import { processMrelease } from "../oom/process-mrelease.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { fatalSignalPending, park } from "../sync/park.ts";
import { sleepUs } from "../sync/sleep.ts";
import { doCoredump } from "../task/coredump.ts";
import { doExit, doGroupExit } from "../task/exit.ts";
import { kthreadUnuseMm, kthreadUseMm } from "../task/kthread.ts";
import { currentTask, Task } from "../task/task.ts";
import { getTaskMm } from "../task/task-mm.ts";
import { Board, isOver, leaveGroup } from "./board.ts";
import { findOrder, findProtocol } from "./variants.ts";

/** Pages [first, first + count), flat: first, count, first, count, ... */
export type PageRanges = readonly number[];

/** A page of `ranges`, each range as likely as the others. */
export function drawPage(random: Random, ranges: PageRanges): number {
  const range = 2 * random.below(ranges.length / 2);
  return (ranges[range] as number) + random.below(ranges[range + 1] as number);
}

export interface CrowdVictimParams {
  readonly board: number;
  readonly seed: number;
  /** What it reads and writes. */
  readonly ranges: PageRanges;
  /** What of it may be locked in memory, in any place. */
  readonly lockable: PageRanges;
  /** Where it maps and unmaps SCRATCH_PAGES pages of its own. */
  readonly scratchVpn: number;
  /** Accesses before it only sleeps until its end. */
  readonly accesses: number;
  /** It crashes after them and writes a core for so many emulated microseconds; 0: it does not. */
  readonly dumpUs: number;
}

export const SCRATCH_PAGES = 3;
const MLOCK_PAGES = 2;

/** A thread that works on its memory until it is killed, then exits. Returns how many accesses it did. */
function* crowdVictim(cpu: Cpu, params: CrowdVictimParams): Steps<{ accesses: number }> {
  const task = currentTask(cpu);
  const mm = load(cpu, task + Task.mm);
  const random = new Random(params.seed);
  let done = 0;
  let alive = true;
  while (alive && done < params.accesses && !(yield* fatalSignalPending(cpu))) {
    alive = yield* victimAccess(cpu, mm, random, params);
    done++;
    noteProgress(cpu);
  }
  if (alive && params.dumpUs > 0) yield* doCoredump(cpu, params.dumpUs);
  else while (alive && !(yield* fatalSignalPending(cpu))) yield* park(cpu, NO_TIMEOUT);
  if (alive) yield* doExit(cpu, task);
  else yield* doGroupExit(cpu, task);
  yield* leaveGroup(cpu, params.board + Board.victims);
  return { accesses: done };
}

/** False when a signal without a handler (SIGBUS, SIGSEGV) ends the process. */
function* victimAccess(cpu: Cpu, mm: number, random: Random, params: CrowdVictimParams): Steps<boolean> {
  const kind = random.below(16);
  if (kind === 0) return yield* useScratch(cpu, mm, params.scratchVpn);
  if (kind === 1) {
    yield* mlock(cpu, mm, drawPage(random, params.lockable), MLOCK_PAGES);
    return true;
  }
  const vpn = drawPage(random, params.ranges);
  if (kind < 6) {
    yield* getUser(cpu, mm, vpn);
    return true;
  }
  return survives(yield* putUser(cpu, mm, vpn, junk(random)));
}

/** Something that no bystander writes. */
function junk(random: Random): number {
  return -1 - random.below(1 << 20);
}

/** Without memory the access is done anew some time; a fatal signal is looked at by the loop. */
function survives(result: number): boolean {
  return result === VM_FAULT_DONE || result === VM_FAULT_OOM || result === VM_FAULT_KILLED;
}

/** Maps some pages, writes to them, and unmaps them again: writers queue for mmap_lock. */
function* useScratch(cpu: Cpu, mm: number, vpn: number): Steps<boolean> {
  if (!(yield* mmapWriteLockKillable(cpu, mm))) return true;
  const vma = yield* mmapRegion(cpu, mm, vpn, SCRATCH_PAGES, VM_WRITE);
  yield* mmapWriteUnlock(cpu, mm);
  let alive = true;
  for (let i = 0; i < SCRATCH_PAGES && alive && vma !== 0; i++) {
    alive = survives(yield* putUser(cpu, mm, vpn + i, -1 - i));
  }
  // A killed one leaves them to its exit.
  yield* munmap(cpu, mm, vpn, SCRATCH_PAGES);
  return alive;
}

export interface CrowdVisitorParams {
  readonly board: number;
  /** Whose address space it is. */
  readonly task: number;
  readonly seed: number;
  readonly ranges: PageRanges;
  readonly visits: number;
  /** How long a visit lasts at most, in emulated microseconds. */
  readonly us: number;
}

/** Somebody who looks into /proc/PID now and then and so may be the last to leave the mm. Returns how often it got in. */
function* crowdReader(cpu: Cpu, params: CrowdVisitorParams): Steps<{ visits: number }> {
  const random = new Random(params.seed);
  let visits = 0;
  for (let i = 0; i < params.visits; i++) {
    const mm = yield* getTaskMm(cpu, params.task);
    if (mm === 0) break;
    yield* sleepUs(cpu, 1 + random.below(params.us));
    yield* mmput(cpu, mm);
    visits++;
    noteProgress(cpu);
  }
  yield* leaveGroup(cpu, params.board + Board.others);
  return { visits };
}

/**
 * A kernel thread that works in the process's memory, as vhost does, and lives on: what it reads there it would pass on
 * to others. Returns how many accesses it did.
 */
function* crowdKthread(cpu: Cpu, params: CrowdVisitorParams): Steps<{ accesses: number }> {
  const random = new Random(params.seed);
  let accesses = 0;
  for (let i = 0; i < params.visits; i++) {
    const mm = yield* getTaskMm(cpu, params.task);
    if (mm === 0) break;
    yield* kthreadUseMm(cpu, mm);
    for (let end = 1 + random.below(8); end > 0; end--) {
      const vpn = drawPage(random, params.ranges);
      if (random.below(2) === 0) yield* putUser(cpu, mm, vpn, junk(random));
      else yield* getUser(cpu, mm, vpn);
      accesses++;
    }
    yield* kthreadUnuseMm(cpu);
    yield* mmput(cpu, mm);
    noteProgress(cpu);
    yield* sleepUs(cpu, 1 + random.below(params.us));
  }
  yield* leaveGroup(cpu, params.board + Board.others);
  return { accesses };
}

export interface CrowdMreleaseParams {
  readonly board: number;
  /** Task slots of those whose memory it wants back. */
  readonly pidfds: readonly number[];
  readonly protocol: string;
  readonly order: string;
  readonly calls: number;
  /** Between two calls, in emulated microseconds. */
  readonly us: number;
}

/** Calls process_mrelease on one process after another, dying or not. Returns how many calls found one to reap. */
function* crowdMrelease(cpu: Cpu, params: CrowdMreleaseParams): Steps<{ reaped: number }> {
  const protocol = findProtocol(params.protocol);
  const order = findOrder(params.order);
  let reaped = 0;
  for (let i = 0; i < params.calls && !(yield* isOver(cpu, params.board)); i++) {
    const pidfd = params.pidfds[i % params.pidfds.length] as number;
    if ((yield* processMrelease(cpu, pidfd, 0, protocol, order)) === 0) reaped++;
    noteProgress(cpu);
    yield* sleepUs(cpu, params.us);
  }
  yield* leaveGroup(cpu, params.board + Board.others);
  return { reaped };
}

export const crowdVictimRoles = { crowdVictim, crowdReader, crowdKthread, crowdMrelease };
