/**
 * process_mrelease(pidfd, flags) (mm/oom_kill.c, v5.17 to v6.18): a killed process's memory, freed from outside.
 *
 * Finding the victim and reaping it are two functions here, because what happens between them is a race of its own
 * (B27) and because a bench starts its clock there.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { EBADF, EINVAL, ESRCH } from "../base/errno.ts";
import { mmdrop, mmFlagSet, mmgrab } from "../mm/mm.ts";
import { MMF_OOM_SKIP } from "../mm/mm-struct.ts";
import type { TraversalOrder } from "../mm/traversal/order.ts";
import { findLockThread, Task, taskAt, taskCount, taskUnlock, taskWillFreeMem } from "../task/task.ts";
import type { Protocol } from "./protocols/protocol.ts";

/**
 * Finds the mm of the process behind `pidfd` (its task slot) and pins the struct. Returns its address, 0 when it is
 * torn down already so that there is nothing to do, or -EINVAL (flags, or not dying), -EBADF, -ESRCH.
 */
export function* mreleaseFind(cpu: Cpu, pidfd: number, flags: number): Steps<number> {
  if (flags !== 0) return -EINVAL;
  if (pidfd < 0 || pidfd >= taskCount(cpu)) return -EBADF;
  const task = taskAt(cpu, pidfd);
  if (load(cpu, task + Task.pid) === 0) return -ESRCH;
  const thread = yield* findLockThread(cpu, task);
  if (thread === 0) return -ESRCH;
  const mm = load(cpu, thread + Task.mm);
  yield* mmgrab(cpu, mm);
  const dying = yield* taskWillFreeMem(cpu, thread, mm);
  const skip = !dying && (yield* mmFlagSet(cpu, mm, MMF_OOM_SKIP));
  yield* taskUnlock(cpu, thread);
  if (dying) return mm;
  yield* mmdrop(cpu, mm);
  return skip ? 0 : -EINVAL;
}

/** Reaps and lets go of an mm that `mreleaseFind` returned: 0 or a negative errno. */
export function* mreleaseReap(cpu: Cpu, mm: number, protocol: Protocol, order: TraversalOrder): Steps<number> {
  const result = yield* protocol.mreleaseMm(cpu, mm, order);
  yield* mmdrop(cpu, mm);
  return result;
}

/** The system call: 0, -EBADF, -EINVAL, -ESRCH, -EINTR or -EAGAIN. */
export function* processMrelease(
  cpu: Cpu,
  pidfd: number,
  flags: number,
  protocol: Protocol,
  order: TraversalOrder,
): Steps<number> {
  const found = yield* mreleaseFind(cpu, pidfd, flags);
  return found > 0 ? yield* mreleaseReap(cpu, found, protocol, order) : found;
}
