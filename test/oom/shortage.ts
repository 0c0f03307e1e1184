/** What CPUs do in a test in which memory runs out. */

import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { NO_TIMEOUT } from "../../src/arena/mem.ts";
import { allocPages, GFP_KERNEL, GFP_NOWAIT, putPage } from "../../src/mm/page-alloc.ts";
import { stopOomReaper } from "../../src/oom/reaper-queue.ts";
import { fatalSignalPending, park } from "../../src/sync/park.ts";
import { switchTo } from "../../src/task/task.ts";
import { exitCurrent } from "../task/lab.ts";

/** Takes what is left, on a CPU without a task, and keeps it. */
export function* takesAllMemory(cpu: Cpu): Steps<void> {
  switchTo(cpu, 0);
  let pfn = 0;
  do pfn = yield* allocPages(cpu, 0, GFP_NOWAIT);
  while (pfn !== 0);
}

/** Sleeps in user space until the signal comes, and exits. */
export function* sleepsUntilKilled(cpu: Cpu): Steps<void> {
  while (!(yield* fatalSignalPending(cpu))) yield* park(cpu, NO_TIMEOUT);
  yield* exitCurrent(cpu);
}

/** Allocates six pages, whoever has to die for them, gives them back, and lets the reaper return. */
export function* allocatesSix(cpu: Cpu): Steps<void> {
  const pages: number[] = [];
  for (let i = 0; i < 6; i++) pages.push(yield* allocPages(cpu, 0, GFP_KERNEL));
  for (const pfn of pages) yield* putPage(cpu, pfn);
  yield* stopOomReaper(cpu);
}
