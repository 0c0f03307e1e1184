/* Flushing the modelled TLBs (src/mm/tlb.ts). No thread of the twin touches user memory, so no flush has to wait. */

#include "twin.h"

static Addr tlbOf(const Cpu *cpu, int32_t id) { return cpu->tlb + (id - cpu->id) * cpu->mmStride; }

static void flushTlbMm(const Cpu *cpu, Addr mm) {
  bump(cpu, cpu->tlb + CpuTlb_flushes, 1);
  uint32_t mask = (uint32_t)atomicLoad(cpu, mm + Mm_cpumask);
  while (mask != 0) {
    int32_t id = highestBit((int32_t)mask);
    mask &= ~(1u << id);
    Addr tlb = tlbOf(cpu, id);
    fetchAdd(cpu, tlb + CpuTlb_generation, 1);
    if (id == cpu->id) continue;
    bump(cpu, cpu->tlb + CpuTlb_remoteFlushes, 1);
    if ((atomicLoad(cpu, tlb + CpuTlb_accessSeq) & 1) != 0) fault("flushTlbMm: a CPU is in a user access");
  }
}
