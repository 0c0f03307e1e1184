/** Hocko's second patch: the write lock is for OOM victims only, and the task that runs exit_mmap is asked. */

import { expect, it } from "vitest";
import { randomScheduler } from "../../../src/explore/schedulers/random.ts";
import { hockoV1 } from "../../../src/oom/protocols/hocko-v1.ts";
import { hockoV2 } from "../../../src/oom/protocols/hocko-v2.ts";
import type { Protocol } from "../../../src/oom/protocols/protocol.ts";
import { burstScheduler } from "../lab.ts";
import { death, SEEDS } from "./lab.ts";

/** Whether exit_mmap was ever seen to hold the write lock. */
function locksForWriting(protocol: Protocol, chosen: boolean): boolean {
  const { lab, exits, writeLocked } = death(protocol, chosen);
  let seen = false;
  lab.finish([exits], randomScheduler(1), () => {
    seen ||= writeLocked();
  });
  return seen;
}

it("an ordinary exit no longer pays for the write lock; an OOM victim's does", () => {
  expect([locksForWriting(hockoV1, false), locksForWriting(hockoV1, true)]).toEqual([true, true]);
  expect([locksForWriting(hockoV2, false), locksForWriting(hockoV2, true)]).toEqual([false, true]);
});

/** Invariant that a seed breaks when, beside victim and kthread, somebody else drops a user; "" when none does. */
function bystanderBreaks(protocol: Protocol): string {
  const { lab, exits, reaps, lastMmput, bury } = death(protocol, true, 2);
  for (let seed = 1; seed <= SEEDS; seed++) {
    lab.reset();
    const outcome = lab.run([exits, reaps, lastMmput], burstScheduler(seed));
    if (outcome.state === "violation") return outcome.violation.invariant;
    expect(outcome.state, `seed ${seed}`).toBe("finished");
    expect(bury(), `seed ${seed}`).toEqual([]);
  }
  return "";
}

it("B3: a bystander's last mmput is no victim's, so nothing keeps the reaper out of the tables it frees", () => {
  expect(bystanderBreaks(hockoV2)).toBe("I1");
});

it("with the lock in every exit it does not matter whose mmput is the last", () => {
  expect(bystanderBreaks(hockoV1)).toBe("");
});
