/**
 * Tasks, which are threads (include/linux/sched.h; v6.18), as far as an exit and the OOM code look at them. What the
 * threads of a process share is its `Signal`.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchOr, load, racyLoad, store } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { MmGlobals } from "../mm/globals.ts";
import { NodePolicy } from "../mm/mempolicy.ts";
import { MMF_OOM_SKIP, Mm } from "../mm/mm-struct.ts";
import { CpuPcp, cpuPcp } from "../mm/pcp.ts";
import { VPN_WORDS } from "../mm/vpn.ts";
import { Completion } from "../sync/completion.ts";
import { lockClass } from "../sync/lock-class.ts";
import { Mutex } from "../sync/mutex.ts";
import { sendSigkill } from "../sync/park.ts";
import { Rwlock, readLock, readUnlock } from "../sync/rwlock.ts";
import { Spinlock, spinLock, spinUnlock } from "../sync/spinlock.ts";
import { WaitQueue } from "../sync/wait-queue.ts";
import { commAt, commWords, storeComm, TASK_COMM_WORDS } from "../trace/comm.ts";
import { SIGNAL_GENERATE } from "../trace/event.ts";
import { traceWords } from "../trace/ring.ts";
import { SIGNAL_GROUP_COREDUMP, SIGNAL_GROUP_EXIT, SIGNAL_UNKILLABLE, Signal } from "./signal.ts";

/** `task_lock`: `Task.mm` is changed under it only. */
export const ALLOC_LOCK = lockClass("alloc_lock");
/** Guards which task slots are in use, and which task runs where. Stands for RCU as well: who walks tasks reads it. */
export const TASKLIST_LOCK = lockClass("tasklist_lock", "rwlock");

/** Bits of `Task.flags`, with the kernel's numbers. */
export const PF_EXITING = 0x4;
/** Past the point where its exit waits for a core dump. */
export const PF_POSTCOREDUMP = 0x8;
export const PF_KTHREAD = 0x200000;
/** Its number, for traces. */
const SIGKILL = 9;

export const NO_CPU = -1;

export const Task = struct(
  "task",
  {
    /** 0 while no task of the slot is to be found: unused, or released with references left. */
    pid: 1,
    /** (atomic) References on the struct; the slot is free at 0. */
    usage: 1,
    /** Word address of its process's `Signal`; constant while the slot is in use. */
    signal: 1,
    /** CPU it runs on; NO_CPU for a task that sleeps for as long as anybody looks. Changed by that CPU. */
    cpu: 1,
    /** Command name (`trace/comm`). */
    comm: TASK_COMM_WORDS,
    /** (atomic) PF_* */
    flags: 1,
    /** (atomic) TIF_MEMDIE of the victim's thread. */
    tifMemdie: 1,
    /** Who holds it knows that mm stays what it is. */
    allocLock: { words: Spinlock.WORDS, align: 1 },
    /** (atomic) Cleared under allocLock; may be glanced at without. */
    mm: 1,
    /** Where its memory comes from. */
    numa: NodePolicy,
    /** (atomic) Word address of its `Cpuset`, 0 for the root, which allows everything. */
    cpuset: 1,
    /** Who forked it; 0 once that one is released. Guarded by tasklist_lock. */
    realParent: 1,
    /** Completion of the parent that waits for this one's exec or exit, 0 for none. Cleared under allocLock. */
    vforkDone: 1,
    /** What its own vfork waits on. */
    vforkWait: Completion,
    /** (atomic) Not 0: it is to stand still, in `tryToFreeze`, until it is thawed. */
    frozen: 1,
    /** The words below belong to the thread itself. Page of the robust futex list's head, 0 for none (`futex`). */
    robustList: VPN_WORDS,
    /** From a list entry to its futex word, in pages, signed. */
    robustFutexOffset: 1,
    /** Page whose word is zeroed, and waited on, at its exit (pthread_join); 0 for none. */
    clearChildTid: VPN_WORDS,
    /** Next on the OOM reaper's list or among its timers, 0 at the end, and when its delay is over; oom_reaper_lock. */
    oomReaperNext: 1,
    oomReaperDueMs: 1,
  },
  CACHE_PAIR,
);

/** Most CPUs a machine may have: an mm's CPU mask is one word. */
export const MAX_CPUS = 31;

export const TaskGlobals = struct(
  "taskGlobals",
  {
    mm: MmGlobals,
    /** Word address and number of task slots, and address of as many `Signal` slots; constant. */
    tasks: 1,
    taskCount: 1,
    signals: 1,
    /** Word address of the first `Cpuset`, and number of their slots (`cpuset`); constant. */
    cpusets: 1,
    cpusetCount: 1,
    /** Task that runs on each CPU, 0 for none; written by that CPU. */
    current: MAX_CPUS,
    /** (atomic) Task that each CPU shall run next, 0 for none. */
    next: MAX_CPUS,
    tasklistLock: { words: Rwlock.WORDS, align: CACHE_PAIR },
    /** Highest pid given out. Guarded by tasklistLock. */
    lastPid: 1,
    /** (atomic) Threads with TIF_MEMDIE: `oom_victims`. `oomKillerDisable` sleeps on it. */
    oomVictims: { words: 1, align: CACHE_PAIR },
    /** All that sleep on a futex; frozen threads. */
    futexWait: WaitQueue,
    freezerWait: WaitQueue,
    /** Serialises oom_score_adj writes. */
    oomAdjMutex: Mutex,
  },
  CACHE_PAIR,
);

/** Word address of task slot `index`. */
export function taskAt(cpu: Cpu, index: number): number {
  return load(cpu, cpu.machine + TaskGlobals.tasks) + index * Task.WORDS;
}

/** Slots of this machine. */
export function taskCount(cpu: Cpu): number {
  return load(cpu, cpu.machine + TaskGlobals.taskCount);
}

/** What `createTask` is told. */
export interface TaskSpec {
  readonly pid: number;
  /** At most 15 characters of ASCII are kept. */
  readonly comm?: string;
  /** Its address space; 0 or left out for none (kthreads). The caller's use of it becomes the task's. */
  readonly mm?: number;
  /** A thread of this task's process; left out: the first of a process of its own. */
  readonly threadOf?: number;
  /** PF_* */
  readonly flags?: number;
  readonly oomScoreAdj?: number;
  /** Word address of its process's memory group, which its mm is charged to as well; left out: the root. */
  readonly memcg?: number;
  /** User that the process runs as; default 0. */
  readonly uid?: number;
  /** Whether its process has CAP_SYS_ADMIN. */
  readonly capSysAdmin?: boolean;
}

/**
 * Fills the unused task slot `slot` with a task that runs nowhere yet (`switchTo` puts it on a CPU); returns its address.
 * For boot and set-up, while nobody else looks at tasks; `fork` does it in a running machine.
 */
export function createTask(cpu: Cpu, slot: number, spec: TaskSpec): number {
  const task = taskAt(cpu, slot);
  assert(load(cpu, task + Task.pid) === 0, `createTask: slot ${slot} is in use`);
  fillTask(cpu, task, slot, spec);
  const last = cpu.machine + TaskGlobals.lastPid;
  store(cpu, last, Math.max(load(cpu, last), spec.pid));
  return task;
}

/** Fills a task slot that belongs to the caller. What it shares with its threads' other readers: tasklist_lock, or boot. */
export function fillTask(cpu: Cpu, task: number, slot: number, spec: TaskSpec): void {
  cpu.words.fill(0, task, task + Task.WORDS);
  store(cpu, task + Task.pid, spec.pid);
  store(cpu, task + Task.usage, 1);
  store(cpu, task + Task.cpu, NO_CPU);
  store(cpu, task + Task.flags, spec.flags ?? 0);
  store(cpu, task + Task.mm, spec.mm ?? 0);
  if (spec.mm && spec.memcg) store(cpu, spec.mm + Mm.memcg, spec.memcg);
  storeComm(cpu.words, task + Task.comm, spec.comm ?? "");
  if (spec.threadOf === undefined) store(cpu, task + Task.signal, createSignal(cpu, slot, spec));
  else {
    const signal = load(cpu, spec.threadOf + Task.signal);
    store(cpu, task + Task.signal, signal);
    for (const count of [Signal.live, Signal.sigcnt, Signal.nrThreads]) {
      store(cpu, signal + count, load(cpu, signal + count) + 1);
    }
  }
}

/** The first process: it ignores fatal signals, and the OOM killer leaves it alone. */
export const GLOBAL_INIT_PID = 1;

/** The `Signal` that goes with a task slot, as that of a process of one thread. */
function createSignal(
  cpu: Cpu,
  slot: number,
  { pid, oomScoreAdj = 0, memcg = 0, uid = 0, capSysAdmin = false }: TaskSpec,
): number {
  const signal = load(cpu, cpu.machine + TaskGlobals.signals) + slot * Signal.WORDS;
  cpu.words.fill(0, signal, signal + Signal.WORDS);
  store(cpu, signal + Signal.tgid, pid);
  for (const count of [Signal.live, Signal.sigcnt, Signal.nrThreads]) store(cpu, signal + count, 1);
  store(cpu, signal + Signal.flags, pid === GLOBAL_INIT_PID ? SIGNAL_UNKILLABLE : 0);
  store(cpu, signal + Signal.oomScoreAdj, oomScoreAdj);
  store(cpu, signal + Signal.memcg, memcg);
  store(cpu, signal + Signal.uid, uid);
  store(cpu, signal + Signal.capSysAdmin, capSysAdmin ? 1 : 0);
  return signal;
}

/** `task->comm`. A plain read, for reports and log lines: constant after creation. */
export function taskComm(words: Int32Array, task: number): string {
  return commAt(words, task + Task.comm);
}

/** The same as words, for trace records. */
export function taskCommWords(cpu: Cpu, task: number): number[] {
  return commWords(cpu.words, task + Task.comm);
}

/** Word address of the process's `Signal`. */
export function signalOf(cpu: Cpu, task: number): number {
  return load(cpu, task + Task.signal);
}

/** `current` */
export function currentTask(cpu: Cpu): number {
  return load(cpu, cpu.machine + TaskGlobals.current + cpu.id);
}

/** This CPU runs `task` from now on. */
export function switchTo(cpu: Cpu, task: number): void {
  store(cpu, cpu.machine + TaskGlobals.current + cpu.id, task);
  store(cpu, cpuPcp(cpu) + CpuPcp.policy, task === 0 ? 0 : task + Task.numa);
  if (task !== 0) store(cpu, task + Task.cpu, cpu.id);
}

/** `tsk_is_oom_victim` */
export function* tskIsOomVictim(cpu: Cpu, task: number): Steps<boolean> {
  return task !== 0 && (yield* atomicLoad(cpu, signalOf(cpu, task) + Signal.oomMm)) !== 0;
}

/** The task's own mm with its `task_lock` held, or 0 with nothing held. */
export function* findLockTaskMm(cpu: Cpu, task: number): Steps<number> {
  return (yield* lockWithMm(cpu, task)) ? load(cpu, task + Task.mm) : 0;
}

/** `same_thread_group`: whether `thread` is in use and of the process that `task` is of. The caller holds tasklist_lock. */
export function sameThreadGroup(cpu: Cpu, thread: number, task: number): boolean {
  return load(cpu, thread + Task.pid) !== 0 && signalOf(cpu, thread) === signalOf(cpu, task);
}

/**
 * `find_lock_task_mm` as the kernel has it: a thread of the task's process that still has its mm, with that thread's
 * `task_lock` held; 0 with nothing held. A process's first thread may be gone long before the others.
 */
export function* findLockThread(cpu: Cpu, task: number): Steps<number> {
  if (yield* lockWithMm(cpu, task)) return task;
  yield* tasklistReadLock(cpu);
  let found = 0;
  for (let index = 0; index < taskCount(cpu) && found === 0; index++) {
    const thread = taskAt(cpu, index);
    if (thread === task || !sameThreadGroup(cpu, thread, task)) continue;
    if (yield* lockWithMm(cpu, thread)) found = thread;
  }
  yield* tasklistReadUnlock(cpu);
  return found;
}

/** Takes the thread's `task_lock` if it has an mm; whether it did. */
function* lockWithMm(cpu: Cpu, thread: number): Steps<boolean> {
  yield* spinLock(cpu, thread + Task.allocLock, ALLOC_LOCK);
  if (load(cpu, thread + Task.mm) !== 0) return true;
  yield* taskUnlock(cpu, thread);
  return false;
}

export function* taskUnlock(cpu: Cpu, task: number): Steps<void> {
  yield* spinUnlock(cpu, task + Task.allocLock, ALLOC_LOCK);
}

/** Nobody releases a task, or adds one, until `tasklistReadUnlock`. May nest, also inside task_lock. */
export function* tasklistReadLock(cpu: Cpu): Steps<void> {
  yield* readLock(cpu, cpu.machine + TaskGlobals.tasklistLock, TASKLIST_LOCK);
}

export function* tasklistReadUnlock(cpu: Cpu): Steps<void> {
  yield* readUnlock(cpu, cpu.machine + TaskGlobals.tasklistLock, TASKLIST_LOCK);
}

/**
 * SIGKILL to the task's process: all its threads are told, each on the CPU it runs on, one after the other and after the
 * process counts as exiting (kernel/signal.c: complete_signal). The global init ignores it.
 */
export function* killTask(cpu: Cpu, task: number): Steps<void> {
  assert(load(cpu, task + Task.pid) !== 0, "killTask: no such task");
  if (cpu.trace !== 0) {
    traceWords(cpu, SIGNAL_GENERATE, [SIGKILL, ...taskCommWords(cpu, task), load(cpu, task + Task.pid)]);
  }
  const signal = signalOf(cpu, task);
  // This bit never changes.
  if ((racyLoad(cpu, signal + Signal.flags) & SIGNAL_UNKILLABLE) !== 0) return;
  yield* fetchOr(cpu, signal + Signal.flags, SIGNAL_GROUP_EXIT);
  yield* tasklistReadLock(cpu);
  for (let index = 0; index < taskCount(cpu); index++) {
    const thread = taskAt(cpu, index);
    if (!sameThreadGroup(cpu, thread, task)) continue;
    const where = racyLoad(cpu, thread + Task.cpu);
    if (where !== NO_CPU) yield* sendSigkill(cpu, where);
  }
  yield* tasklistReadUnlock(cpu);
}

/**
 * `task_will_free_mem` for one process: it is on its way out and its memory is not given up on yet. While it writes a
 * core dump it is not, however dead: that may take long.
 */
export function* taskWillFreeMem(cpu: Cpu, task: number, mm: number): Steps<boolean> {
  if (!(yield* exiting(cpu, task))) return false;
  if (((yield* atomicLoad(cpu, mm + Mm.flags)) & MMF_OOM_SKIP) !== 0) return false;
  if ((yield* atomicLoad(cpu, mm + Mm.mmUsers)) <= 1) return true;
  yield* tasklistReadLock(cpu);
  let all = true;
  for (let index = 0; index < taskCount(cpu) && all; index++) {
    const other = taskAt(cpu, index);
    if (load(cpu, other + Task.pid) === 0 || signalOf(cpu, other) === signalOf(cpu, task)) continue;
    all = !(yield* sharesMm(cpu, other, mm)) || (yield* exiting(cpu, other));
  }
  yield* tasklistReadUnlock(cpu);
  return all;
}

/** `__task_will_free_mem`: not dumping core, and the whole process ends, or its only thread does. */
function* exiting(cpu: Cpu, task: number): Steps<boolean> {
  const signal = signalOf(cpu, task);
  const flags = yield* atomicLoad(cpu, signal + Signal.flags);
  if ((flags & SIGNAL_GROUP_COREDUMP) !== 0) return false;
  if ((flags & SIGNAL_GROUP_EXIT) !== 0) return true;
  // thread_group_empty: threads come and go as one looks.
  if (racyLoad(cpu, signal + Signal.nrThreads) > 1) return false;
  return ((yield* atomicLoad(cpu, task + Task.flags)) & PF_EXITING) !== 0;
}

/** `process_shares_mm`: the first of the process's threads that still has an mm has this one. The caller holds tasklist_lock. */
export function* processSharesMm(cpu: Cpu, process: number, mm: number): Steps<boolean> {
  const own = yield* atomicLoad(cpu, process + Task.mm);
  if (own !== 0) return own === mm;
  for (let index = 0; index < taskCount(cpu); index++) {
    const thread = taskAt(cpu, index);
    if (thread === process || !sameThreadGroup(cpu, thread, process)) continue;
    const other = yield* atomicLoad(cpu, thread + Task.mm);
    if (other !== 0) return other === mm;
  }
  return false;
}

/** The same for one thread. A glance without the other's task_lock: the caller holds the asked task's, and two do not nest. */
export function* sharesMm(cpu: Cpu, task: number, mm: number): Steps<boolean> {
  return load(cpu, task + Task.pid) !== 0 && (yield* atomicLoad(cpu, task + Task.mm)) === mm;
}
