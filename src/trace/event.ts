/**
 * What can be traced. Where the kernel has a tracepoint the event has its name, group and first fields
 * (include/trace/events/{oom,mmap_lock,lock,tlb,sched,signal}.h); the rest belongs to the group "oomrace".
 */

export interface TraceEvent {
  /** As the kernel spells it. */
  readonly name: string;
  readonly group: string;
  /** What the two operands hold; "" for an operand that is not used. */
  readonly a: string;
  readonly b: string;
}

const events: TraceEvent[] = [];

function event(group: string, name: string, a = "", b = ""): number {
  return events.push({ group, name, a, b }) - 1;
}

/** Never recorded: a ring entry of this number was not written. */
export const TRACE_NONE = event("oomrace", "none");

export const MARK_VICTIM = event("oom", "mark_victim", "pid", "total_vm");
export const OOM_SCORE_ADJ_UPDATE = event("oom", "oom_score_adj_update", "pid", "oom_score_adj");
export const WAKE_REAPER = event("oom", "wake_reaper", "pid");
export const START_TASK_REAPING = event("oom", "start_task_reaping", "mm");
export const FINISH_TASK_REAPING = event("oom", "finish_task_reaping", "mm");
export const SKIP_TASK_REAPING = event("oom", "skip_task_reaping", "mm");

export const MMAP_LOCK_START_LOCKING = event("mmap_lock", "mmap_lock_start_locking", "mm", "write");
export const MMAP_LOCK_ACQUIRE_RETURNED = event("mmap_lock", "mmap_lock_acquire_returned", "mm", "success");
export const MMAP_LOCK_RELEASED = event("mmap_lock", "mmap_lock_released", "mm", "write");

export const CONTENTION_BEGIN = event("lock", "contention_begin", "lock", "class");
export const CONTENTION_END = event("lock", "contention_end", "class", "granted");
export const TLB_FLUSH = event("tlb", "tlb_flush", "mm", "cpus");
export const SCHED_PROCESS_EXIT = event("sched", "sched_process_exit", "pid");
export const SIGNAL_GENERATE = event("signal", "signal_generate", "pid", "sig");

export const ZAP_BEGIN = event("oomrace", "zap_begin", "mm", "vma");
export const ZAP_END = event("oomrace", "zap_end", "mm", "vma");
export const MM_PAGES_FREED = event("oomrace", "mm_pages_freed", "mm", "pages");
export const MMF_FLAG_SET = event("oomrace", "mmf_flag_set", "mm", "flag");
export const ALLOC_STALL_BEGIN = event("oomrace", "alloc_stall_begin", "order", "allocated");
export const ALLOC_STALL_END = event("oomrace", "alloc_stall_end", "order", "allocated");

/** All events, by number. */
export const TRACE_EVENTS: readonly TraceEvent[] = events;
