/** The handle of a CPU that has locks and nothing else: a user's own buffer, torture workers, tests. */

import type { Cpu, Port } from "../arena/cpu.ts";
import { InternalFault } from "../base/errors.ts";
import { CpuSync } from "./cpu-sync.ts";

/** `syncBase`: word address of the `CpuSync` of CPU 0; those of the others follow it. */
export function syncCpu(words: Int32Array, syncBase: number, id: number, port: Port): Cpu {
  return {
    words,
    id,
    port,
    sync: syncBase + id * CpuSync.WORDS,
    syncBase,
    syncStride: CpuSync.WORDS,
    lockOrder: 0,
    trace: 0,
    machine: 0,
    mm: 0,
    mmStride: 0,
    tlb: 0,
    gather: 0,
    upcalls: {
      *outOfMemory() {
        throw new InternalFault("outOfMemory: a CPU with locks only allocates nothing");
      },
      *memcgOutOfMemory() {
        throw new InternalFault("memcgOutOfMemory: a CPU with locks only charges nothing");
      },
      *currentIsVictim() {
        return false;
      },
      *exitMmap() {
        throw new InternalFault("exitMmap: a CPU with locks only has no mm");
      },
    },
  };
}
