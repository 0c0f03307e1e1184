/**
 * Allocating many single pages at once (mm/page_alloc.c: __alloc_pages_bulk, v6.1): one look at the watermark, then
 * what this CPU's list holds. Never refills the list and never waits: for more, the caller allocates a page by itself.
 *
 * Thread safety: as `page-alloc`.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { currentHasPolicy, isNuma } from "./mempolicy.ts";
import { PageGlobals } from "./page.ts";
import { prepNewPage } from "./page-alloc.ts";
import { CpuPcp, cpuPcp, zonePcp } from "./pcp.ts";
import { takeListed } from "./pcp-alloc.ts";
import { ALLOC_WMARK_LOW, wmarkPages, Zone, zoneWatermarkOk } from "./zone.ts";

/**
 * `alloc_pages_bulk_array`: writes up to `most` pfns to `to` from `at` on and returns how many, 0 when the list is
 * empty, memory low, or the current task held to some of several nodes. They are the pages that as many calls of `allocPages` would return, in their order.
 */
export function* allocPagesBulk(cpu: Cpu, to: Int32Array, at: number, most: number): Steps<number> {
  const words = cpu.words;
  if (isNuma(cpu) && (yield* currentHasPolicy(cpu))) return 0;
  const zones = words[cpu.machine + PageGlobals.zonesBase] as number;
  const here = words[cpuPcp(cpu) + CpuPcp.node] as number;
  for (let i = (words[cpu.machine + PageGlobals.zoneCount] as number) - 1; i >= 0; i--) {
    const zone = zones + i * Zone.WORDS;
    if (words[zone + Zone.node] !== here) continue;
    const mark = wmarkPages(cpu, zone, ALLOC_WMARK_LOW);
    if (!(yield* zoneWatermarkOk(cpu, zone, 0, mark, ALLOC_WMARK_LOW))) continue;
    const taken = takeListed(words, zonePcp(cpu, i), to, at, most);
    for (let k = at; k < at + taken; k++) prepNewPage(cpu, to[k] as number, 0);
    return taken;
  }
  return 0;
}
