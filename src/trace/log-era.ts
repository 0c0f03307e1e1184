/**
 * Kernels whose log lines or tracepoints differ, each by the first release that is known to have its kind
 * (mm/oom_kill.c, mm/page_alloc.c, include/trace/events/oom.h, include/linux/gfp.h):
 *
 * - v4.13: the task table counts nr_ptes and nr_pmds;
 * - v4.15: it has pgtables_bytes;
 * - v5.12: one `oom-kill:` line names the choice (since v5.0), "Killed process" tells all (v5.1 to v5.5), GFP flags have
 *   their present numbers, zones a boost;
 * - v6.8: the task table splits rss by kind, mark_victim has all its fields.
 */

export const LOG_ERAS = ["v4.13", "v4.15", "v5.12", "v6.8"] as const;
export type LogEra = (typeof LOG_ERAS)[number];

/** Whether a kernel of `era` has what came with `first`. */
export function eraHas(era: LogEra, first: LogEra): boolean {
  return LOG_ERAS.indexOf(era) >= LOG_ERAS.indexOf(first);
}
