/**
 * How the OOM killer of a kernel version scores, scans and kills (mm/oom_kill.c, v4.6 to v6.18): each set of rules is the
 * one before it and what changed.
 */

/**
 * What the scan asks of a process that was killed before: whether one of its threads has TIF_MEMDIE ("memdie"; "memdie or
 * hidden" passes over those whose mm the reaper has given up), or, long after those are gone, what became of
 * `signal->oom_mm` ("oom_mm").
 */
export type VictimScan = "memdie" | "memdie or hidden" | "oom_mm";

/**
 * Of those who share the victim's mm, who lives and what that means: "spare": kernel threads, the global init and
 * oom_score_adj -1000, and then nothing is reaped; "hide": the first two, and then the mm is hidden, too; "reap": the
 * first two, but only init keeps the mm from being reaped.
 */
export type SharerRules = "spare" | "hide" | "reap";

export interface KillerRules {
  readonly victimScan: VictimScan;
  readonly sharers: SharerRules;
  /** Who calls with a fatal signal pending is let go on, whatever its mm's other users do. */
  readonly killedCallerGoesOn: boolean;
  /** The memory of a process that was found dying is reaped, as that of a killed one. */
  readonly reapsDying: boolean;
  /** An mm that is hidden has no points. */
  readonly knowsHidden: boolean;
  /** Nor has a child in vfork, whose memory is its parent's. */
  readonly skipsVfork: boolean;
  /** CAP_SYS_ADMIN takes 3 % off the pages that count. */
  readonly adminBonus: boolean;
  /** The chosen process's worst child with an mm of its own dies in its place. */
  readonly sacrificesChild: boolean;
  /** `schedule_timeout_killable(1)` after a kill with oom_lock held (B15). */
  readonly sleepsUnderOomLock: boolean;
  /** Points are signed, and only an ineligible task has none; else the least a task gets is one point. */
  readonly signedBadness: boolean;
  /** Of two processes with equal points the one later on the list dies. */
  readonly equalPicksLater: boolean;
  /** Where a memory group is short, its members count only if their cpusets share a node with the caller's. */
  readonly memcgAsksCpusets: boolean;
  /** MPOL_INTERLEAVE keeps a task out of other nodes' shortages, as MPOL_BIND does. */
  readonly interleaveBinds: boolean;
  /** Dying tasks may exceed their memory group's limit; else their charge fails once the killer had its turn. */
  readonly dyingExceedLimit: boolean;
  /** The victim's whole process is thawed, not just the thread that was marked (59d4d36158ba). */
  readonly thawsProcess: boolean;
}

/** v4.6 */
export const KILLER_V4_6: KillerRules = {
  victimScan: "memdie",
  sharers: "spare",
  killedCallerGoesOn: true,
  reapsDying: false,
  knowsHidden: false,
  skipsVfork: false,
  adminBonus: true,
  sacrificesChild: true,
  sleepsUnderOomLock: true,
  signedBadness: false,
  equalPicksLater: false,
  memcgAsksCpusets: true,
  interleaveBinds: true,
  dyingExceedLimit: true,
  thawsProcess: false,
};

/** v4.7 */
export const KILLER_V4_7: KillerRules = { ...KILLER_V4_6, reapsDying: true, knowsHidden: true, equalPicksLater: true };

/** v4.8 */
export const KILLER_V4_8: KillerRules = {
  ...KILLER_V4_7,
  victimScan: "memdie or hidden",
  sharers: "hide",
  killedCallerGoesOn: false,
  skipsVfork: true,
};

/** v4.9 to v4.16 */
export const KILLER_V4_9: KillerRules = {
  ...KILLER_V4_8,
  victimScan: "oom_mm",
  sharers: "reap",
  equalPicksLater: false,
};

/** v4.17 and v4.18 (d46078b28889) */
export const KILLER_V4_17: KillerRules = { ...KILLER_V4_9, adminBonus: false };

/** v4.19 to v5.0 (9bfe5ded054b) */
export const KILLER_V4_19: KillerRules = { ...KILLER_V4_17, sleepsUnderOomLock: false };

/** v5.1 and v5.2 (bbbe48029720) */
export const KILLER_V5_1: KillerRules = { ...KILLER_V4_19, sacrificesChild: false };

/** v5.3 to v5.8 */
export const KILLER_V5_3: KillerRules = { ...KILLER_V5_1, memcgAsksCpusets: false };

/** v5.9 to v5.13 */
export const KILLER_V5_9: KillerRules = { ...KILLER_V5_3, signedBadness: true, equalPicksLater: true };

/** v5.14 and v5.15 */
export const KILLER_V5_14: KillerRules = { ...KILLER_V5_9, interleaveBinds: false };

/** v5.16 to v6.17 */
export const KILLER_V5_16: KillerRules = { ...KILLER_V5_14, dyingExceedLimit: false };

/** v6.18 */
export const KILLER_V6_18: KillerRules = { ...KILLER_V5_16, thawsProcess: true };
