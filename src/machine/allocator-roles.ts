/** CPUs that take memory until the watermarks refuse it, and what they wait for then. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { fetchAdd, nowNs, nowUs } from "../arena/mem.ts";
import { CpuMm, stamp } from "../mm/cpu-mm.ts";
import { allocPages, GFP_KERNEL, GFP_NOWAIT } from "../mm/page-alloc.ts";
import { drainPages } from "../mm/pcp.ts";
import { OomGlobals } from "../oom/globals.ts";
import { stopOomReaper } from "../oom/reaper-queue.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { sleepUs } from "../sync/sleep.ts";
import { ALLOC_STALL_BEGIN, ALLOC_STALL_END } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { chainPage, putPageChain } from "./page-chain.ts";

/** Plain data, as every role's result. */
export type AllocatorResult = {
  readonly allocated: number;
  /** How long each allocation took that the watermarks refused at first, in emulated microseconds. */
  readonly stallsUs: readonly number[];
  /** First page of those that it still holds, each naming the next in its content; 0 for none. */
  readonly chain: number;
};

/** One jiffy (HZ = 250): how long an allocation sleeps that failed, before it is made anew. */
const ALLOC_RETRY_US = 4_000;

/** Allocates `pages` pages, sleeping whenever the watermarks refuse, then gives them all back. */
function* allocator(cpu: Cpu, params: { readonly pages: number }): Steps<AllocatorResult> {
  const { chain, ...result } = yield* allocate(cpu, params.pages);
  yield* putPageChain(cpu, chain);
  stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
  return { ...result, chain: 0 };
}

/**
 * Allocates `pages` pages and keeps them, so that others feel it: where memory is short the slow path calls the OOM killer
 * and waits with it. The last of the allocators to have its memory stops the machine.
 */
function* pressureAllocator(cpu: Cpu, params: { readonly pages: number }): Steps<AllocatorResult> {
  const result = yield* allocate(cpu, params.pages);
  stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
  if ((yield* fetchAdd(cpu, cpu.machine + OomGlobals.allocatorsLeft, -1)) === 1) yield* stopOomReaper(cpu);
  return result;
}

function* allocate(cpu: Cpu, pages: number): Steps<AllocatorResult> {
  const stallsUs: number[] = [];
  let chain = 0;
  for (let got = 0; got < pages; got++) {
    const since = nowUs(cpu);
    let pfn = yield* allocWithoutWaiting(cpu);
    if (pfn === 0) {
      trace(cpu, ALLOC_STALL_BEGIN, 0, got);
      pfn = yield* allocWaiting(cpu);
      trace(cpu, ALLOC_STALL_END, 0, got);
      stallsUs.push(nowUs(cpu) - since);
    }
    chain = chainPage(cpu, pfn, chain);
    noteProgress(cpu);
  }
  return { allocated: pages, stallsUs, chain };
}

/** As far as the slow path goes before it has to wait: down to the min watermark, this CPU's own lists given back. */
function* allocWithoutWaiting(cpu: Cpu): Steps<number> {
  const pfn = yield* allocPages(cpu, 0, GFP_NOWAIT);
  if (pfn !== 0) return pfn;
  yield* drainPages(cpu);
  return yield* allocPages(cpu, 0, GFP_NOWAIT);
}

/** Without an OOM killer an allocation fails, and is made anew after a sleep. */
function* allocWaiting(cpu: Cpu): Steps<number> {
  for (;;) {
    const pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
    if (pfn !== 0) return pfn;
    yield* sleepUs(cpu, ALLOC_RETRY_US);
  }
}

export const allocatorRoles = { allocator, pressureAllocator };
