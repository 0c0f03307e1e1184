/**
 * FIFO list of waiting CPUs, threaded through their queue nodes. Links are CPU number + 1, 0 at the ends.
 *
 * Thread safety: head, tail and the nodes' `next` and `prev` are guarded by the queue lock of the lock that owns
 * the list; every function here is called with it held.
 */

import type { Cpu } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import { QueueNode } from "./cpu-sync.ts";
import { cpuSyncOf } from "./park.ts";

/** `head`, `tail`: CPU number + 1, 0 when the list is empty. */
export const WaitList = struct("waitList", { head: 1, tail: 1 });

/** Word address of the node of CPU number `id`. `node`: which of its nodes, `CpuSync.node` or `CpuSync.waitNode`. */
export function nodeOf(cpu: Cpu, id: number, node: number): number {
  return cpuSyncOf(cpu, id) + node;
}

/** CPU number of the first waiter, -1 when nobody waits. */
export function firstWaiter(cpu: Cpu, list: number): number {
  return load(cpu, list + WaitList.head) - 1;
}

/** CPU number behind `id`, -1 when `id` is the last. */
export function nextWaiter(cpu: Cpu, id: number, node: number): number {
  return load(cpu, nodeOf(cpu, id, node) + QueueNode.next) - 1;
}

/** Puts the calling CPU at the end of the list. */
export function addLast(cpu: Cpu, list: number, node: number): void {
  const me = cpu.id + 1;
  const last = load(cpu, list + WaitList.tail);
  const mine = nodeOf(cpu, cpu.id, node);
  store(cpu, mine + QueueNode.next, 0);
  store(cpu, mine + QueueNode.prev, last);
  store(cpu, last === 0 ? list + WaitList.head : nodeOf(cpu, last - 1, node) + QueueNode.next, me);
  store(cpu, list + WaitList.tail, me);
}

/** Puts the calling CPU at the head of the list. */
export function addFirst(cpu: Cpu, list: number, node: number): void {
  const me = cpu.id + 1;
  const first = load(cpu, list + WaitList.head);
  const mine = nodeOf(cpu, cpu.id, node);
  store(cpu, mine + QueueNode.prev, 0);
  store(cpu, mine + QueueNode.next, first);
  store(cpu, first === 0 ? list + WaitList.tail : nodeOf(cpu, first - 1, node) + QueueNode.prev, me);
  store(cpu, list + WaitList.head, me);
}

/** Takes CPU number `id`, which is on the list, off it. */
export function removeWaiter(cpu: Cpu, list: number, id: number, node: number): void {
  const at = nodeOf(cpu, id, node);
  const next = load(cpu, at + QueueNode.next);
  const prev = load(cpu, at + QueueNode.prev);
  store(cpu, prev === 0 ? list + WaitList.head : nodeOf(cpu, prev - 1, node) + QueueNode.next, next);
  store(cpu, next === 0 ? list + WaitList.tail : nodeOf(cpu, next - 1, node) + QueueNode.prev, prev);
}
