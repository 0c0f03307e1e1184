/**
 * Futexes as far as an exit needs them (kernel/futex: futex_wait, futex_wake, exit_robust_list, handle_futex_death;
 * kernel/fork.c: mm_release; v6.18). A page has one word of content, so a futex word is a page's content.
 *
 * The robust list in user memory: page `Task.robustList` is the head, and its content is the distance in pages, signed,
 * from the head to the first entry's page; an entry's content is the distance from the head to the next entry; 0 ends the
 * list. The futex word of an entry is the page `Task.robustFutexOffset` away from it.
 *
 * All sleepers share one queue: a wake wakes everybody, and they look at their words again.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, NO_TIMEOUT } from "../arena/mem.ts";
import { EAGAIN, EINTR } from "../base/errno.ts";
import { Mm } from "../mm/mm-struct.ts";
import { cmpxchgUser, getUser, putUser } from "../mm/user-fault.ts";
import { loadVpn } from "../mm/vpn.ts";
import { lockClass } from "../sync/lock-class.ts";
import { SLEEP_KILLED } from "../sync/park.ts";
import { finishWait, prepareToWait, sleepOnQueue, wakeUpAll } from "../sync/wait-queue.ts";
import { Task, TaskGlobals } from "./task.ts";

const FUTEX = lockClass("futex");

/** Bits of a futex word beside its owner's pid. */
export const FUTEX_WAITERS = 0x80000000 | 0;
export const FUTEX_OWNER_DIED = 0x40000000;
export const FUTEX_TID_MASK = 0x3fffffff;

/** Entries looked at before a list counts as corrupt. */
export const ROBUST_LIST_LIMIT = 2048;

/**
 * FUTEX_WAIT: sleeps while page `vpn` holds `value`. 0 when woken, -EAGAIN when it holds something else or cannot be
 * read, -EINTR on a fatal signal. The caller looks again, as every futex user does.
 */
export function* futexWaitUser(cpu: Cpu, mm: number, vpn: number, value: number): Steps<number> {
  const queue = cpu.machine + TaskGlobals.futexWait;
  yield* prepareToWait(cpu, queue);
  let result = 0;
  if ((yield* getUser(cpu, mm, vpn)) !== value) result = -EAGAIN;
  else if ((yield* sleepOnQueue(cpu, queue, FUTEX, NO_TIMEOUT, true)) === SLEEP_KILLED) result = -EINTR;
  yield* finishWait(cpu, queue);
  return result;
}

/** FUTEX_WAKE, for whoever changed a futex word before. */
export function* futexWakeUser(cpu: Cpu): Steps<void> {
  yield* wakeUpAll(cpu, cpu.machine + TaskGlobals.futexWait);
}

/**
 * `exit_robust_list`: tells the waiters on each listed futex that its owner died. Where user memory cannot be read any
 * more, because a reaper took the page, the walk ends silently and the rest of the waiters are never told (B17).
 */
export function* exitRobustList(cpu: Cpu, task: number, mm: number): Steps<void> {
  const head = loadVpn(cpu, task + Task.robustList);
  if (head === 0) return;
  const offset = load(cpu, task + Task.robustFutexOffset);
  let next = yield* getUser(cpu, mm, head);
  for (let seen = 0; seen < ROBUST_LIST_LIMIT && next !== undefined && next !== 0; seen++) {
    const entry = head + next;
    // The next entry first: a woken waiter may unlink this one.
    next = yield* getUser(cpu, mm, entry);
    if (!(yield* handleFutexDeath(cpu, task, mm, entry + offset))) return;
  }
}

/** `handle_futex_death`: marks the futex if the task owns it, and wakes; false when its page cannot be had. */
function* handleFutexDeath(cpu: Cpu, task: number, mm: number, vpn: number): Steps<boolean> {
  let word = yield* getUser(cpu, mm, vpn);
  while (word !== undefined) {
    if ((word & FUTEX_TID_MASK) !== load(cpu, task + Task.pid)) return true;
    const seen: number | undefined = yield* cmpxchgUser(cpu, mm, vpn, word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    if (seen === word) {
      if ((word & FUTEX_WAITERS) !== 0) yield* futexWakeUser(cpu);
      return true;
    }
    word = seen;
  }
  return false;
}

/** The CLONE_CHILD_CLEARTID part of `mm_release`: for who joins this thread, if the mm has anybody else. */
export function* clearChildTid(cpu: Cpu, task: number, mm: number): Steps<void> {
  const vpn = loadVpn(cpu, task + Task.clearChildTid);
  if (vpn === 0 || (yield* atomicLoad(cpu, mm + Mm.mmUsers)) <= 1) return;
  yield* putUser(cpu, mm, vpn, 0);
  yield* futexWakeUser(cpu);
}
