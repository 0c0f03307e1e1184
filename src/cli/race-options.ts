/** Options about who races, the same in every command that runs kills. */

import { type Command, Option } from "commander";
import { UsageError } from "../base/errors.ts";
import { REAPERS } from "../machine/race.ts";
import { LOCK_GRANULARITIES } from "../machine/shape.ts";
import { TRAVERSAL_ORDERS } from "../mm/traversal/index.ts";
import { PROTOCOLS } from "../oom/protocols/index.ts";
import type { Actors } from "../run/actors.ts";
import { MAX_ALLOCATORS, MAX_REAPERS } from "../run/race-host.ts";
import { oneOf, positiveNumber, share, wholeNumber } from "./options.ts";
import { parseChoice } from "./variants.ts";

export const protocolNames = PROTOCOLS.map(({ name }) => name);
export const orderNames = TRAVERSAL_ORDERS.map(({ name }) => name);

const DEFAULT_PROTOCOL = "v6.1";

/** Long flags, for the help page. */
export const ACTOR_OPTIONS = [
  "--reaper",
  "--reapers",
  "--victim-speed",
  "--reaper-speed",
  "--lock-granularity",
  "--allocators",
] as const;

export function addProtocolOption(command: Command): void {
  command.addOption(
    new Option("--protocol <name|file>", `teardown protocol: ${protocolNames.join(", ")}, or a file`)
      .argParser(parseChoice("--protocol", protocolNames))
      .default({ kind: "listed", name: DEFAULT_PROTOCOL }, DEFAULT_PROTOCOL),
  );
}

/** How long a kernel second lasts. */
export function addHzOption(command: Command): void {
  command.option(
    "--hz <rate>",
    "kernel seconds in a real second (default: as many as let both unmap equally much)",
    positiveNumber("--hz"),
  );
}

/** `allocators`: how many there are at least, and unless told otherwise. */
export function addActorOptions(command: Command, allocators = 0): void {
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
      wholeNumber("--allocators", allocators, MAX_ALLOCATORS),
      allocators,
    );
}

/** Throws UsageError for options that cannot go together; `order` tells whether the user gave one. */
export function checkActors({ reaper, reapers }: Actors, order: boolean): void {
  if (reaper === "none" && order) {
    throw new UsageError("--order with --reaper none: expected no order where nobody reaps");
  }
  if (reaper !== "mrelease" && reapers > 1) {
    throw new UsageError(`--reapers ${reapers} with --reaper ${reaper}: expected --reaper mrelease for several`);
  }
}
