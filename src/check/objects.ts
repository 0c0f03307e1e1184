/** I1, I3: nothing outlives its address space, and nobody wrote to what was freed. */

import { POISON } from "../arena/mem.ts";
import type { Region } from "../arena/region.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import { MmGlobals } from "../mm/globals.ts";
import { describeSlabObject, Slab, SlabObject, slabInUse } from "../mm/slab.ts";
import { swapSlotsInUse } from "../mm/swap.ts";
import type { Invariant } from "./invariant.ts";

interface Pool {
  readonly what: string;
  readonly slab: number;
  readonly region: Region;
}

function poolsOf(map: MachineMap): readonly Pool[] {
  return [
    { what: "page tables", slab: map.root + MmGlobals.tables, region: map.tables },
    { what: "VMAs", slab: map.root + MmGlobals.vmas, region: map.vmas },
    { what: "maple tree nodes", slab: map.root + MmGlobals.nodes, region: map.nodes },
    { what: "anon_vmas", slab: map.root + MmGlobals.anonVmas, region: map.anonVmas },
    { what: "files", slab: map.root + MmGlobals.files, region: map.files },
    { what: "mms", slab: map.root + MmGlobals.mms, region: map.mms },
  ];
}

/** CHECKED builds fill freed objects; a word that is no longer POISON was written after the free. */
function overwritten(words: Int32Array, { slab, region }: Pool): string[] {
  const faults: string[] = [];
  const created = words[slab + Slab.created] as number;
  for (let i = 0; i < created; i++) {
    const object = region.base + i * region.struct.WORDS;
    const state = words[object + SlabObject.state] as number;
    if (state === 0 || (state & 1) !== 0) continue;
    if (!isPoison(words, object + SlabObject.WORDS, object + region.struct.WORDS)) {
      faults.push(`written after free: ${describeSlabObject(words, object)}`);
    }
  }
  return faults;
}

/** A loop of its own, as exploring asks it of every freed object after every execution. */
function isPoison(words: Int32Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (words[at] !== POISON) return false;
  return true;
}

export const useAfterFree: Invariant = {
  name: "I1",
  text: "no access to a freed page table, VMA, maple node or mm",
  watchedBy: "every access of a checked build (arena/mem)",
  check: (words, map) => (CHECKED ? poolsOf(map).flatMap((pool) => overwritten(words, pool)) : []),
};

export const nothingLeft: Invariant = {
  name: "I3",
  text: "an mm is freed with rss 0 and pgtables_bytes 0, and everything that belonged to it is freed too",
  watchedBy: "mmdrop",
  check(words, map) {
    const left = poolsOf(map).filter(({ slab }) => slabInUse(words, slab) !== 0);
    const faults = left.map(({ what, slab }) => `${slabInUse(words, slab)} ${what} were never freed`);
    const slots = swapSlotsInUse(words, map.root);
    if (slots !== 0) faults.push(`${slots} swap slots were never freed`);
    const committed = words[map.root + MmGlobals.committed] as number;
    return committed === 0 ? faults : [...faults, `vm_committed_as is ${committed}`];
  },
};
