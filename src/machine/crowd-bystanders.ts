/**
 * Processes beside the victims of a crowd, which the OOM killer must leave alone and whose memory nobody else may change.
 * They know what each of their pages holds: every word that they write says whose it is, which page it is on, and
 * when it was written, so that a child of fork knows a page of its parent's without being told.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchAdd, load } from "../arena/mem.ts";
import { Violation } from "../base/errors.ts";
import { Random } from "../base/random.ts";
import { mmapRegion } from "../mm/mmap.ts";
import { mmapWriteLock, mmapWriteUnlock } from "../mm/mmap-lock.ts";
import { munmap } from "../mm/munmap.ts";
import { getUser, putUser } from "../mm/user-fault.ts";
import { VM_FAULT_DONE } from "../mm/vm-fault.ts";
import { VM_WRITE } from "../mm/vma.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { fatalSignalPending } from "../sync/park.ts";
import { sleepUs } from "../sync/sleep.ts";
import { doExit } from "../task/exit.ts";
import { copyProcess } from "../task/fork.ts";
import { cpuIdle, wakeUpNewTask } from "../task/idle.ts";
import { currentTask, Task } from "../task/task.ts";
import { releaseTask } from "../task/tasklist.ts";
import { awaitOver, Board, leaveGroup } from "./board.ts";
import { SCRATCH_PAGES } from "./crowd-victims.ts";

const VPN_BITS = 12;
const TIME_BITS = 10;
/** Emulated microseconds until something that failed for want of memory is tried again. */
const RETRY_US = 1_000;

/** What bystander `tag` (1 to 255) writes to page `vpn` at its own time `time`. */
export function signedWord(tag: number, time: number, vpn: number): number {
  const vpnPart = vpn & ((1 << VPN_BITS) - 1);
  return (((tag << TIME_BITS) | (time & ((1 << TIME_BITS) - 1))) << VPN_BITS) | vpnPart;
}

function isSigned(word: number, tag: number, vpn: number): boolean {
  return word === signedWord(tag, word >>> VPN_BITS, vpn);
}

export interface CrowdBystanderParams {
  readonly board: number;
  readonly seed: number;
  readonly tag: number;
  /** Private pages of its own, each with its `signedWord` of time 0. */
  readonly vpn: number;
  readonly pages: number;
  /** A file that it maps at `fileVpn`, and what the file's first page holds; `filePages` 0 for none. */
  readonly fileVpn: number;
  readonly filePages: number;
  readonly fileContent: number;
  readonly scratchVpn: number;
  readonly accesses: number;
  /** CPU that runs its children, and how many it forks. */
  readonly childCpu: number;
  readonly children: number;
}

/** What one process knows of its private pages: the words that they hold, by page. A running program's own, no kernel state. */
interface Memory {
  readonly mm: number;
  readonly vpn: number;
  readonly tag: number;
  readonly words: (number | undefined)[];
}

/** Reads page `index` and compares; a page that it never read has to bear the signature of its tag. */
function* checkPage(cpu: Cpu, memory: Memory, index: number): Steps<void> {
  const vpn = memory.vpn + index;
  const found = yield* readWord(cpu, memory.mm, vpn);
  const expected = memory.words[index];
  const intact = expected === undefined ? isSigned(found, memory.tag, vpn) : found === expected;
  if (!intact) throw corrupted(cpu, vpn, found, expected ?? signedWord(memory.tag, 0, vpn));
  memory.words[index] = found;
}

function* writePage(cpu: Cpu, memory: Memory, index: number, time: number): Steps<void> {
  const vpn = memory.vpn + index;
  const word = signedWord(memory.tag, time, vpn);
  while ((yield* putUser(cpu, memory.mm, vpn, word)) !== VM_FAULT_DONE) yield* tryLater(cpu, vpn);
  memory.words[index] = word;
}

function* readWord(cpu: Cpu, mm: number, vpn: number): Steps<number> {
  for (;;) {
    const word = yield* getUser(cpu, mm, vpn);
    if (word !== undefined) return word;
    yield* tryLater(cpu, vpn);
  }
}

/** A page could not be had. That is no fault while there is no memory, unless it never will. */
function* tryLater(cpu: Cpu, vpn: number): Steps<void> {
  if (yield* fatalSignalPending(cpu)) throw broken(cpu, `was killed at page ${vpn}`);
  yield* sleepUs(cpu, RETRY_US);
}

function corrupted(cpu: Cpu, vpn: number, found: number, expected: number): Violation {
  return broken(cpu, `reads ${found} from page ${vpn}, expected ${expected}`);
}

function broken(cpu: Cpu, what: string): Violation {
  return new Violation("bystander", `process ${load(cpu, currentTask(cpu) + Task.pid)} on CPU ${cpu.id} ${what}`);
}

function memoryOf(cpu: Cpu, { vpn, pages, tag }: Pick<CrowdBystanderParams, "vpn" | "pages" | "tag">): Memory {
  const mm = load(cpu, currentTask(cpu) + Task.mm);
  return { mm, vpn, tag, words: new Array<number | undefined>(pages).fill(undefined) };
}

/**
 * Works until everything is over, forking in between, then looks at all of its pages once more and exits. Returns the
 * checks it made and the children it had.
 */
function* crowdBystander(cpu: Cpu, params: CrowdBystanderParams): Steps<{ accesses: number; children: number }> {
  const { board, pages } = params;
  const random = new Random(params.seed);
  const memory = memoryOf(cpu, params);
  let child = 0;
  let forked = 0;
  for (let done = 0; done < params.accesses || forked < params.children; done++) {
    yield* bystanderAccess(cpu, memory, random, params, done + 1);
    if (child !== 0) child = yield* releaseGone(cpu, board, child, forked);
    if (child === 0 && forked < params.children && random.below(8) === 0) {
      child = yield* forkChild(cpu, params.childCpu);
      if (child !== 0) forked++;
    }
    noteProgress(cpu);
  }
  yield* awaitOver(cpu, board);
  for (let index = 0; index < pages; index++) yield* checkPage(cpu, memory, index);
  while (child !== 0) {
    yield* sleepUs(cpu, RETRY_US);
    child = yield* releaseGone(cpu, board, child, forked);
  }
  if (yield* fatalSignalPending(cpu)) throw broken(cpu, "was killed");
  yield* doExit(cpu, currentTask(cpu));
  yield* leaveGroup(cpu, board + Board.others);
  return { accesses: params.accesses, children: forked };
}

function* bystanderAccess(
  cpu: Cpu,
  memory: Memory,
  random: Random,
  params: CrowdBystanderParams,
  time: number,
): Steps<void> {
  const index = random.below(params.pages);
  const kind = random.below(8);
  if (kind === 0 && params.filePages > 0) yield* checkFile(cpu, memory.mm, params, random.below(params.filePages));
  else if (kind === 1) yield* useScratch(cpu, memory, params.scratchVpn, time);
  else if (kind < 5) yield* writePage(cpu, memory, index, time);
  else yield* checkPage(cpu, memory, index);
}

/** Nobody writes to the file: others map it privately. */
function* checkFile(cpu: Cpu, mm: number, { fileVpn, fileContent }: CrowdBystanderParams, page: number): Steps<void> {
  const found = yield* readWord(cpu, mm, fileVpn + page);
  const expected = (fileContent + page) | 0;
  if (found !== expected) throw corrupted(cpu, fileVpn + page, found, expected);
}

/** Maps some pages of its own, where the memory may lie that a victim has just given back, and unmaps them again. */
function* useScratch(cpu: Cpu, memory: Memory, vpn: number, time: number): Steps<void> {
  const { mm, tag } = memory;
  yield* mmapWriteLock(cpu, mm);
  const vma = yield* mmapRegion(cpu, mm, vpn, SCRATCH_PAGES, VM_WRITE);
  yield* mmapWriteUnlock(cpu, mm);
  if (vma === 0) return;
  const scratch: Memory = { mm, vpn, tag, words: new Array<number | undefined>(SCRATCH_PAGES).fill(0) };
  for (let index = 0; index < SCRATCH_PAGES; index++) {
    yield* checkPage(cpu, scratch, index);
    yield* writePage(cpu, scratch, index, time);
  }
  for (let index = 0; index < SCRATCH_PAGES; index++) yield* checkPage(cpu, scratch, index);
  yield* munmap(cpu, mm, vpn, SCRATCH_PAGES);
}

/** Forks, and has the child run on CPU `childCpu`: its task, 0 when there was no memory for it. */
function* forkChild(cpu: Cpu, childCpu: number): Steps<number> {
  const child = yield* copyProcess(cpu, 0);
  if (child <= 0) {
    yield* sleepUs(cpu, RETRY_US);
    return 0;
  }
  yield* wakeUpNewTask(cpu, child, childCpu);
  return child;
}

/** Waits for a child in the sense of wait4, without sleeping: 0 when it was gone and is released. */
function* releaseGone(cpu: Cpu, board: number, child: number, forked: number): Steps<number> {
  if ((yield* atomicLoad(cpu, board + Board.childrenGone)) < forked) return child;
  yield* releaseTask(cpu, child);
  return 0;
}

export interface CrowdChildrenParams {
  readonly board: number;
  readonly seed: number;
  /** Of the parent; its private pages. */
  readonly tag: number;
  readonly vpn: number;
  readonly pages: number;
  readonly children: number;
  readonly accesses: number;
}

/**
 * A CPU that runs a bystander's children, one after the other: each finds its parent's pages as they were, and neither
 * sees what the other writes from then on.
 */
function* crowdChildren(cpu: Cpu, params: CrowdChildrenParams): Steps<void> {
  const random = new Random(params.seed);
  for (let child = 0; child < params.children; child++) {
    const task = yield* cpuIdle(cpu);
    const memory = memoryOf(cpu, params);
    for (let done = 0; done < params.accesses; done++) {
      const index = random.below(params.pages);
      if (random.below(3) === 0) yield* writePage(cpu, memory, index, done);
      else yield* checkPage(cpu, memory, index);
      noteProgress(cpu);
    }
    if (yield* fatalSignalPending(cpu)) throw broken(cpu, "was killed");
    yield* doExit(cpu, task);
    yield* fetchAdd(cpu, params.board + Board.childrenGone, 1);
  }
  yield* leaveGroup(cpu, params.board + Board.others);
}

export const crowdBystanderRoles = { crowdBystander, crowdChildren };
