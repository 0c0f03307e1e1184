/** An rwsem in words, for the watchdog and for failed tests. */

import type { Cpu } from "../../arena/cpu.ts";
import { CpuSync, QueueNode } from "../cpu-sync.ts";
import { WaitList } from "../wait-list.ts";
import { RWSEM_WAITING_FOR_READ } from "./queue.ts";
import {
  RWSEM_FLAG_HANDOFF,
  RWSEM_FLAG_WAITERS,
  RWSEM_OWNER_SHIFT,
  RWSEM_READER_OWNED,
  RWSEM_READER_SHIFT,
  RWSEM_WRITER_LOCKED,
  Rwsem,
} from "./state.ts";

/** More than any machine has CPUs: a damaged queue must not make the report endless. */
const QUEUE_SHOWN = 1024;

function holder(count: number, owner: number): string {
  const id = (owner >> RWSEM_OWNER_SHIFT) - 1;
  const readers = count >> RWSEM_READER_SHIFT;
  if ((count & RWSEM_WRITER_LOCKED) !== 0) {
    const known = id >= 0 && (owner & RWSEM_READER_OWNED) === 0;
    return known ? `write-held by CPU ${id}` : "write-held by a CPU that is just entering or leaving";
  }
  if (readers === 0) return "free";
  return `read-held by ${readers}${(owner & RWSEM_READER_OWNED) !== 0 && id >= 0 ? `, CPU ${id} came last` : ""}`;
}

/**
 * Holders and queue of the rwsem at `sem`: "read-held by 2, CPU 0 came last; queue: CPU 1 write, CPU 2 read; handoff".
 * Plain reads: exact only while nothing runs. Any CPU's handle tells where the nodes are.
 */
export function describeRwsem(words: Int32Array, sem: number, nodes: Pick<Cpu, "syncBase" | "syncStride">): string {
  const count = words[sem + Rwsem.count] as number;
  const queue: string[] = [];
  let link = words[sem + Rwsem.waiters + WaitList.head] as number;
  while (link !== 0 && queue.length < QUEUE_SHOWN) {
    const node = nodes.syncBase + (link - 1) * nodes.syncStride + CpuSync.node;
    const reads = words[node + QueueNode.kind] === RWSEM_WAITING_FOR_READ;
    queue.push(`CPU ${link - 1} ${reads ? "read" : "write"}`);
    link = words[node + QueueNode.next] as number;
  }
  const parts = [holder(count, words[sem + Rwsem.owner] as number)];
  if (queue.length > 0) parts.push(`queue: ${queue.join(", ")}`);
  if ((count & RWSEM_FLAG_WAITERS) === 0 && queue.length > 0) parts.push("WAITERS missing");
  if ((count & RWSEM_FLAG_HANDOFF) !== 0) parts.push("handoff");
  return parts.join("; ");
}
