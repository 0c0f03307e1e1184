/** I7, I8: locks are given back, and nobody waits. */

import { elementOf, type MachineMap } from "../machine/memory-map.ts";
import { MmGlobals } from "../mm/globals.ts";
import { PageGlobals } from "../mm/page.ts";
import { Slab } from "../mm/slab.ts";
import { Zone } from "../mm/zone.ts";
import { OomGlobals } from "../oom/globals.ts";
import { CpuSync } from "../sync/cpu-sync.ts";
import { lockClassNames } from "../sync/lock-class.ts";
import { heldLocks, lockOrderFindings } from "../sync/lock-order.ts";
import { mutexOwner } from "../sync/mutex.ts";
import { spinOwner } from "../sync/spinlock.ts";
import { Task } from "../task/task.ts";
import type { Invariant } from "./invariant.ts";
import { cpuIds } from "./pages.ts";

const { tables, vmas, nodes, anonVmas, mms, files } = MmGlobals;
const SLABS = Object.entries({ tables, vmas, nodes, anonVmas, mms, files }).map(
  ([name, at]) => [`slab lock of ${name}`, at] as const,
);

/** Tells `held` of each spinlock that outlives every process and has an owner. */
function forHeldSpinlocks(words: Int32Array, map: MachineMap, held: (name: string, owner: number) => void): void {
  const look = (name: string, lock: number, index?: number): void => {
    const owner = spinOwner(words, lock);
    if (owner >= 0) held(index === undefined ? name : `${name} ${index}`, owner);
  };
  const zones = words[map.root + PageGlobals.zonesBase] as number;
  const count = words[map.root + PageGlobals.zoneCount] as number;
  for (let i = 0; i < count; i++) look("zone_lock of zone", zones + i * Zone.WORDS + Zone.lock, i);
  for (const [name, at] of SLABS) look(name, map.root + at + Slab.lock);
  look("swap_lock", map.root + MmGlobals.swapLock);
  for (let i = 0; i < map.tasks.count; i++) look("alloc_lock of task", elementOf(map.tasks, i) + Task.allocLock, i);
}

export const locksGivenBack: Invariant = {
  name: "I7",
  text: "every lock that was taken is given back, once",
  watchedBy: "every unlock, in all builds",
  check(words, map) {
    const faults: string[] = [];
    forHeldSpinlocks(words, map, (name, owner) => faults.push(`${name} is still held by CPU ${owner}`));
    const oomOwner = mutexOwner(words, map.root + OomGlobals.oomLock);
    if (oomOwner >= 0) faults.push(`oom_lock is still held by CPU ${oomOwner}`);
    for (const id of cpuIds(map)) {
      const held = heldLocks(words, elementOf(map.cpuSync, id));
      if (held.length > 0) faults.push(`CPU ${id} still holds ${held.join(", ")}`);
    }
    return faults;
  },
};

export const nobodyWaits: Invariant = {
  name: "I8",
  text: "no cycle of CPUs that wait for each other, and no lock order that could make one",
  watchedBy: "the watchdog, the interleaved engine's deadlock check, and the lock-order checker of checked builds",
  check(words, map) {
    const waiting = cpuIds(map).flatMap((id) => {
      const sync = elementOf(map.cpuSync, id);
      if (words[sync + CpuSync.awaited] === 0) return [];
      return [`CPU ${id} still waits for ${lockClassNames()[words[sync + CpuSync.awaitedClass] as number]}`];
    });
    return map.shape.lockOrder ? [...waiting, ...lockOrderFindings(words, map.lockOrder.base)] : waiting;
  },
};
