/** I2, I4: every page is in exactly one place, and no CPU can reach a free one. */

import { Violation } from "../base/errors.ts";
import { elementOf, type MachineMap } from "../machine/memory-map.ts";
import { CpuMm } from "../mm/cpu-mm.ts";
import { checkPageAccounting, pageIsFree } from "../mm/page-check.ts";
import { CpuTlb, TLB_ENTRIES, TlbEntry } from "../mm/tlb.ts";
import type { Invariant } from "./invariant.ts";

/** Numbers of all CPUs. */
export function cpuIds(map: MachineMap): number[] {
  return Array.from({ length: map.shape.cpus }, (_, id) => id);
}

export const pageAccounting: Invariant = {
  name: "I2",
  text: "each page is freed once, no count goes below zero, and free, listed and used pages add up",
  watchedBy: "every put and every rmap removal, in all builds",
  check(words, map) {
    try {
      const cpuPcps = cpuIds(map).map((id) => elementOf(map.cpuMm, id));
      const { allocated } = checkPageAccounting(words, map.root, cpuPcps);
      return allocated === 0 ? [] : [`${allocated} pages are still in use`];
    } catch (error) {
      if (error instanceof Violation) return [error.message.replace(/^I2: /, "")];
      throw error;
    }
  },
};

/** Adds the live translations of one CPU that lead to a free page. A loop, as some cases ask it after every step. */
function addStaleEntries(words: Int32Array, map: MachineMap, id: number, stale: string[]): void {
  const tlb = elementOf(map.cpuMm, id) + CpuMm.tlb;
  const generation = words[tlb + CpuTlb.generation] as number;
  for (let i = 0; i < TLB_ENTRIES; i++) {
    const entry = tlb + CpuTlb.entries + i * TlbEntry.WORDS;
    if (words[entry + TlbEntry.generation] !== generation) continue;
    const pfn = words[entry + TlbEntry.pfn] as number;
    if (pageIsFree(words, map.root, pfn)) stale.push(`CPU ${id} still translates to page ${pfn}, which is free`);
  }
}

export const noStaleTranslation: Invariant = {
  name: "I4",
  text: "no CPU holds a live translation to a free page",
  check(words, map) {
    const stale: string[] = [];
    for (let id = 0; id < map.shape.cpus; id++) addStaleEntries(words, map, id, stale);
    return stale;
  },
};
