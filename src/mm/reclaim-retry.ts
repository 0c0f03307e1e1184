/**
 * The tracepoint of should_reclaim_retry (mm/page_alloc.c, v6.18). With nothing to reclaim that function has nothing to
 * decide here, but whoever watches an allocation stall looks for what it says about each zone.
 */

import type { Cpu } from "../arena/cpu.ts";
import { RECLAIM_RETRY_ZONE } from "../trace/event.ts";
import { traceWords } from "../trace/ring.ts";
import { PageGlobals } from "./page.ts";
import { ALLOC_WMARK_MASK, reducedMark, Zone, zoneIndex } from "./zone.ts";

/** Pages that reclaim could still get. */
const RECLAIMABLE = 0;
/** Rounds without progress: one is enough to see that there will be none. */
const NO_PROGRESS_LOOPS = 1;

/** A record for each zone. Glances, no scheduling points. */
export function traceReclaimRetry(cpu: Cpu, order: number, allocFlags: number): void {
  if (cpu.trace === 0) return;
  const word = (at: number): number => cpu.words[at] as number;
  const zones = word(cpu.machine + PageGlobals.zonesBase);
  for (let i = 0; i < word(cpu.machine + PageGlobals.zoneCount); i++) {
    const zone = zones + i * Zone.WORDS;
    const free = word(zone + Zone.nrFreePages);
    const min = word(zone + Zone.watermarkMin);
    const needed = reducedMark(min, allocFlags & ~ALLOC_WMARK_MASK) + word(zone + Zone.lowmemReserve);
    const block = order === 0 || word(zone + Zone.nonEmptyOrders) >>> order !== 0;
    traceWords(cpu, RECLAIM_RETRY_ZONE, [
      word(zone + Zone.node),
      zoneIndex(cpu, zone),
      order,
      RECLAIMABLE,
      free + RECLAIMABLE,
      min,
      NO_PROGRESS_LOOPS,
      block && free - ((1 << order) - 1) > needed ? 1 : 0,
    ]);
  }
}
