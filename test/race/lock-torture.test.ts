import { describe, expect, test } from "vitest";
import { bustedLock } from "../../src/sync/busted-lock.ts";
import { LOCKS } from "../../src/sync/index.ts";
import type { LockContract } from "../../src/sync/lock-contract.ts";
import { type TortureRole, tortureLock } from "./lock-torture.ts";

const LIMITS = { ops: 20_000, deadlineMs: 300, hangMs: 10_000 };

/** More threads than this machine may have cores: holders get preempted, waiters sleep. */
function rolesFor(kind: LockContract): TortureRole[] {
  if (kind.downgrade) return ["writer", "reader", "downgrader", "reader"];
  if (kind.read) return ["writer", "reader", "writer", "reader"];
  return ["writer", "writer", "tryingWriter", "writer"];
}

/** Roles that increment the counter. */
const WRITING: readonly TortureRole[] = ["writer", "tryingWriter", "downgrader"];

test.each(LOCKS)("$name: real threads exclude each other, and none is left asleep", async (kind) => {
  const roles = rolesFor(kind);
  const result = await tortureLock({ kind, roles, ...LIMITS });
  const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
  const written = result.held.filter((_, id) => WRITING.includes(roles[id] as TortureRole));
  expect(result.arrived).toBe(roles.length);
  expect(result.errors).toBe(0);
  expect(result.counter).toBe(sum(written));
  expect(result.stats.acquired).toBe(sum(result.held));
  // A lock that is handed from waiter to waiter may never be free for a trylock.
  const waiting = result.held.filter((_, id) => roles[id] !== "tryingWriter");
  expect(Math.min(...waiting)).toBeGreaterThan(0);
  expect(result.stats.contended).toBeGreaterThan(0);
  expect(result.stats.parked).toBeGreaterThan(0);
  expect(result.stats.waitMaxNs).toBeLessThanOrEqual(result.stats.waitNs);
  expect(result.stats.spinNs).toBeLessThanOrEqual(result.stats.waitNs);
});

describe("the torture itself", () => {
  test("catches a lock that locks nothing", async () => {
    const result = await tortureLock({ kind: bustedLock, roles: ["writer", "writer"], ...LIMITS });
    expect(result.arrived).toBe(2);
    expect(result.errors).toBeGreaterThan(0);
  });

  test("turns a hang into an error that names holder and waiters", async () => {
    const kind = LOCKS.find(({ name }) => name === "mutex") as LockContract;
    const hang = tortureLock({ kind, roles: ["hog", "writer"], ...LIMITS, hangMs: 500 });
    await expect(hang).rejects.toThrow(/hang after 500 ms\n(.*\n)*.*awaits mutex at word \d+, held by CPU/);
  });

  test("says which thread died", async () => {
    const [spinlock] = LOCKS as readonly [LockContract, ...LockContract[]];
    const dead = tortureLock({ kind: spinlock, roles: ["writer", "reader"], ...LIMITS });
    await expect(dead).rejects.toThrow("thread 1 died");
  });
});
