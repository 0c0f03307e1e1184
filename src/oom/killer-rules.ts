/** How the OOM killer of a kernel version scores, breaks ties and waits (mm/oom_kill.c, v4.9 to v6.18). */

export interface KillerRules {
  /** `schedule_timeout_killable(1)` after a kill with oom_lock held, until v4.18 (B15). */
  readonly sleepsUnderOomLock: boolean;
  /** Since v5.9 points are signed, and only an ineligible task has none; before, the least a task got was one point. */
  readonly signedBadness: boolean;
  /** Of two processes with equal points the one later on the list dies, since v5.9. */
  readonly equalPicksLater: boolean;
}

/** v4.9 to v4.18 */
export const KILLER_V4_9: KillerRules = { sleepsUnderOomLock: true, signedBadness: false, equalPicksLater: false };

/** v4.19 to v5.8 */
export const KILLER_V4_19: KillerRules = { sleepsUnderOomLock: false, signedBadness: false, equalPicksLater: false };

/** v5.9 and later */
export const KILLER_V5_9: KillerRules = { sleepsUnderOomLock: false, signedBadness: true, equalPicksLater: true };
