/** Roles of live processes, which a kill meets while they work: victims' threads, and others who hold an mm up. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, load, nowNs } from "../arena/mem.ts";
import { CpuMm, stamp } from "../mm/cpu-mm.ts";
import { mmgetNotZero, mmput } from "../mm/mm.ts";
import { drainPages } from "../mm/pcp.ts";
import { putUser, VM_FAULT_KILLED } from "../mm/user-fault.ts";
import { VM_FAULT_DONE, VM_FAULT_OOM } from "../mm/vm-fault.ts";
import { OomGlobals } from "../oom/globals.ts";
import { stopOomReaper } from "../oom/reaper-queue.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { fatalSignalPending, park } from "../sync/park.ts";
import { sleepUs } from "../sync/sleep.ts";
import { doCoredump } from "../task/coredump.ts";
import { doExit, doGroupExit } from "../task/exit.ts";
import { tryToFreeze } from "../task/freezer.ts";
import { kthreadUnuseMm, kthreadUseMm } from "../task/kthread.ts";
import { currentTask, Task } from "../task/task.ts";

/** Emulated microseconds that a thread rests after a round over its pages. */
const ROUND_US = 100;

export interface TouchParams {
  /** Pages [startVpn, startVpn + pages) of its address space. */
  readonly startVpn: number;
  readonly pages: number;
}

/**
 * A thread that writes to its pages round after round, faulting in what is missing, until it is killed; then it exits.
 * Returns how many writes it did. SIGBUS or SIGSEGV ends the process, as no handler is there.
 */
function* touchingThread(cpu: Cpu, { startVpn, pages }: TouchParams): Steps<{ stores: number }> {
  const task = currentTask(cpu);
  const mm = load(cpu, task + Task.mm);
  let stores = 0;
  let fatal = false;
  while (!fatal && !(yield* fatalSignalPending(cpu))) {
    yield* tryToFreeze(cpu);
    const result = yield* putUser(cpu, mm, startVpn + (stores % pages), stores);
    stores++;
    noteProgress(cpu);
    // Without memory the fault is done anew, as pagefault_out_of_memory leaves it.
    fatal = result !== VM_FAULT_DONE && result !== VM_FAULT_OOM && result !== VM_FAULT_KILLED;
    if (stores % pages === 0 || result === VM_FAULT_OOM) yield* sleepUs(cpu, ROUND_US);
  }
  if (fatal) yield* doGroupExit(cpu, task);
  else yield* doExit(cpu, task);
  return { stores };
}

/** How often a process in user space looks whether the machine stops, in emulated microseconds. */
const LOOK_US = 20_000;

/**
 * A process in user space, until SIGKILL comes and it exits, or until the machine stops: it writes to its pages [startVpn,
 * startVpn + pages), all of them present, or sleeps where it is given none. Returns whether it was killed.
 */
function* userProcess(cpu: Cpu, { startVpn, pages }: TouchParams): Steps<{ killed: number }> {
  const task = currentTask(cpu);
  const mm = load(cpu, task + Task.mm);
  for (let stores = 0; ; stores++) {
    // In this order: the machine does not stop before all signals are out.
    const stop = yield* stopping(cpu);
    if (yield* fatalSignalPending(cpu)) break;
    if (stop) return { killed: 0 };
    if (pages === 0) yield* park(cpu, LOOK_US);
    else yield* putUser(cpu, mm, startVpn + (stores % pages), stores);
  }
  yield* doExit(cpu, task);
  stamp(cpu, CpuMm.finishedNs, nowNs(cpu));
  // Direct reclaim would take the pages on this CPU's lists from here (drain_all_pages).
  yield* drainPages(cpu);
  if (yield* stopping(cpu)) yield* stopOomReaper(cpu);
  return { killed: 1 };
}

function* stopping(cpu: Cpu): Steps<boolean> {
  return (yield* atomicLoad(cpu, cpu.machine + OomGlobals.oomReaperStop)) !== 0;
}

/** Somebody who reads /proc/PID/smaps, say: a user of the mm for `us` emulated microseconds. `held` is 0 when it came late. */
function* procReader(cpu: Cpu, params: { readonly mm: number; readonly us: number }): Steps<{ held: number }> {
  if (!(yield* mmgetNotZero(cpu, params.mm))) return { held: 0 };
  yield* sleepUs(cpu, params.us);
  yield* mmput(cpu, params.mm);
  return { held: 1 };
}

/** A kernel thread that works for a process, as vhost does: in its mm, of which it is a user, for `us`. */
function* borrowingKthread(cpu: Cpu, params: { readonly mm: number; readonly us: number }): Steps<{ held: number }> {
  if (!(yield* mmgetNotZero(cpu, params.mm))) return { held: 0 };
  yield* kthreadUseMm(cpu, params.mm);
  yield* sleepUs(cpu, params.us);
  yield* kthreadUnuseMm(cpu);
  yield* mmput(cpu, params.mm);
  return { held: 1 };
}

/** A thread that crashed: writes the process's core for `us`, then exits. `dumped` is 0 when it had been killed before. */
function* dumper(cpu: Cpu, params: { readonly us: number }): Steps<{ dumped: number }> {
  const dumped = yield* doCoredump(cpu, params.us);
  yield* doExit(cpu, currentTask(cpu));
  return { dumped: dumped ? 1 : 0 };
}

export const taskRoles = { touchingThread, userProcess, procReader, borrowingKthread, dumper };
