/** What an exiting thread owes to those who wait on its futexes, and what a reaper does to that (B17). */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { EAGAIN } from "../../src/base/errno.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import { findOrder } from "../../src/machine/roles.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_UNSTABLE } from "../../src/mm/mm-struct.ts";
import { getUser } from "../../src/mm/user-fault.ts";
import { VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { v61 } from "../../src/oom/protocols/v6.1.ts";
import { FUTEX_OWNER_DIED, FUTEX_WAITERS, futexWaitUser, ROBUST_LIST_LIMIT } from "../../src/task/futex.ts";
import { killTask, Task } from "../../src/task/task.ts";
import { burstScheduler, OomLab, type Process } from "../oom/lab.ts";
import { addThread, exitCurrent, peek, poke, setVpn, setWord, shareRunning } from "./lab.ts";

/** Private pages: the list's head and two entries. Shared ones, 0x30 above the entries: their futex words. */
const HEAD = 0x10;
const FUTEX = 0x41;
const MAPPINGS: readonly Mapping[] = [
  { startVpn: HEAD, pages: 3, flags: VM_WRITE, present: "all" },
  { startVpn: 0x40, pages: 4, flags: VM_WRITE | VM_SHARED, present: "all" },
];
const OWNER = 1000;
const HELD = OWNER | FUTEX_WAITERS;
const forward = findOrder("forward");

/** CPU 0 runs the owner of both futexes, CPU 1 another process in the same mm. */
function futexLab(): { lab: OomLab; owner: Process; other: Process } {
  const lab = new OomLab({ protocol: "v6.1", cpus: 3 });
  const owner = lab.spawn(0, MAPPINGS);
  const other = shareRunning(lab, 1, owner);
  poke(lab, 0, owner.mm, { [HEAD]: 1, [HEAD + 1]: 2, [HEAD + 2]: 0, [FUTEX]: HELD, [FUTEX + 1]: HELD });
  setVpn(lab, owner.task + Task.robustList, HEAD);
  setWord(lab, owner.task + Task.robustFutexOffset, 0x30);
  return { lab, owner, other };
}

const waitWhileHeld = (mm: number, vpn = FUTEX) =>
  function* (cpu: Cpu): Steps<number | undefined> {
    for (;;) {
      const word = yield* getUser(cpu, mm, vpn);
      if (word !== HELD) return word;
      yield* futexWaitUser(cpu, mm, vpn, word);
    }
  };

describe("exit_robust_list", () => {
  it("marks every futex of the dying owner and wakes who waits, whenever the wait begins", () => {
    const { lab, owner, other } = futexLab();
    lab.keep();
    for (let seed = 1; seed <= 1000; seed++) {
      const [, word] = lab.finish([exitCurrent, waitWhileHeld(other.mm, FUTEX + 1)], burstScheduler(seed));
      expect(word, `seed ${seed}`).toBe(FUTEX_OWNER_DIED | FUTEX_WAITERS);
      expect(peek(lab, 1, owner.mm, FUTEX)).toBe(FUTEX_OWNER_DIED | FUTEX_WAITERS);
      lab.alone(1, exitCurrent);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });

  it("leaves futexes of others alone, and gives a list without end up", () => {
    const { lab, owner } = futexLab();
    poke(lab, 0, owner.mm, { [HEAD + 2]: 1, [FUTEX]: 77 });
    lab.alone(0, exitCurrent);
    expect(ROBUST_LIST_LIMIT).toBe(2048);
    expect([0, 1].map((i) => peek(lab, 1, owner.mm, FUTEX + i))).toEqual([77, FUTEX_OWNER_DIED | FUTEX_WAITERS]);
  });

  it("ends silently where a reaper took the list: the waiter sleeps for ever (B17)", () => {
    const { lab, owner, other } = futexLab();
    lab.alone(2, (cpu) => killTask(cpu, owner.task));
    lab.keep();
    const told = new Set<string>();
    for (let seed = 1; seed <= 1000; seed++) {
      lab.reset();
      const reap = (cpu: Cpu): Steps<boolean> => v61.oomReapTaskMm(cpu, owner.mm, forward);
      const outcome = lab.run([exitCurrent, waitWhileHeld(other.mm), reap], burstScheduler(seed));
      if (outcome.state === "deadlock") {
        const unstable = lab.alone(1, (cpu) => getUser(cpu, owner.mm, HEAD));
        expect([peek(lab, 1, owner.mm, FUTEX), unstable], `seed ${seed}`).toEqual([HELD, undefined]);
      }
      told.add(outcome.state);
    }
    expect([...told].sort()).toEqual(["deadlock", "finished"]);
  });
});

describe("clear_child_tid", () => {
  it("is zeroed for whoever joins the thread, unless nobody is left in the mm", () => {
    const { lab, owner } = futexLab();
    const thread = addThread(lab, 2, owner);
    poke(lab, 0, owner.mm, { [FUTEX + 2]: 1002 });
    setVpn(lab, thread.task + Task.clearChildTid, FUTEX + 2);
    lab.keep();
    const join = function* (cpu: Cpu): Steps<number> {
      let waits = 0;
      while ((yield* getUser(cpu, owner.mm, FUTEX + 2)) !== 0) {
        yield* futexWaitUser(cpu, owner.mm, FUTEX + 2, 1002);
        waits++;
      }
      return waits;
    };
    let waited = 0;
    for (let seed = 1; seed <= 1000; seed++) {
      const idle = function* (): Steps<void> {};
      const [waits] = lab.finish([join, idle, exitCurrent], burstScheduler(seed));
      waited += waits as number;
      lab.alone(0, exitCurrent);
      lab.alone(1, exitCurrent);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
    expect(waited).toBeGreaterThan(20);
  });
});

it("FUTEX_WAIT does not sleep where the word is another one, or cannot be read", () => {
  const { lab, owner } = futexLab();
  expect(lab.alone(1, (cpu) => futexWaitUser(cpu, owner.mm, FUTEX, 1))).toBe(-EAGAIN);
  expect(lab.alone(1, (cpu) => futexWaitUser(cpu, owner.mm, 0x900, 0))).toBe(-EAGAIN);
});

it("a page that is gone from an unstable mm does not come back", () => {
  const { lab, owner } = futexLab();
  lab.alone(2, (cpu) => setMmFlag(cpu, owner.mm, MMF_UNSTABLE));
  expect(peek(lab, 0, owner.mm, HEAD)).toBe(1);
  lab.alone(2, (cpu) => v61.oomReapTaskMm(cpu, owner.mm, forward));
  expect([peek(lab, 0, owner.mm, HEAD), peek(lab, 0, owner.mm, FUTEX)]).toEqual([undefined, HELD]);
});
