/**
 * The forced engine: the gated build on real worker threads, real parking included, that takes its turns in the
 * order of a schedule. The same outcome as from `interleaved` proves that a schedule is no artefact of stepping.
 */

import { UsageError } from "../base/errors.ts";
import { deadlockReport } from "../explore/deadlock-report.ts";
import { endByError, type Outcome } from "../explore/outcome.ts";
import type { Schedule } from "../explore/schedule.ts";
import type { SyncPlace } from "../explore/wait-for.ts";
import type { CpuReply, PlainRecord } from "./messages.ts";
import { StallClock } from "./stall-clock.ts";
import {
  TURNS_DEADLOCK,
  TURNS_ENDED,
  TURNS_FAILED,
  TURNS_FINISHED,
  TURNS_IMPOSSIBLE,
  TURNS_LIVELOCK,
  TURNS_STOPPED,
  TurnTable,
} from "./turn-table.ts";
import { HangError } from "./watchdog.ts";
import { WorkerLink } from "./worker-link.ts";

export interface ForcedOptions {
  /** Built worker entry of the gated variant: "worker-forced.js" of `dist/`. */
  readonly worker: URL;
  readonly arena: SharedArrayBuffer;
  readonly machine: unknown;
  /** URLs of built modules that bring more roles. */
  readonly modules?: readonly string[];
  /** For the deadlock report. */
  readonly sync?: SyncPlace;
}
