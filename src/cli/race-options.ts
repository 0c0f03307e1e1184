/** Options about who races, the same in every command that runs kills. */

import { type Command, Option } from "commander";
import { UsageError } from "../base/errors.ts";
import { REAPERS, type Reaper } from "../machine/race.ts";
import { LOCK_GRANULARITIES, type LockGranularity } from "../machine/shape.ts";
import { MAX_ALLOCATORS, MAX_REAPERS } from "../run/race-host.ts";
import { oneOf, share, wholeNumber } from "./options.ts";

/** As commander hands them over. */
export interface ActorFlags {
  readonly reaper: Reaper;
  readonly reapers: number;
  readonly victimSpeed: number;
  readonly reaperSpeed: number;
  readonly lockGranularity: LockGranularity;
  readonly allocators: number;
}

/** Long flags, for the help page. */
export const ACTOR_OPTIONS = [
  "--reaper",
  "--reapers",
  "--victim-speed",
  "--reaper-speed",
  "--lock-granularity",
  "--allocators",
] as const;

export function addActorOptions(command: Command): void {
  command
    .addOption(
      new Option("--reaper <who>", `who reaps: ${REAPERS.join(", ")}`)
        .argParser(oneOf("--reaper", REAPERS))
        .default("mrelease", "mrelease"),
    )
    .option("--reapers <n>", "threads that call process_mrelease", wholeNumber("--reapers", 1, MAX_REAPERS), 1)
    .option("--victim-speed <share>", "speed of the victim's CPU: 0.5 is a little core", share("--victim-speed"), 1)
    .option("--reaper-speed <share>", "speed of the reapers' CPUs", share("--reaper-speed"), 1)
    .addOption(
      new Option("--lock-granularity <unit>", `one PTE lock per ${LOCK_GRANULARITIES.join(", ")}`)
        .argParser(oneOf("--lock-granularity", LOCK_GRANULARITIES))
        .default("table", "table"),
    )
    .option(
      "--allocators <n>",
      "CPUs that allocate meanwhile, stalling on watermarks",
      wholeNumber("--allocators", 0, MAX_ALLOCATORS),
      0,
    );
}

/** Throws UsageError for options that cannot go together; `order` tells whether the user gave one. */
export function checkActors({ reaper, reapers }: ActorFlags, order: boolean): void {
  if (reaper === "none" && order) {
    throw new UsageError("--order with --reaper none: expected no order where nobody reaps");
  }
  if (reaper !== "mrelease" && reapers > 1) {
    throw new UsageError(`--reapers ${reapers} with --reaper ${reaper}: expected --reaper mrelease for several`);
  }
}

export function actorsOf(flags: ActorFlags): ActorFlags {
  const { reaper, reapers, victimSpeed, reaperSpeed, lockGranularity, allocators } = flags;
  return { reaper, reapers, victimSpeed, reaperSpeed, lockGranularity, allocators };
}
