/** Who brings the kills about in a crowd: allocators for whom there is no memory but the victims'. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad } from "../arena/mem.ts";
import { allocPages, GFP_KERNEL } from "../mm/page-alloc.ts";
import { stopOomReaper } from "../oom/reaper-queue.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { doExit } from "../task/exit.ts";
import { SIGNAL_GROUP_EXIT, Signal } from "../task/signal.ts";
import { killTask, signalOf, switchTo, taskAt } from "../task/task.ts";
import { awaitGroup, Board, declareOver, leaveGroup } from "./board.ts";
import { chainPage, putPageChain } from "./page-chain.ts";

/** Allocates pages one by one, each for as long as it takes and whoever has to die for it. Returns the chain's first page. */
function* takePages(cpu: Cpu, pages: number): Steps<number> {
  let chain = 0;
  for (let got = 0; got < pages; ) {
    const pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
    if (pfn === 0) continue;
    chain = chainPage(cpu, pfn, chain);
    got++;
    noteProgress(cpu);
  }
  return chain;
}

export interface CrowdAllocatorParams {
  readonly board: number;
  readonly pages: number;
}

function* crowdAllocator(cpu: Cpu, params: CrowdAllocatorParams): Steps<void> {
  yield* putPageChain(cpu, yield* takePages(cpu, params.pages));
  yield* leaveGroup(cpu, params.board + Board.allocators);
}

export interface CrowdDirectorParams extends CrowdAllocatorParams {
  /** Task slots of the processes that shall be gone in the end. */
  readonly victims: readonly number[];
  /** Those among the others that run nowhere: the director's CPU takes them to their exit. */
  readonly stuck: readonly number[];
}

/** Kills a process that is not on its way out yet; whether it did. */
function* killLeftOver(cpu: Cpu, task: number): Steps<boolean> {
  const flags = yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.flags);
  if ((flags & SIGNAL_GROUP_EXIT) !== 0) return false;
  yield* killTask(cpu, task);
  return true;
}

/**
 * An allocator like the others, who then brings everything to its end: kills who is left over, waits for all to go, and
 * lets the reaper go last, when nobody can queue a victim any more. Returns how many it killed.
 */
function* crowdDirector(cpu: Cpu, params: CrowdDirectorParams): Steps<{ killed: number }> {
  const { board } = params;
  const chain = yield* takePages(cpu, params.pages);
  yield* awaitGroup(cpu, board + Board.allocators);
  yield* putPageChain(cpu, chain);
  let killed = 0;
  for (let i = 0; i < params.victims.length; i++) {
    if (yield* killLeftOver(cpu, taskAt(cpu, params.victims[i] as number))) killed++;
  }
  for (let i = 0; i < params.stuck.length; i++) {
    const task = taskAt(cpu, params.stuck[i] as number);
    if (yield* killLeftOver(cpu, task)) killed++;
    switchTo(cpu, task);
    yield* doExit(cpu, task);
  }
  yield* awaitGroup(cpu, board + Board.victims);
  yield* declareOver(cpu, board);
  yield* awaitGroup(cpu, board + Board.others);
  yield* stopOomReaper(cpu);
  return { killed };
}

export const crowdPressureRoles = { crowdAllocator, crowdDirector };
