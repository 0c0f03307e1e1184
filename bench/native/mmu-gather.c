/* Collecting pages between clearing their PTEs and freeing them (src/mm/mmu-gather.ts). The loop frees no tables. */

#include "twin.h"

static void tlbGatherMmu(const Cpu *cpu, Addr mm) {
  Addr tlb = cpu->gather;
  if (load(cpu, tlb + MmuGather_mm) != 0) fault("tlbGatherMmu: a gather is open");
  store(cpu, tlb + MmuGather_mm, (int32_t)mm);
  store(cpu, tlb + MmuGather_used, 0);
  store(cpu, tlb + MmuGather_capacity, MMU_GATHER_BUNDLE);
  store(cpu, tlb + MmuGather_needFlush, 0);
  store(cpu, tlb + MmuGather_tables, 0);
  fetchAdd(cpu, mm + Mm_tlbFlushPending, 1);
}

static bool tlbNextBatch(const Cpu *cpu) {
  Addr tlb = cpu->gather;
  int32_t capacity = load(cpu, tlb + MmuGather_capacity);
  int32_t batches = load(cpu, tlb + MmuGather_batchCount);
  int32_t inUse = (capacity - MMU_GATHER_BUNDLE) / MAX_GATHER_BATCH;
  if (inUse == batches) {
    if (batches == MAX_GATHER_BATCH_COUNT) return false;
    int32_t pfn = allocPagesNowait(cpu);
    if (pfn == 0) {
      bump(cpu, tlb + MmuGather_batchFailures, 1);
      return false;
    }
    store(cpu, frameAddress(cpu, pfn) + Frame_link, (int32_t)((uint32_t)PAGE_TYPE_GATHER << LINK_TYPE_SHIFT) | cpu->id);
    store(cpu, tlb + MmuGather_batchPfns + batches, pfn);
    store(cpu, tlb + MmuGather_batchCount, batches + 1);
  }
  store(cpu, tlb + MmuGather_capacity, capacity + MAX_GATHER_BATCH);
  return true;
}

static void tlbFlushMmuTlbonly(const Cpu *cpu) {
  Addr tlb = cpu->gather;
  if (load(cpu, tlb + MmuGather_needFlush) == 0) return;
  flushTlbMm(cpu, load(cpu, tlb + MmuGather_mm));
  store(cpu, tlb + MmuGather_needFlush, 0);
  bump(cpu, tlb + MmuGather_flushes, 1);
}

static void tlbFlushMmu(const Cpu *cpu) {
  tlbFlushMmuTlbonly(cpu);
  Addr tlb = cpu->gather;
  if (load(cpu, tlb + MmuGather_tables) != 0) fault("tlbFlushMmu: a table is queued");
  int32_t used = load(cpu, tlb + MmuGather_used);
  store(cpu, tlb + MmuGather_used, 0);
  store(cpu, tlb + MmuGather_capacity, MMU_GATHER_BUNDLE);
  releasePages(cpu, tlb + MmuGather_pages, used);
}

static void tlbFinishMmu(const Cpu *cpu) {
  Addr tlb = cpu->gather;
  Addr mm = load(cpu, tlb + MmuGather_mm);
  if (atomicLoad(cpu, mm + Mm_tlbFlushPending) > 1) store(cpu, tlb + MmuGather_needFlush, 1);
  tlbFlushMmu(cpu);
  int32_t batches = load(cpu, tlb + MmuGather_batchCount);
  for (int32_t i = 0; i < batches; i++) putPage(cpu, load(cpu, tlb + MmuGather_batchPfns + i));
  store(cpu, tlb + MmuGather_batchCount, 0);
  store(cpu, tlb + MmuGather_mm, 0);
  fetchAdd(cpu, mm + Mm_tlbFlushPending, -1);
}
