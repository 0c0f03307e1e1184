/** Parent and child use what fork made them share, of every kind, while one of them is killed and reaped. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { EINTR } from "../../src/base/errno.ts";
import { countKinds, type Mapping } from "../../src/machine/address-space.ts";
import { findOrder, findProtocol } from "../../src/machine/roles.ts";
import type { LockGranularity } from "../../src/machine/shape.ts";
import { dropCaches } from "../../src/mm/page-cache.ts";
import { getUser, putUser } from "../../src/mm/user-fault.ts";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { oomReapTask } from "../../src/oom/reaper.ts";
import { markOomVictim } from "../../src/oom/victim.ts";
import { fatalSignalPending } from "../../src/sync/park.ts";
import { sleepUs } from "../../src/sync/sleep.ts";
import { copyProcess } from "../../src/task/fork.ts";
import { cpuIdle, wakeUpNewTask } from "../../src/task/idle.ts";
import { currentTask, findLockTaskMm, killTask, Task, taskUnlock } from "../../src/task/task.ts";
import { burstScheduler, OomLab } from "../oom/lab.ts";
import { addThread, exitCurrent, release } from "./lab.ts";

const SEEDS = 1000;
const T = 512;
const PARENT = 0;
const THREAD = 1;
const CHILD = 2;

const MAPPINGS: readonly Mapping[] = [
  { startVpn: 0x10, pages: 6, flags: VM_WRITE, present: [0, 2], swapped: [2, 2] },
  { startVpn: 0x20, pages: 4, flags: VM_WRITE, present: [3, 1], filePages: [0, 3] },
  { startVpn: 0x30, pages: 4, flags: VM_WRITE | VM_SHARED, present: [], filePages: [1, 2], shmem: true },
  { startVpn: 0x40, pages: 2, flags: VM_WRITE | VM_PFNMAP, present: "all" },
  { startVpn: 0x50, pages: 2, flags: VM_WRITE | VM_LOCKED, present: "all" },
  { startVpn: T, pages: T, flags: VM_WRITE, present: [], huge: [0, T] },
  { startVpn: 2 * T, pages: T, flags: VM_WRITE | VM_HUGETLB, present: [], huge: [0, T] },
];
/** A page of each kind: anonymous, swapped, of a file, copied from it, locked, in a huge page, in a hugetlb page. */
const PRIVATE = [0x10, 0x12, 0x21, 0x23, 0x50, T + 5, 2 * T + 5];
const SHARED = 0x31;
/** What the child writes is larger than anything the parent does. */
const CHILDS = 0x1000000;

interface Seen {
  /** The new task, or an errno; undefined before fork has returned. */
  child: number | undefined;
  readonly faults: string[];
}

/** Writes to a page of each kind, in an order of the CPU's own, and reads what is there. */
function* use(cpu: Cpu, seen: Seen, child: boolean): Steps<void> {
  const mm = cpu.words[currentTask(cpu) + Task.mm] as number;
  for (let i = 0; i < PRIVATE.length; i++) {
    const vpn = PRIVATE[(i + 3 * cpu.id) % PRIVATE.length] as number;
    const before = yield* getUser(cpu, mm, vpn);
    yield* putUser(cpu, mm, vpn, child ? CHILDS + i : i);
    const after = yield* getUser(cpu, mm, vpn);
    if (yield* fatalSignalPending(cpu)) return;
    if (child ? after !== CHILDS + i : (after as number) >= CHILDS || (before as number) >= CHILDS) {
      seen.faults.push(`CPU ${cpu.id} read ${before}, then ${after} from page ${vpn}`);
    }
  }
  yield* putUser(cpu, mm, SHARED, 1);
}

const parent = (seen: Seen) =>
  function* (cpu: Cpu): Steps<void> {
    const child = yield* copyProcess(cpu, 0);
    if (child > 0) yield* wakeUpNewTask(cpu, child, CHILD);
    seen.child = child;
    yield* use(cpu, seen, false);
    yield* exitCurrent(cpu);
  };

const thread = (seen: Seen) =>
  function* (cpu: Cpu): Steps<void> {
    yield* use(cpu, seen, false);
    yield* exitCurrent(cpu);
  };

const child = (seen: Seen) =>
  function* (cpu: Cpu): Steps<void> {
    while (seen.child === undefined) yield* sleepUs(cpu, 1);
    if (seen.child < 0) return;
    yield* cpuIdle(cpu);
    yield* use(cpu, seen, true);
    yield* exitCurrent(cpu);
  };

/** Kills the parent's process at any time, or the child's once there is one, and reaps it; whether there was an mm left. */
const killer = (seen: Seen, protocol: string, first: number | undefined) =>
  function* (cpu: Cpu): Steps<boolean> {
    while (first === undefined && seen.child === undefined) yield* sleepUs(cpu, 1);
    const victim = first ?? (seen.child as number);
    if (victim < 0 || (yield* findLockTaskMm(cpu, victim)) === 0) return false;
    yield* killTask(cpu, victim);
    yield* markOomVictim(cpu, victim);
    yield* taskUnlock(cpu, victim);
    yield* oomReapTask(cpu, victim, findProtocol(protocol), findOrder(findProtocol(protocol).order));
    return true;
  };

interface Variant {
  readonly protocol: string;
  readonly lock: LockGranularity;
  readonly victim: "parent" | "child";
}

const VARIANTS: readonly Variant[] = [
  { protocol: "v4.14", lock: "table", victim: "parent" },
  { protocol: "v6.18", lock: "table", victim: "child" },
  { protocol: "v6.1", lock: "pte", victim: "child" },
  { protocol: "v6.1", lock: "mm", victim: "parent" },
];

describe.each(VARIANTS)("fork under $protocol with a lock per $lock", ({ protocol, lock, victim }) => {
  it(`and the ${victim} reaped: each has what is its own, and everything is freed once`, () => {
    const shape = {
      cpus: 4,
      mms: 3,
      frames: 2800,
      tables: 64,
      tasks: 4,
      lockGranularity: lock,
      ...countKinds(MAPPINGS),
    };
    const lab = new OomLab({ protocol, ...shape });
    const first = lab.spawn(PARENT, MAPPINGS);
    addThread(lab, THREAD, first);
    lab.keep();
    const forks = new Map<boolean, number>();
    let reaped = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const seen: Seen = { child: undefined, faults: [] };
      const kill = killer(seen, protocol, victim === "parent" ? first.task : undefined);
      const results = lab.finish([parent(seen), thread(seen), child(seen), kill], burstScheduler(seed));
      const forked = (seen.child as number) > 0;
      forks.set(forked, (forks.get(forked) ?? 0) + 1);
      if (results[3] === true) reaped++;
      if (forked) release(lab, seen.child as number);
      else expect(seen.child, `seed ${seed}`).toBe(-EINTR);
      release(lab, first.task);
      lab.alone(0, dropCaches);
      expect([...seen.faults, ...lab.broken()], `seed ${seed}`).toEqual([]);
    }
    expect(reaped, "seeds with a victim that was alive").toBeGreaterThan(SEEDS / 4);
    // A parent that is killed first has no child.
    expect([...forks.keys()].sort()).toEqual(victim === "parent" ? [false, true] : [true]);
  });
});
