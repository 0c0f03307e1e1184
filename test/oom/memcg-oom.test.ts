/** What becomes of charges that a memory group has no room for: who is asked, who may exceed, who is told no. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad } from "../../src/arena/mem.ts";
import { findOrder, findProtocol } from "../../src/machine/roles.ts";
import { createMemcg, Memcg } from "../../src/mm/memcg.ts";
import { allocUserPages, CHARGE_FAIL, CHARGE_FORCE, CHARGE_RETRY } from "../../src/mm/memcg-charge.ts";
import { GFP_ATOMIC, GFP_NOWAIT, putPage } from "../../src/mm/page-alloc.ts";
import { faultIn, putUser } from "../../src/mm/user-fault.ts";
import { FAULT_FLAG_WRITE, VM_FAULT_OOM } from "../../src/mm/vm-fault.ts";
import { VM_READ, VM_WRITE } from "../../src/mm/vma.ts";
import { OomGlobals } from "../../src/oom/globals.ts";
import { memcgChargeFailed } from "../../src/oom/memcg-oom.ts";
import { oomReaper, stopOomReaper } from "../../src/oom/reaper-queue.ts";
import { fatalSignalPending, sendSigkill } from "../../src/sync/park.ts";
import { sleepUs } from "../../src/sync/sleep.ts";
import { doExit } from "../../src/task/exit.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../../src/task/signal.ts";
import { currentTask, Task, TaskGlobals } from "../../src/task/task.ts";
import { putOomMm } from "../../src/task/tasklist.ts";
import { addThread } from "../task/lab.ts";
import { burstScheduler, OomLab, type Process, patientScheduler } from "./lab.ts";

const START = 0x10;
const MAX = 8;

function stage(protocol: string, oomScoreAdj = 0): { lab: OomLab; memcg: number; process: Process } {
  const lab = new OomLab({ protocol, cpus: 4, memcgs: 1, oomKiller: true });
  const memcg = lab.alone(3, (cpu) => createMemcg(cpu, { max: MAX }));
  const mappings = [{ startVpn: START, pages: 40, flags: VM_READ | VM_WRITE, present: [0, MAX] }];
  return { lab, memcg, process: lab.spawn(0, mappings, { memcg, oomScoreAdj }) };
}

/** What CPU 0's task is answered about a charge of 2^order pages. */
function answer(lab: OomLab, memcg: number, protocol: string, passedOom = false, order = 0): number {
  const ask = (cpu: Cpu): Steps<number> => memcgChargeFailed(cpu, memcg, order, passedOom, findProtocol(protocol));
  lab.keep();
  return lab.finish([ask], patientScheduler(1))[0] as number;
}

describe("a charge that finds the group full", () => {
  it("is tried again after a kill, and counted", () => {
    const { lab, memcg, process } = stage("v6.18");
    expect(answer(lab, memcg, "v6.18")).toBe(CHARGE_RETRY);
    expect(lab.word(lab.word(process.task + Task.signal) + Signal.oomMm)).toBe(process.mm);
    expect([Memcg.eventsOom, Memcg.eventsOomKill].map((event) => lab.word(memcg + event))).toEqual([1, 1]);
  });

  it("fails where nobody may be killed, and for folios that are large", () => {
    const { lab, memcg, process } = stage("v6.18", OOM_SCORE_ADJ_MIN);
    expect(answer(lab, memcg, "v6.18")).toBe(CHARGE_FAIL);
    expect(answer(lab, memcg, "v6.18", false, 4)).toBe(CHARGE_FAIL);
    expect(lab.alone(0, (cpu) => faultIn(cpu, process.mm, START + MAX, FAULT_FLAG_WRITE))).toBe(VM_FAULT_OOM);
    expect(lab.word(memcg + Memcg.usage)).toBe(MAX);
    expect(lab.word(lab.map.root + OomGlobals.oomKills)).toBe(0);
  });

  it("of a dying task: exceeds the limit until v5.15; since then fails once the killer had its turn", () => {
    for (const [protocol, first, later] of [
      ["v4.14", CHARGE_FORCE, CHARGE_FORCE],
      ["v5.17", CHARGE_RETRY, CHARGE_FAIL],
      ["v6.18", CHARGE_RETRY, CHARGE_FAIL],
    ] as const) {
      const { lab, memcg } = stage(protocol);
      lab.alone(3, (cpu) => sendSigkill(cpu, 0));
      expect([answer(lab, memcg, protocol), answer(lab, memcg, protocol, true)], protocol).toEqual([first, later]);
      expect(lab.word(lab.map.root + OomGlobals.oomKills), "nobody else dies for it").toBe(0);
    }
  });

  it("goes past it if it is atomic, fails if it just will not wait", () => {
    const { lab, memcg, process } = stage("v4.14");
    const refused = lab.alone(0, function* (cpu: Cpu): Steps<number> {
      const pfn = yield* allocUserPages(cpu, process.mm, 0, GFP_ATOMIC);
      expect([pfn !== 0, lab.word(memcg + Memcg.usage)]).toEqual([true, MAX + 1]);
      yield* putPage(cpu, pfn);
      return yield* allocUserPages(cpu, process.mm, 0, GFP_NOWAIT);
    });
    expect([refused, lab.word(memcg + Memcg.usage)]).toEqual([0, MAX]);
    lab.alone(0, (cpu) => doExit(cpu, process.task));
    expect(lab.word(memcg + Memcg.usage)).toBe(0);
  });
});

describe.each(["v4.14", "v6.1"])("two threads that fill their group (%s)", (name) => {
  it("are one kill, and leave nothing charged (500 seeds)", () => {
    const { lab, memcg, process } = stage(name);
    const thread = addThread(lab, 1, process);
    lab.keep();
    const protocol = findProtocol(name);
    const fills = (first: number) =>
      function* (cpu: Cpu): Steps<void> {
        const { mm } = process;
        for (let page = first; page < 40 && !(yield* fatalSignalPending(cpu)); page += 2) {
          yield* putUser(cpu, mm, START + page, page);
        }
        yield* doExit(cpu, currentTask(cpu));
      };
    function* waits(cpu: Cpu): Steps<void> {
      for (const { task } of [process, thread]) {
        while ((yield* atomicLoad(cpu, task + Task.mm)) !== 0) yield* sleepUs(cpu, 1000);
      }
      yield* stopOomReaper(cpu);
    }
    const reaper = (cpu: Cpu): Steps<number> => oomReaper(cpu, protocol, findOrder("forward"));
    for (let seed = 1; seed <= 500; seed++) {
      lab.finish([fills(MAX), fills(MAX + 1), waits, reaper], burstScheduler(seed));
      lab.alone(0, (cpu) => putOomMm(cpu, process.task));
      const kills = lab.word(lab.map.root + OomGlobals.oomKills);
      expect([kills, lab.word(memcg + Memcg.usage)], `seed ${seed}`).toEqual([1, 0]);
      expect(lab.word(lab.map.root + TaskGlobals.oomVictims), `seed ${seed}`).toBe(0);
      expect(lab.broken(), `seed ${seed}`).toEqual([]);
    }
  });
});
