/** More of a process than the OOM lab makes: threads, and words in user memory. */

import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { fetchAdd, store } from "../../src/arena/mem.ts";
import { assert } from "../../src/base/assert.ts";
import { taskRoles } from "../../src/machine/task-roles.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { tlbActivate } from "../../src/mm/tlb.ts";
import { getUser, putUser } from "../../src/mm/user-fault.ts";
import { VM_FAULT_DONE } from "../../src/mm/vm-fault.ts";
import { storeVpn } from "../../src/mm/vpn.ts";
import { doExit } from "../../src/task/exit.ts";
import { createTask, currentTask, switchTo } from "../../src/task/task.ts";
import { putOomMm, releaseTask } from "../../src/task/tasklist.ts";
import type { OomLab, Process } from "../oom/lab.ts";

/** Another thread of a process, in task slot `slot` and on the CPU of that number. */
export function addThread(lab: OomLab, slot: number, { task, mm }: Process): Process {
  const thread = lab.alone(slot, function* (cpu): Steps<number> {
    yield* fetchAdd(cpu, mm + Mm.mmUsers, 1);
    yield* tlbActivate(cpu, mm);
    const made = createTask(cpu, slot, { pid: 1000 + slot, mm, threadOf: task });
    switchTo(cpu, made);
    return made;
  });
  return { task: thread, mm };
}

/** As `OomLab.share`, of a process that touches the memory it shares. */
export function shareRunning(lab: OomLab, slot: number, other: Process): Process {
  lab.alone(slot, (cpu) => tlbActivate(cpu, other.mm));
  return lab.share(slot, other);
}

export const exitCurrent = (cpu: Cpu): Steps<void> => doExit(cpu, currentTask(cpu));

export const touching =
  (startVpn: number, pages: number) =>
  (cpu: Cpu): Steps<unknown> =>
    taskRoles.touchingThread(cpu, { startVpn, pages });

/** Writes user memory before a race. */
export function poke(lab: OomLab, id: number, mm: number, words: Readonly<Record<number, number>>): void {
  lab.alone(id, function* (cpu): Steps<void> {
    for (const [vpn, value] of Object.entries(words)) {
      const result = yield* putUser(cpu, mm, Number(vpn), value);
      assert(result === VM_FAULT_DONE, `poke: page ${vpn} cannot be written`);
    }
  });
}

export function peek(lab: OomLab, id: number, mm: number, vpn: number): number | undefined {
  return lab.alone(id, (cpu) => getUser(cpu, mm, vpn));
}

export function setVpn(lab: OomLab, at: number, vpn: number): void {
  lab.alone(0, function* (cpu): Steps<void> {
    storeVpn(cpu, at, vpn);
  });
}

export function setWord(lab: OomLab, at: number, value: number): void {
  lab.alone(0, function* (cpu): Steps<void> {
    store(cpu, at, value);
  });
}

/** The parent waits for a process that has exited. */
export function release(lab: OomLab, task: number): void {
  lab.alone(0, (cpu) => releaseTask(cpu, task));
}

export function endOom(lab: OomLab, task: number): void {
  lab.alone(0, (cpu) => putOomMm(cpu, task));
}
