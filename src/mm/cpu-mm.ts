/** What the memory manager keeps per CPU. Only its own CPU writes it, except the TLB's shared words. */

import type { Cpu } from "../arena/cpu.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { addNs } from "../sync/cpu-sync.ts";
import { MaState } from "./maple-tree/index.ts";
import { NR_MM_COUNTERS } from "./mm-struct.ts";
import { MmuGather } from "./mmu-gather.ts";
import { CpuPcp } from "./pcp.ts";
import { CpuTlb } from "./tlb.ts";
import { Cursor } from "./traversal/cursor.ts";

export const CpuMm = struct(
  "cpuMm",
  {
    /** First, because the page allocator finds it at `cpu.mm`. */
    pcp: CpuPcp,
    tlb: CpuTlb,
    gather: MmuGather,
    /** Position of a walk over VMAs (`vma-iter`). */
    walk: { words: MaState.WORDS, align: CACHE_PAIR },
    cursor: Cursor,
    /** PTEs left until the next tick asks for a reschedule. */
    reschedIn: { words: 1, align: CACHE_PAIR },
    /** What the zap under way took from the mm's counters besides the pages of its innermost loop. */
    zapRss: NR_MM_COUNTERS,
    /** PTEs this CPU cleared, tables it zapped in, and times it broke off for a reschedule. */
    ptesZapped: 1,
    tablesZapped: 1,
    resched: 1,
    /** Clock (two words, nanoseconds) when this CPU left its last VMA. */
    leftLastVmaNs: 2,
    /** Clock when exit_mmap returned, or the reaping call did. */
    finishedNs: 2,
  },
  CACHE_PAIR,
);

/** Adds to a per-CPU counter; plain, because only this CPU writes it. */
export function count(cpu: Cpu, field: number, by = 1): void {
  const at = cpu.mm + field;
  cpu.words[at] = ((cpu.words[at] as number) + by) | 0;
}

/** Stamps one of the clock fields with `ns`. */
export function stamp(cpu: Cpu, field: number, ns: number): void {
  cpu.words[cpu.mm + field] = 0;
  cpu.words[cpu.mm + field + 1] = 0;
  addNs(cpu.words, cpu.mm + field, ns);
}
