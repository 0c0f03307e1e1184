/** The plainest race: one victim of VMAs of 2 MiB and nobody beside it. What rates and costs are measured on. */

import type { FrameOrder } from "../../machine/address-space.ts";
import { PTRS_PER_PTE } from "../../scenario/layout.ts";
import { buildLayout } from "../../scenario/layouts/index.ts";
import { RaceHost } from "../race-host.ts";
import type { BenchContext } from "./context.ts";

export const LONE_VICTIM_LAYOUT = "vmas-2m";

export interface LoneVictim {
  readonly pages: number;
  readonly frames: FrameOrder;
  readonly seed: number;
  /** Default v6.1. */
  readonly protocol?: string;
  /** Entries of the trace ring; default 0, no tracing. */
  readonly traceEvents?: number;
}

export function hostLoneVictim(context: BenchContext, victim: LoneVictim): RaceHost {
  const { pages, frames, seed, protocol = "v6.1", traceEvents = 0 } = victim;
  const vmas = Math.max(1, Math.floor(pages / PTRS_PER_PTE));
  return new RaceHost(context.kernel, {
    mappings: buildLayout(LONE_VICTIM_LAYOUT, { pages, vmas, seed }).vmas,
    levels: 4,
    frames,
    protocol,
    lockGranularity: "table",
    reaper: "none",
    allocators: 0,
    seed,
    traceEvents,
    lockOrder: false,
  });
}
