/**
 * What the programs of a crowd tell each other, apart from anything that a kernel knows: who is still at work. Each group
 * is counted down by its members; the last to care, the director, waits for it.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, atomicStore, fetchAdd, futexWake, NO_TIMEOUT, WAKE_ALL } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { sleepOn } from "../sync/sleep.ts";

export const Board = struct(
  "board",
  {
    /** (atomic) Members of each group that have not left. */
    allocators: 1,
    victims: 1,
    others: 1,
    /** (atomic) 1 when nobody allocates or dies any more, so that the others may go. */
    over: 1,
    /** (atomic) Children of fork that have exited. */
    childrenGone: 1,
  },
  CACHE_PAIR,
);

/** One of the group whose count is at `count` is done. */
export function* leaveGroup(cpu: Cpu, count: number): Steps<void> {
  yield* fetchAdd(cpu, count, -1);
  yield* futexWake(cpu, count, WAKE_ALL);
}

/** Returns once nobody of the group is left. */
export function* awaitGroup(cpu: Cpu, count: number): Steps<void> {
  for (;;) {
    const left = yield* atomicLoad(cpu, count);
    if (left === 0) return;
    yield* sleepOn(cpu, count, left, NO_TIMEOUT);
  }
}

export function* declareOver(cpu: Cpu, board: number): Steps<void> {
  yield* atomicStore(cpu, board + Board.over, 1);
  yield* futexWake(cpu, board + Board.over, WAKE_ALL);
}

export function* isOver(cpu: Cpu, board: number): Steps<boolean> {
  return (yield* atomicLoad(cpu, board + Board.over)) === 1;
}

export function* awaitOver(cpu: Cpu, board: number): Steps<void> {
  while (!(yield* isOver(cpu, board))) yield* sleepOn(cpu, board + Board.over, 0, NO_TIMEOUT);
}
