/** What a teardown protocol is: how the dying victim and the reaper keep out of each other's way. */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import type { TraversalOrder } from "../../mm/traversal/order.ts";
import type { LogEra } from "../../trace/log-era.ts";
import type { KillerRules } from "../killer-rules.ts";

/** Both sides of one kernel version, in one file, so that their lock orders are read side by side. */
export interface Protocol {
  /** The first kernel release that has it: "v6.1". */
  readonly name: string;
  readonly commit: string;
  /** The problem it solved. */
  readonly solves: string;
  /** VMAS_IN_LIST before v6.1, VMAS_IN_TREE since. */
  readonly vmaStore: number;
  /** RULES_* of mmap_lock in that version. */
  readonly rwsemRules: number;
  /** Order in which its reaper walks. */
  readonly order: string;
  /** Whether that kernel has process_mrelease; without it a caller is a hypothetical one. */
  readonly hasMrelease: boolean;
  /** Whether its exit_mmap keeps such a caller out of tables that it frees even where the target is no OOM victim. */
  readonly mreleaseSafe: boolean;
  /** Delay between kill and reaping by the kthread, in emulated microseconds (OOM_REAPER_DELAY since v5.18). */
  readonly reaperDelayUs: number;
  /** How the OOM killer of that version chooses and waits. */
  readonly killer: KillerRules;
  /** How that version words its log lines, and which fields its tracepoints have. */
  readonly logEra: LogEra;
  /** Bugs of kernel-facts section 6 that it is known for. */
  readonly bugs: readonly string[];
  /** True for a mutation: a lock or check taken out to show what it is for. */
  readonly brokenOnPurpose: boolean;
  /** `exit_mmap` and the rest of `__mmput`: run once by whoever drops the last mm_users. */
  exitMmap(cpu: Cpu, mm: number): Steps<void>;
  /** One try of the kthread; false asks for another. The caller pins the struct of the mm. */
  oomReapTaskMm(cpu: Cpu, mm: number, order: TraversalOrder): Steps<boolean>;
  /** What process_mrelease does with an mm it found and pinned: 0 or a negative errno. */
  mreleaseMm(cpu: Cpu, mm: number, order: TraversalOrder): Steps<number>;
}

/** OOM_REAPER_DELAY: 2 * HZ. */
export const OOM_REAPER_DELAY_US = 2_000_000;
