/**
 * The locks of `src/sync`, each with CPUs that use it in every way it offers, and locks that are broken on purpose. Together
 * they take every branch of the locks (`test/sync/lock-coverage`).
 */

import type { CompletionUse, QueueUse } from "../../machine/event-roles.ts";
import type { LockUse } from "../../machine/lock-roles.ts";
import { LOCKS } from "../../sync/index.ts";
import type { LockContract } from "../../sync/lock-contract.ts";
import type { Case, CaseVariant } from "../case.ts";
import { eventCase, type LockCase, lockCase, type Plans } from "./lock-case.ts";

/** No bug is known: both sides are the lock as it is. */
function sound(id: string, title: string, variant: CaseVariant): Case {
  return { id: `lock:${id}`, title, insideLocks: true, broken: variant, fixed: variant };
}

function soundLock(lock: string, mix: string, title: string, plans: Plans<LockUse>, asked?: Partial<LockCase>): Case {
  const id = mix === "" ? lock : `${lock}/${mix}`;
  return sound(id, `${lock}: ${title}`, lockCase({ lock, plans, ...asked }));
}

const WRITERS: Plans<LockUse> = [["write", "write"], ["write"], ["write"]];
const WRITERS_WHO_TRY: Plans<LockUse> = [
  ["write", "write"],
  ["write", "try write"],
  ["try write", "write"],
];
const NESTED: Plans<LockUse> = [["read twice"], ["write"], ["read"]];
/** What readers, writers and those who only try do to any lock that has readers. */
const READERS_AND_WRITERS: Plans<LockUse> = [["write", "try write"], ["read"], ["write"], ["try read", "read"]];
const KILLED: Plans<LockUse> = [
  ["write", "write"],
  ["write killable", "read"],
  ["read killable"],
  ["kill 1", "kill 2"],
];
const KILLED_WRITER: Plans<LockUse> = [["write", "write"], ["write killable"], ["kill 1", "write"]];
const DOWNGRADED: Plans<LockUse> = [["write down", "write"], ["read"], ["write"]];
/** CPU 0 keeps the lock until the deadline of whoever waits has passed, and then takes it again and again. */
const STARVED_WRITER: Plans<LockUse> = [["write slow", ...Array(5).fill("write")], ["write"]];

/** CPU 0 comes again and again, and is faster each time than CPU 1 is awake. */
const HAMMERED: Plans<LockUse> = [Array(6).fill("write"), ["write"]];

/** Readers that are in when a writer comes and spins, until their time is up. */
const SLOW_READERS: Plans<LockUse> = [["read slow"], ["write"], ["read"]];
/** CPU 1 waits past its deadline, while CPU 2 steals the lock at each release. */
const STARVED_READER: Plans<LockUse> = [["write slow", "write"], ["read"], ["write", "write"], ["read"]];
/** CPU 1 claims the lock, and it is free for a moment before CPU 1 is awake. */
const CLAIMED: Plans<LockUse> = [["write slow", "write", "write"], ["write"], ["read", "read", "read"]];
/** CPU 1 claims the lock and is killed, and CPU 2 behind it waits too long as well. */
const KILLED_CLAIM: Plans<LockUse> = [["write slow", "write", "write"], ["write killable"], ["read"], ["kill 1"]];

/** What any lock has to stand, by what it offers. */
function casesOf({ name, read, killable, downgrade }: LockContract): Case[] {
  const made = [
    soundLock(name, "", read ? "readers and writers" : "writers", read ? READERS_AND_WRITERS : WRITERS_WHO_TRY),
  ];
  if (read) made.push(soundLock(name, "writers", "writers alone", WRITERS));
  if (read?.recursive) made.push(soundLock(name, "nested", "a reader reads again while writers wait", NESTED));
  if (killable) made.push(soundLock(name, "kill", "waits ended by SIGKILL", read ? KILLED : KILLED_WRITER));
  if (downgrade) made.push(soundLock(name, "downgrade", "a writer becomes a reader", DOWNGRADED));
  return made;
}

const COMPLETION: Plans<CompletionUse> = [["wait"], ["wait", "look"], ["complete", "complete"]];
const COMPLETION_LIMITS: Plans<CompletionUse> = [["wait long"], ["wait killable"], ["kill 1", "try", "complete"]];
const COMPLETION_ALL: Plans<CompletionUse> = [["wait"], ["wait"], ["look", "complete all", "complete", "try"]];
const COMPLETION_AGAIN: Plans<CompletionUse> = [["wait", "reinit", "look"], ["complete all"]];
const QUEUE: Plans<QueueUse> = [["take"], ["see"], ["take"], ["add", "add", "add for all"]];
const QUEUE_LIMITS: Plans<QueueUse> = [["take long"], ["take killable"], ["take"], ["kill 1", "add", "add", "add"]];

export const LOCK_CASES: readonly Case[] = [
  ...LOCKS.flatMap(casesOf),
  soundLock("mutex", "hand-off", "a waiter that woke in vain is next", HAMMERED, { mostSleeps: 3 }),
  soundLock("rwsem", "hand-off", "a writer waits past its deadline", STARVED_WRITER, { mostSleeps: 3, overdue: true }),
  soundLock("rwsem", "starved-reader", "a reader waits past its deadline", STARVED_READER),
  soundLock("rwsem", "slow-readers", "a writer spins on readers that sleep", SLOW_READERS),
  soundLock("rwsem", "claimed", "readers come when a writer has claimed the lock", CLAIMED),
  soundLock("rwsem", "killed-claim", "a writer claims the lock and is killed", KILLED_CLAIM),
  soundLock("rwsem-pre-v5.3", "slow-readers", "a writer does not spin on readers", SLOW_READERS),
  soundLock("rwsem-fifo-2010", "hand-off", "a waiter is woken once", STARVED_WRITER, { mostSleeps: 1 }),
  soundLock("rwsem-fifo-2010", "unfair", "down_read_unfair past the queue", [
    ["write"],
    ["read", "read unfair"],
    ["read unfair"],
  ]),
  soundLock("queue-lock", "", "the lock inside locks", WRITERS),
  sound("completion", "completion: an event for each waiter", eventCase("completionUser", "completion", COMPLETION)),
  sound(
    "completion/limits",
    "completion: timeout and SIGKILL",
    eventCase("completionUser", "completion", COMPLETION_LIMITS),
  ),
  sound("completion/all", "completion: complete_all", eventCase("completionUser", "completion", COMPLETION_ALL)),
  sound(
    "completion/again",
    "completion: reinit_completion",
    eventCase("completionUser", "completion", COMPLETION_AGAIN),
  ),
  sound("wait-queue", "wait queue: exclusive waiters and others", eventCase("queueUser", "wait queue", QUEUE)),
  sound("wait-queue/limits", "wait queue: timeout and SIGKILL", eventCase("queueUser", "wait queue", QUEUE_LIMITS)),
];

function brokenLock(lock: string, title: string, plans: Plans<LockUse>, asked: Partial<LockCase> = {}): Case {
  const { lock: mended = "spinlock", ...checks } = asked;
  return {
    id: `lock:${lock}`,
    title: `broken on purpose: ${title}`,
    insideLocks: true,
    broken: lockCase({ lock, plans, ...checks }),
    fixed: lockCase({ lock: mended, plans, ...checks }),
  };
}

export const BROKEN_LOCK_CASES: readonly Case[] = [
  brokenLock("busted", "locks nothing", [["write"], ["write"]]),
  brokenLock("forgetful", "sleeps without looking whether the lock is free by now", [["write"], ["write"]]),
  brokenLock("leaky", "a reader looks for a writer, and enters a step later", [["read"], ["write"]], {
    lock: "rwlock",
  }),
  brokenLock("graceless", "a release forgets whom the lock was promised", HAMMERED, { lock: "mutex", mostSleeps: 3 }),
];
