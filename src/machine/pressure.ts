/**
 * Setting up a machine whose allocators are about to run out of memory: several live processes, one to a CPU, and a kernel
 * thread for each allocator. Who dies, and when, is the OOM killer's to say; what happens is the roles'.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicStore, load, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { mmAlloc } from "../mm/mm.ts";
import { Mm } from "../mm/mm-struct.ts";
import { dropCaches } from "../mm/page-cache.ts";
import { drainPages } from "../mm/pcp.ts";
import { OomGlobals } from "../oom/globals.ts";
import { CpuSync } from "../sync/cpu-sync.ts";
import { doExit } from "../task/exit.ts";
import { createTask, NO_CPU, PF_EXITING, PF_KTHREAD, switchTo, Task, taskAt } from "../task/task.ts";
import { putOomMm } from "../task/tasklist.ts";
import { buildAddressSpace, type FrameOrder, type Mapping } from "./address-space.ts";
import { putPageChain } from "./page-chain.ts";
import { findProtocol } from "./roles.ts";

/** pid of the process in task slot 0; those behind it follow. */
export const FIRST_PROCESS_PID = 1000;
/** pid of the first allocator. */
const FIRST_ALLOCATOR_PID = 100;

export interface ProcessSetup {
  readonly comm: string;
  readonly mappings: readonly Mapping[];
  readonly frames: FrameOrder;
  readonly seed: number;
  /** Emulated microseconds that its exit waits for I/O under way (`exit_aio`). Default 0. */
  readonly aioUs?: number;
}

/** Word addresses of one process. */
export interface StagedProcess {
  readonly mm: number;
  readonly task: number;
}

/** On the CPU that will run it: builds the process of task slot `slot`, its pages faulted in, alive. */
export function* stageProcess(cpu: Cpu, slot: number, protocol: string, setup: ProcessSetup): Steps<StagedProcess> {
  const mm = yield* mmAlloc(cpu, slot + 1, findProtocol(protocol).rwsemRules);
  assert(mm !== 0, "stageProcess: no memory for the mm");
  const task = createTask(cpu, slot, { pid: FIRST_PROCESS_PID + slot, comm: setup.comm, mm });
  switchTo(cpu, task);
  yield* buildAddressSpace(cpu, mm, setup.mappings, setup.frames, setup.seed);
  yield* drainPages(cpu);
  store(cpu, mm + Mm.aioUs, setup.aioUs ?? 0);
  yield* atomicStore(cpu, cpu.sync + CpuSync.parkToken, 0);
  return { mm, task };
}

/**
 * As `stageProcess`, for one that sleeps and has no CPU: killed, it stays on its way out until `endProcess`, and its memory
 * comes back when a reaper takes it. `cpu` only builds it.
 */
export function* stageSleeper(cpu: Cpu, slot: number, protocol: string, setup: ProcessSetup): Steps<StagedProcess> {
  const sleeper = yield* stageProcess(cpu, slot, protocol, setup);
  switchTo(cpu, 0);
  store(cpu, sleeper.task + Task.cpu, NO_CPU);
  return sleeper;
}

/** On an allocator's CPU: the kernel thread on whose behalf it allocates, in task slot `slot`. */
export function* stageAllocator(cpu: Cpu, slot: number, index: number): Steps<void> {
  const pid = FIRST_ALLOCATOR_PID + index;
  switchTo(cpu, createTask(cpu, slot, { pid, comm: "allocator", flags: PF_KTHREAD }));
  const left = cpu.machine + OomGlobals.allocatorsLeft;
  yield* atomicStore(cpu, left, load(cpu, left) + 1);
}

/** After the roles, on an idle CPU: the process in `slot` exits if it has not, and what its signal_struct pinned goes. */
export function* endProcess(cpu: Cpu, slot: number): Steps<void> {
  const task = taskAt(cpu, slot);
  if ((load(cpu, task + Task.flags) & PF_EXITING) === 0) {
    // Nobody waits for its I/O any more.
    store(cpu, load(cpu, task + Task.mm) + Mm.aioUs, 0);
    switchTo(cpu, task);
    yield* doExit(cpu, task);
  }
  yield* putOomMm(cpu, task);
}

/** Last: gives back what allocators held (`AllocatorResult.chain` of each), and forgets files. */
export function* endPressure(cpu: Cpu, chains: readonly number[]): Steps<void> {
  for (let i = 0; i < chains.length; i++) yield* putPageChain(cpu, chains[i] as number);
  yield* dropCaches(cpu);
}
