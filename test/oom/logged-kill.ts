/** One whole OOM kill on the stepping engine, with its trace: an allocation runs out of memory, the reaper brings it back. */

import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { timerChoice } from "../../src/explore/schedule.ts";
import type { Scheduler } from "../../src/explore/scheduler.ts";
import { elementOf } from "../../src/machine/memory-map.ts";
import { findOrder, findProtocol } from "../../src/machine/roles.ts";
import { type MachineShape, TOY_SHAPE } from "../../src/machine/shape.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { oomReaper } from "../../src/oom/reaper-queue.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../../src/task/signal.ts";
import { Task } from "../../src/task/task.ts";
import { storeComm } from "../../src/trace/comm.ts";
import { drainTraceRing, mergeTraces, type TraceRecord } from "../../src/trace/ring.ts";
import { OomLab, type Process } from "./lab.ts";
import { allocatesSix, sleepsUntilKilled, takesAllMemory } from "./shortage.ts";

export const VICTIM = 0;
export const ALLOCATOR = 1;
export const REAPER = 2;
const VICTIM_PAGES = 40;
const EVENTS = 1024;

export interface LoggedKill {
  readonly lab: OomLab;
  readonly victim: Process;
  readonly allocator: Process;
  readonly programs: readonly ((cpu: Cpu) => Steps<unknown>)[];
}

function setComm(lab: OomLab, { task }: Process, comm: string, uid: number): void {
  storeComm(lab.words, task + Task.comm, comm);
  lab.words[lab.word(task + Task.signal) + Signal.uid] = uid;
}

/** A machine of 256 pages whose memory is taken but for what the victim has; nothing is traced yet. */
export function loggedKill(protocolName: string, shape: Partial<MachineShape> = {}): LoggedKill {
  const lab = new OomLab({
    protocol: protocolName,
    cpus: 3,
    mms: 3,
    frames: 65,
    oomKiller: true,
    tables: TOY_SHAPE.tables,
    traceEvents: EVENTS,
    ...shape,
  });
  const mapping = (pages: number): Parameters<OomLab["spawn"]>[1] => [
    { startVpn: 0x10, pages, flags: VM_WRITE, present: "all" },
  ];
  const victim = lab.spawn(VICTIM, mapping(VICTIM_PAGES));
  const allocator = lab.spawn(ALLOCATOR, mapping(2));
  setComm(lab, victim, "hog", 1000);
  setComm(lab, allocator, "sshd: a session", 0);
  lab.words[lab.word(allocator.task + Task.signal) + Signal.oomScoreAdj] = OOM_SCORE_ADJ_MIN;
  lab.alone(REAPER, takesAllMemory);
  drainLab(lab);
  lab.keep();
  const protocol = findProtocol(protocolName);
  return {
    lab,
    victim,
    allocator,
    programs: [sleepsUntilKilled, allocatesSix, (cpu) => oomReaper(cpu, protocol, findOrder(protocol.order))],
  };
}

/** What all CPUs traced since the last time, in the order of time; nothing on a machine that traces nothing. */
export function drainLab({ words, map: { rings, shape } }: OomLab): TraceRecord[] {
  if (rings === undefined) return [];
  return mergeTraces(Array.from({ length: shape.cpus }, (_, id) => drainTraceRing(words, elementOf(rings, id), id)));
}

/** The allocator and the reaper run by turns of one step, the victim when both have ended or wait for it. */
export function victimLast(): Scheduler {
  return {
    name: "the victim comes last",
    begin: () => {},
    pick({ run, step, timers, timerCount }) {
      const [first, second] = step % 2 === 0 ? [ALLOCATOR, REAPER] : [REAPER, ALLOCATOR];
      if (run.isReady(first as number)) return first;
      if (run.isReady(second as number)) return second;
      return timerCount > 0 ? timerChoice(timers[0] as number) : VICTIM;
    },
  };
}
