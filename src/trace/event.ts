/**
 * What can be traced. Where the kernel has a tracepoint the event has its name, its group and its fields, those of group
 * "oom" all of them, of the others the first (include/trace/events/{oom,mmap_lock,lock,tlb,sched,signal}.h; v6.18). The
 * group "printk" is what the kernel prints, as data: one event for each thing that is said (mm/oom_kill.c, kernel/panic.c),
 * to be worded outside. The rest belongs to the group "oomrace".
 */

import { TASK_COMM_WORDS } from "./comm.ts";
import type { LogEra } from "./log-era.ts";

export interface TraceField {
  /** As the kernel spells it. */
  readonly name: string;
  /** A size counts from 0 to 2^32 - 1. */
  readonly kind: "int" | "size" | "comm";
  /** Words that it takes of the record. */
  readonly words: number;
  /** Kernels before this one do not have the field. */
  readonly since: LogEra | undefined;
}

export interface TraceEvent {
  /** As the kernel spells it. */
  readonly name: string;
  readonly group: string;
  readonly fields: readonly TraceField[];
  /** Words of all fields. */
  readonly words: number;
}

const events: TraceEvent[] = [];

function int(name: string, since?: LogEra): TraceField {
  return { name, kind: "int", words: 1, since };
}

function size(name: string, since?: LogEra): TraceField {
  return { name, kind: "size", words: 1, since };
}

function comm(name: string, since?: LogEra): TraceField {
  return { name, kind: "comm", words: TASK_COMM_WORDS, since };
}

/** Declares an event; a bare name is a field of one word. */
function event(group: string, name: string, ...fields: readonly (string | TraceField)[]): number {
  const all = fields.map((field) => (typeof field === "string" ? int(field) : field));
  return events.push({ group, name, fields: all, words: all.reduce((sum, { words }) => sum + words, 0) }) - 1;
}

/** Never recorded: a ring entry of this number was not written. */
export const TRACE_NONE = event("oomrace", "none");
/** A ring entry that holds further words of the record before it. Never a record of its own. */
export const TRACE_MORE = event("oomrace", "more");

/** Sizes in KiB. */
export const MARK_VICTIM = event(
  "oom",
  "mark_victim",
  "pid",
  comm("comm", "v6.8"),
  size("total_vm", "v6.8"),
  size("anon_rss", "v6.8"),
  size("file_rss", "v6.8"),
  size("shmem_rss", "v6.8"),
  int("uid", "v6.8"),
  size("pgtables", "v6.8"),
  int("oom_score_adj", "v6.8"),
);
export const OOM_SCORE_ADJ_UPDATE = event("oom", "oom_score_adj_update", "pid", comm("comm"), "oom_score_adj");
export const RECLAIM_RETRY_ZONE = event(
  "oom",
  "reclaim_retry_zone",
  "node",
  "zone_idx",
  "order",
  "reclaimable",
  "available",
  "min_wmark",
  "no_progress_loops",
  "wmark_check",
);
export const WAKE_REAPER = event("oom", "wake_reaper", "pid");
export const START_TASK_REAPING = event("oom", "start_task_reaping", "pid");
export const FINISH_TASK_REAPING = event("oom", "finish_task_reaping", "pid");
export const SKIP_TASK_REAPING = event("oom", "skip_task_reaping", "pid");

export const MMAP_LOCK_START_LOCKING = event("mmap_lock", "mmap_lock_start_locking", "mm", "write");
export const MMAP_LOCK_ACQUIRE_RETURNED = event("mmap_lock", "mmap_lock_acquire_returned", "mm", "success");
export const MMAP_LOCK_RELEASED = event("mmap_lock", "mmap_lock_released", "mm", "write");

export const CONTENTION_BEGIN = event("lock", "contention_begin", "lock", "class");
export const CONTENTION_END = event("lock", "contention_end", "class", "granted");
export const TLB_FLUSH = event("tlb", "tlb_flush", "mm", "cpus");
export const SCHED_PROCESS_EXIT = event("sched", "sched_process_exit", "pid", comm("comm"));
export const SIGNAL_GENERATE = event("signal", "signal_generate", "sig", comm("comm"), "pid");

/** What kind of shortage it is: the kernel's oom_constraint, masks of nodes, numbers of groups (0 is the root, or none). */
const DOMAIN = ["constraint", "nodemask", "cpuset", "mems_allowed", "oom_memcg"];

/** "... invoked oom-killer": who, and what could not be had. `gfp_mask` in the emulated kernel's own numbers. */
export const OOM_INVOKED = event(
  "printk",
  "oom_invoked",
  "gfp_mask",
  "order",
  comm("comm"),
  "oom_score_adj",
  ...DOMAIN,
);
/** A zone in the memory report; pages, and free blocks by order. */
export const OOM_ZONE = event(
  "printk",
  "oom_zone",
  "node",
  "zone_idx",
  "free",
  "min",
  "low",
  "high",
  "managed",
  ...Array.from({ length: 11 }, (_, order) => `order${order}`),
);
/** The end of the memory report: all page frames, those outside any zone included. The task table begins after it. */
export const OOM_PAGES = event("printk", "oom_pages", "ram");
/** A line of the task table. Pages, unless the name says bytes; page tables too. */
export const OOM_TASK = event(
  "printk",
  "oom_task",
  "pid",
  "uid",
  "tgid",
  "total_vm",
  "rss_anon",
  "rss_file",
  "rss_shmem",
  "nr_ptes",
  "nr_pmds",
  size("pgtables_bytes"),
  "swapents",
  "oom_score_adj",
  comm("comm"),
);
/** The choice. `score` is its share of the domain, in thousandths. */
export const OOM_VICTIM = event(
  "printk",
  "oom_victim",
  "message",
  "pid",
  "uid",
  comm("comm"),
  "score",
  "task_memcg",
  ...DOMAIN,
);
/** "Killed process": sizes in KiB. */
export const OOM_KILLED = event(
  "printk",
  "oom_killed",
  "message",
  "pid",
  comm("comm"),
  size("total_vm"),
  size("anon_rss"),
  size("file_rss"),
  size("shmem_rss"),
  "uid",
  size("pgtables"),
  "oom_score_adj",
);
/** It let go of its mm before it could be killed. */
export const OOM_EXITING = event("printk", "oom_exiting", "message", "pid", comm("comm"));
/** Somebody who must not be killed shares the victim's mm. */
export const OOM_PINNED = event("printk", "oom_pinned", "pid", comm("comm"), "by_pid", comm("by_comm"));
/** Nobody is left to kill; `panics` unless somebody only asked (sysrq). */
export const OOM_NOBODY = event("printk", "oom_nobody", "panics");
/** What the reaper left: KiB. */
export const OOM_REAPED = event(
  "printk",
  "oom_reaped",
  "pid",
  comm("comm"),
  size("anon_rss"),
  size("file_rss"),
  size("shmem_rss"),
);
/** The reaper gave up. `oom_skip`: the victim had meanwhile come through by itself. */
export const OOM_UNABLE_TO_REAP = event("printk", "oom_unable_to_reap", "pid", comm("comm"), "oom_skip");
export const OOM_KILLER_SWITCHED = event("printk", "oom_killer_switched", "enabled");
export const KERNEL_PANIC = event("printk", "kernel_panic", "reason");

export const ZAP_BEGIN = event("oomrace", "zap_begin", "mm", "vma");
export const ZAP_END = event("oomrace", "zap_end", "mm", "vma");
export const MM_PAGES_FREED = event("oomrace", "mm_pages_freed", "mm", "pages");
export const MMF_FLAG_SET = event("oomrace", "mmf_flag_set", "mm", "flag");
export const ALLOC_STALL_BEGIN = event("oomrace", "alloc_stall_begin", "order", "allocated");
export const ALLOC_STALL_END = event("oomrace", "alloc_stall_end", "order", "allocated");

/** All events, by number. */
export const TRACE_EVENTS: readonly TraceEvent[] = events;
