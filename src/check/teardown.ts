/** I10, I11: nothing of a teardown is left open. */

import { POISON } from "../arena/mem.ts";
import { elementOf, type MachineMap } from "../machine/memory-map.ts";
import { CpuMm } from "../mm/cpu-mm.ts";
import { MmGlobals } from "../mm/globals.ts";
import { Mm } from "../mm/mm-struct.ts";
import { MmuGather } from "../mm/mmu-gather.ts";
import { Slab } from "../mm/slab.ts";
import type { Invariant } from "./invariant.ts";
import { cpuIds } from "./pages.ts";

/** Word addresses of the mms that ever were; freed ones keep their words in measured builds and are POISON in others. */
function mmsOf(words: Int32Array, map: MachineMap): number[] {
  const created = words[map.root + MmGlobals.mms + Slab.created] as number;
  const all = Array.from({ length: created }, (_, i) => elementOf(map.mms, i));
  return all.filter((mm) => words[mm + Mm.mmUsers] !== POISON);
}

export const reaperLetGo: Invariant = {
  name: "I10",
  text: "after exit_mmap the reaper holds nothing of the mm but mm_count",
  check(words, map) {
    const open = cpuIds(map).filter((id) => words[elementOf(map.cpuMm, id) + CpuMm.gather + MmuGather.mm] !== 0);
    const used = mmsOf(words, map).filter((mm) => words[mm + Mm.mmUsers] !== 0 || words[mm + Mm.mmCount] !== 0);
    return [
      ...open.map((id) => `CPU ${id} has a gather open`),
      ...used.map((mm) => `mm_users ${words[mm + Mm.mmUsers]}, mm_count ${words[mm + Mm.mmCount]} after teardown`),
    ];
  },
};

export const flushesDone: Invariant = {
  name: "I11",
  text: "tlb_flush_pending is 0 when nobody unmaps",
  check(words, map) {
    const pending = mmsOf(words, map).filter((mm) => words[mm + Mm.tlbFlushPending] !== 0);
    return pending.map((mm) => `tlb_flush_pending is ${words[mm + Mm.tlbFlushPending]}`);
  },
};
