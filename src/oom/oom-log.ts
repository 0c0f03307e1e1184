/**
 * What the OOM killer prints about a kill (mm/oom_kill.c: dump_header, dump_tasks, dump_oom_victim, __oom_kill_process;
 * v6.18), as trace records; `report/klog` words them.
 *
 * Thread safety: figures are glances without locks and scheduling points, so that a kill goes the same way whether it is
 * logged or not; what changes meanwhile is told as it was or as it is. Without a trace ring nothing is even looked at.
 */

import type { Cpu } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { MmGlobals } from "../mm/globals.ts";
import { Memcg } from "../mm/memcg.ts";
import { memoryNodes, NodePolicy } from "../mm/mempolicy.ts";
import { MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES, MM_SWAPENTS, Mm } from "../mm/mm-struct.ts";
import { countPageTables } from "../mm/page-table-count.ts";
import { Cpuset } from "../task/cpuset.ts";
import { Signal } from "../task/signal.ts";
import {
  currentTask,
  PF_KTHREAD,
  signalOf,
  Task,
  TaskGlobals,
  taskAt,
  taskCommWords,
  taskCount,
} from "../task/task.ts";
import { storeComm, TASK_COMM_WORDS } from "../trace/comm.ts";
import { OOM_EXITING, OOM_INVOKED, OOM_KILLED, OOM_PINNED, OOM_TASK, OOM_VICTIM } from "../trace/event.ts";
import { traceWords } from "../trace/ring.ts";
import { isGlobalInit } from "./badness.ts";
import { logMemInfo } from "./mem-info.ts";
import { pgtablesKib, rssKib, rssPages, totalVmKib } from "./mm-kib.ts";
import { OomControl } from "./oom-control.ts";
import { isProcess } from "./select.ts";

/** Divisor of the score that old kernels print. */
const SCORE_SCALE = 1000;

/**
 * The words of the events' domain: constraint, mask of nodes of a memory policy (0 for none), number of the cpuset, nodes
 * that it allows, number of the memory group that is full (0 for none).
 */
function domainWords(cpu: Cpu, oc: number): number[] {
  const current = currentTask(cpu);
  const cpuset = current === 0 ? 0 : glance(cpu, current + Task.cpuset);
  const mems = current === 0 ? 0 : glance(cpu, current + Task.numa + NodePolicy.memsAllowed);
  return [
    load(cpu, oc + OomControl.constraint),
    load(cpu, oc + OomControl.nodemask),
    numberOf(cpuset, load(cpu, cpu.machine + TaskGlobals.cpusets), Cpuset.WORDS),
    mems === 0 ? memoryNodes(cpu) : mems,
    memcgNumber(cpu, load(cpu, oc + OomControl.memcg)),
  ];
}

/** From 1 on, as the log has no names for groups; 0 for the root. */
function numberOf(group: number, first: number, words: number): number {
  return group === 0 ? 0 : (group - first) / words + 1;
}

function memcgNumber(cpu: Cpu, memcg: number): number {
  return numberOf(memcg, load(cpu, cpu.machine + MmGlobals.memcgs), Memcg.WORDS);
}

/** A CPU that runs no task is in its idle task. */
function currentWords(cpu: Cpu): number[] {
  const current = currentTask(cpu);
  if (current !== 0) return [...taskCommWords(cpu, current), glance(cpu, signalOf(cpu, current) + Signal.oomScoreAdj)];
  const comm = new Int32Array(TASK_COMM_WORDS);
  storeComm(comm, 0, `swapper/${cpu.id}`);
  return [...comm, 0];
}

function glance(cpu: Cpu, word: number): number {
  return cpu.words[word] as number;
}

/** `dump_header`: who could not get what, the state of memory, and all who could be killed. */
export function logInvoked(cpu: Cpu, oc: number): void {
  if (cpu.trace === 0) return;
  const { gfp, order } = OomControl;
  traceWords(cpu, OOM_INVOKED, [
    load(cpu, oc + gfp),
    load(cpu, oc + order),
    ...currentWords(cpu),
    ...domainWords(cpu, oc),
  ]);
  logMemInfo(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const task = taskAt(cpu, index);
    if (isProcess(cpu, task) && !isGlobalInit(cpu, task)) logTask(cpu, task);
  }
}

/** `dump_task`. Kthreads, and who has let go of its mm, are passed over. */
function logTask(cpu: Cpu, task: number): void {
  const mm = glance(cpu, task + Task.mm);
  if ((glance(cpu, task + Task.flags) & PF_KTHREAD) !== 0 || mm === 0 || glance(cpu, mm + Mm.mmUsers) <= 0) return;
  const signal = signalOf(cpu, task);
  const { ptes, pmds } = countPageTables(cpu, mm);
  traceWords(cpu, OOM_TASK, [
    load(cpu, task + Task.pid),
    load(cpu, signal + Signal.uid),
    load(cpu, signal + Signal.tgid),
    glance(cpu, mm + Mm.totalVm),
    ...[MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES].map((kind) => rssPages(cpu, mm, kind)),
    ptes,
    pmds,
    glance(cpu, mm + Mm.pgtablesBytes),
    rssPages(cpu, mm, MM_SWAPENTS),
    glance(cpu, signal + Signal.oomScoreAdj),
    ...taskCommWords(cpu, task),
  ]);
}

/** `dump_oom_victim`, and before v5.1 the line that tells the score. `message` is a MESSAGE_*. */
export function logVictim(cpu: Cpu, oc: number, message: number): void {
  if (cpu.trace === 0) return;
  const victim = load(cpu, oc + OomControl.chosen);
  const signal = signalOf(cpu, victim);
  const points = load(cpu, oc + OomControl.chosenPoints);
  traceWords(cpu, OOM_VICTIM, [
    message,
    load(cpu, victim + Task.pid),
    load(cpu, signal + Signal.uid),
    ...taskCommWords(cpu, victim),
    Math.floor((points * SCORE_SCALE) / load(cpu, oc + OomControl.totalpages)),
    memcgNumber(cpu, load(cpu, signal + Signal.memcg)),
    ...domainWords(cpu, oc),
  ]);
}

/** "Killed process": the victim is signalled and marked. The caller holds its task_lock. */
export function logKilled(cpu: Cpu, victim: number, mm: number, message: number): void {
  if (cpu.trace === 0) return;
  const signal = signalOf(cpu, victim);
  traceWords(cpu, OOM_KILLED, [
    message,
    load(cpu, victim + Task.pid),
    ...taskCommWords(cpu, victim),
    totalVmKib(cpu, mm),
    ...rssKib(cpu, mm),
    load(cpu, signal + Signal.uid),
    pgtablesKib(cpu, mm),
    glance(cpu, signal + Signal.oomScoreAdj),
  ]);
}

/** The victim is gone already. */
export function logExiting(cpu: Cpu, victim: number, message: number): void {
  if (cpu.trace === 0) return;
  traceWords(cpu, OOM_EXITING, [message, load(cpu, victim + Task.pid), ...taskCommWords(cpu, victim)]);
}

/** `other`, which must not be killed, shares the victim's mm. */
export function logPinned(cpu: Cpu, victim: number, other: number): void {
  if (cpu.trace === 0) return;
  const named = (task: number): number[] => [load(cpu, task + Task.pid), ...taskCommWords(cpu, task)];
  traceWords(cpu, OOM_PINNED, [...named(victim), ...named(other)]);
}
