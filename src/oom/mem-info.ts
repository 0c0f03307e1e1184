/** The memory report of the OOM killer (mm/show_mem.c: __show_mem, v6.18), as far as there is something to report. */

import type { Cpu } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { freeArea } from "../mm/buddy.ts";
import { MAX_PAGE_ORDER, PageGlobals } from "../mm/page.ts";
import { FreeArea, Zone, zoneIndex } from "../mm/zone.ts";
import { OOM_PAGES, OOM_ZONE } from "../trace/event.ts";
import { trace, traceWords } from "../trace/ring.ts";

/** Word addresses of all zones. */
function zonesOf(cpu: Cpu): number[] {
  const base = load(cpu, cpu.machine + PageGlobals.zonesBase);
  return Array.from({ length: load(cpu, cpu.machine + PageGlobals.zoneCount) }, (_, i) => base + i * Zone.WORDS);
}

/** A record for each zone, and one for the end. The CPU has a trace ring. */
export function logMemInfo(cpu: Cpu): void {
  const word = (at: number): number => cpu.words[at] as number;
  for (const zone of zonesOf(cpu)) {
    traceWords(cpu, OOM_ZONE, [
      word(zone + Zone.node),
      zoneIndex(cpu, zone),
      word(zone + Zone.nrFreePages),
      word(zone + Zone.watermarkMin),
      word(zone + Zone.watermarkLow),
      word(zone + Zone.watermarkHigh),
      word(zone + Zone.managedPages),
      ...Array.from({ length: MAX_PAGE_ORDER + 1 }, (_, order) => word(freeArea(zone, order) + FreeArea.nrFree)),
    ]);
  }
  trace(cpu, OOM_PAGES, load(cpu, cpu.machine + PageGlobals.frameCount), 0);
}
