/**
 * CPUs that fight over one lock, for the explorer's lock cases. Each follows a plan, a list of words: how it takes the lock,
 * what it does meanwhile. What must hold is asked on the way: a writer meets nobody, a reader no writer, the lock's words
 * name its writer, and who was promised the lock does not have to sleep for it again and again.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { UsageError, Violation } from "../base/errors.ts";
import { BROKEN_LOCKS } from "../sync/broken-locks.ts";
import { CpuSync, LockStat } from "../sync/cpu-sync.ts";
import { LOCKS } from "../sync/index.ts";
import type { KillablePower, LockContract } from "../sync/lock-contract.ts";
import { sendSigkill } from "../sync/park.ts";
import { queueLock, queueUnlock } from "../sync/queue-lock.ts";
import { pastDeadline } from "../sync/rwsem/queue.ts";
import { downReadUnfair } from "../sync/rwsem.ts";
import { sleepUs } from "../sync/sleep.ts";
import { Spinlock, spinOwner } from "../sync/spinlock.ts";
import { LAB_CLASS, LockLab } from "./lock-lab.ts";

/** Longer than the 4 ms after which a queued waiter claims an rwsem. */
export const LONG_US = 5000;

/** A lock as these roles use it. */
export interface LabLock extends Omit<LockContract, "trylockWrite"> {
  readonly trylockWrite?: LockContract["trylockWrite"];
}

/** The lock inside locks has no class and no trylock; its owner field is a spinlock's. */
const queueLockKind: LabLock = {
  name: "queue-lock",
  struct: Spinlock,
  initLock: () => {},
  lockWrite: queueLock,
  unlockWrite: queueUnlock,
  writerOf: spinOwner,
};

const KINDS: readonly LabLock[] = [...LOCKS, queueLockKind, ...BROKEN_LOCKS];

export function findLock(name: string): LabLock {
  const found = KINDS.find((kind) => kind.name === name);
  if (!found) throw new UsageError(`lock "${name}": expected one of ${KINDS.map((kind) => kind.name).join(", ")}`);
  return found;
}

/** How a CPU may use the lock. "slow" holds it for LONG_US, "down" downgrades, "kill 1" sends SIGKILL to CPU 1. */
export type LockUse =
  | "write"
  | "write slow"
  | "write down"
  | "write killable"
  | "try write"
  | "read"
  | "read slow"
  | "read twice"
  | "read killable"
  | "read unfair"
  | "try read"
  | `kill ${number}`;

export interface LockPlan {
  /** Address of the LockLab. */
  readonly lab: number;
  /** Name of the lock. */
  readonly lock: string;
  readonly plan: readonly LockUse[];
  /**
   * Times that a wait may park where the lock is handed over. Of two CPUs: once until a wake-up that comes to nothing,
   * because the other one was faster; once for the token that may be left of another such wake-up; once until the lock is
   * handed over. With `overdue` this is asked only of a waiter whose deadline for claiming an rwsem has passed.
   */
  readonly mostSleeps?: number;
  readonly overdue?: boolean;
}

/** One user of the lock at work. */
interface User {
  readonly cpu: Cpu;
  readonly lab: number;
  readonly kind: LabLock;
  readonly plan: LockPlan;
}

function* locker(cpu: Cpu, plan: LockPlan): Steps<void> {
  const user: User = { cpu, lab: plan.lab, kind: findLock(plan.lock), plan };
  for (const use of plan.plan) {
    if (use.startsWith("kill ")) yield* sendSigkill(cpu, Number(use.slice(5)));
    else if (use.includes("read")) yield* useAsReader(user, use);
    else yield* useAsWriter(user, use);
  }
}

function* useAsWriter(user: User, use: LockUse): Steps<void> {
  const { cpu, kind, lab } = user;
  const lock = lab + LockLab.lock;
  const slept = sleepsOf(cpu);
  let taken = true;
  if (use === "try write") taken = yield* tryToTake(user, lock);
  else if (use === "write killable") taken = yield* takeKillable(user, lock);
  else yield* kind.lockWrite(cpu, lock, LAB_CLASS);
  if (!taken) return;
  checkSleeps(user, slept);
  yield* stayAsWriter(user, use === "write slow" ? LONG_US : 0);
  if (use !== "write down") {
    yield* kind.unlockWrite(cpu, lock, LAB_CLASS);
    return;
  }
  assert(kind.downgrade !== undefined && kind.read !== undefined, "locker: this lock cannot be downgraded");
  yield* kind.downgrade.downgradeToRead(cpu, lock, LAB_CLASS);
  yield* stayAsReader(user, 0);
  yield* kind.read.unlockRead(cpu, lock, LAB_CLASS);
}

function* tryToTake({ cpu, kind }: User, lock: number): Steps<boolean> {
  assert(kind.trylockWrite !== undefined, "locker: nobody can try this lock");
  return yield* kind.trylockWrite(cpu, lock, LAB_CLASS);
}

function* takeKillable({ cpu, kind }: User, lock: number): Steps<boolean> {
  assert(kind.killable !== undefined, "locker: no wait for this lock can be killed");
  return yield* kind.killable.lockWriteKillable(cpu, lock, LAB_CLASS);
}

function* useAsReader(user: User, use: LockUse): Steps<void> {
  const { cpu, kind, lab } = user;
  const lock = lab + LockLab.lock;
  const { read } = kind;
  assert(read !== undefined, "locker: this lock has no readers");
  let taken = true;
  if (use === "try read") taken = yield* read.trylockRead(cpu, lock, LAB_CLASS);
  else if (use === "read unfair") yield* downReadUnfair(cpu, lock, LAB_CLASS);
  else if (use === "read killable") taken = yield* readKillable(user, lock);
  else yield* read.lockRead(cpu, lock, LAB_CLASS);
  if (!taken) return;
  if (use === "read twice") {
    yield* read.lockRead(cpu, lock, LAB_CLASS);
    yield* stayAsReader(user, 0);
    yield* read.unlockRead(cpu, lock, LAB_CLASS);
  }
  yield* stayAsReader(user, use === "read slow" ? LONG_US : 0);
  yield* read.unlockRead(cpu, lock, LAB_CLASS);
}

function* readKillable({ cpu, kind }: User, lock: number): Steps<boolean> {
  assert(kind.killable !== undefined && "lockReadKillable" in kind.killable, "locker: no reader of it can be killed");
  return yield* (kind.killable as Required<KillablePower>).lockReadKillable(cpu, lock, LAB_CLASS);
}

/** Inside a write hold: nobody else is in, neither before nor after the others have had a chance. */
function* stayAsWriter({ cpu, lab, kind }: User, us: number): Steps<void> {
  const word = lab + LockLab.writer;
  const named = kind.writerOf(cpu.words, lab + LockLab.lock);
  meets("writes", cpu, load(cpu, word), 0);
  if (named !== cpu.id) {
    throw new Violation(
      "lock words",
      `CPU ${cpu.id} holds the ${kind.name} for writing, whose words name CPU ${named}`,
    );
  }
  store(cpu, word, cpu.id + 1);
  yield* linger(cpu, lab, us);
  meets("writes", cpu, load(cpu, word), cpu.id + 1);
  store(cpu, word, 0);
}

/** Inside a read hold: no writer is in, neither before nor after. */
function* stayAsReader({ cpu, lab }: User, us: number): Steps<void> {
  meets("reads", cpu, load(cpu, lab + LockLab.writer), 0);
  yield* linger(cpu, lab, us);
  meets("reads", cpu, load(cpu, lab + LockLab.writer), 0);
}

function* linger(cpu: Cpu, lab: number, us: number): Steps<void> {
  if (us > 0) yield* sleepUs(cpu, us);
  else yield* atomicLoad(cpu, lab + LockLab.idle);
}

function meets(does: string, cpu: Cpu, seen: number, wanted: number): void {
  if (seen === wanted) return;
  const other = seen === 0 ? "another CPU has written" : `CPU ${seen - 1} writes`;
  throw new Violation("exclusion", `CPU ${cpu.id} ${does} under the lock while ${other}`);
}

/** Times that this CPU went to sleep for the lab's lock. */
function sleepsOf(cpu: Cpu): number {
  return cpu.words[cpu.sync + CpuSync.stats + LAB_CLASS * LockStat.WORDS + LockStat.parked] as number;
}

/** Hand-off: whoever woke in vain once gets the lock at the next release. */
function checkSleeps({ cpu, plan }: User, before: number): void {
  const { mostSleeps, overdue = false } = plan;
  if (mostSleeps === undefined) return;
  if (overdue && !pastDeadline(cpu, cpu.sync + CpuSync.node)) return;
  const slept = sleepsOf(cpu) - before;
  if (slept <= mostSleeps) return;
  throw new Violation("hand-off", `CPU ${cpu.id} parked ${slept} times for a lock that it was promised`);
}

export const lockRoles = { locker };
