/* Unmapping pages: zap_pte_range and the walk down to it (src/mm/zap.ts, page-table.ts). */

#include "twin.h"

/* Pages that one entry at `level` maps are 1 << entryShift(level). */
static int32_t entryShift(int32_t level) { return level * PTRS_PER_TABLE_SHIFT; }

static int32_t tableIndex(Vpn vpn, int32_t level) { return (int32_t)(vpn >> entryShift(level)) & (PTRS_PER_TABLE - 1); }

static inline int32_t ptePfn(int32_t pte) { return (int32_t)((uint32_t)pte >> PTE_SHIFT); }

static Addr pteLockOf(const Cpu *cpu, Addr mm, Addr table, int32_t index) {
  int32_t granularity = setting(cpu, MmGlobals_lockGranularity);
  if (granularity == GRANULARITY_TABLE) return table + PageTable_lock;
  if (granularity == GRANULARITY_MM) return mm + Mm_pageTableLock;
  return table + PageTableWithPteLocks_pteLocks + index;
}

static int32_t tickBudget(const Cpu *cpu) {
  int32_t every = setting(cpu, MmGlobals_reschedEvery);
  return every == 0 ? PTRS_PER_TABLE : load(cpu, cpu->mm + CpuMm_reschedIn);
}

static void spendTick(const Cpu *cpu, int32_t entries) {
  int32_t every = setting(cpu, MmGlobals_reschedEvery);
  if (every == 0) return;
  int32_t left = load(cpu, cpu->mm + CpuMm_reschedIn) - entries;
  if (left <= 0) count(cpu, CpuMm_resched, 1);
  store(cpu, cpu->mm + CpuMm_reschedIn, left > 0 ? left : every);
}

static int32_t folioRun(const Cpu *cpu, Addr entry, int32_t pfn, int32_t limit) {
  int32_t most = min32(limit, folioEnd(cpu, pfn) - pfn);
  int32_t run = 1;
  while (run < most && ptePfn(load(cpu, entry + run)) == pfn + run) run++;
  return run;
}

/* Clears PTEs until `last`, a due reschedule or a full gather; returns where it stopped. */
static int32_t zapLocked(const Cpu *cpu, Addr mm, Addr table, int32_t first, int32_t last) {
  int32_t *words = cpu->words;
  Addr gather = cpu->gather;
  Addr frames = framesOf(cpu);
  Addr entries = table + PageTable_entries;
  Addr queue = gather + MmuGather_pages;
  int32_t stop = min32(last, first + tickBudget(cpu));
  int32_t capacity = load(cpu, gather + MmuGather_capacity);
  int32_t used = load(cpu, gather + MmuGather_used);
  int32_t zapped = 0;
  int32_t index = first;
  while (index < stop) {
    int32_t pte = load(cpu, entries + index);
    if (pte == 0) {
      index++;
      continue;
    }
    int32_t pfn = ptePfn(pte);
    int32_t run = 1;
    if (linkSingle(words[frames + (Addr)pfn * Frame_WORDS + Frame_link])) {
      store(cpu, entries + index, 0);
      folioRemoveRmap(cpu, pfn, 1);
    } else {
      if (linkIsForeign(words[frames + (Addr)pfn * Frame_WORDS + Frame_link])) fault("zapLocked: no anonymous page");
      run = folioRun(cpu, entries + index, pfn, stop - index);
      for (int32_t i = 0; i < run; i++) store(cpu, entries + index + i, 0);
      folioRemoveRmap(cpu, folioHead(cpu, pfn), run);
      words[queue + used] = -run;
      used++;
    }
    words[queue + used] = pfn;
    used++;
    zapped += run;
    index += run;
    if (used >= capacity) {
      if (!tlbNextBatch(cpu)) break;
      capacity = load(cpu, gather + MmuGather_capacity);
    }
  }
  spendTick(cpu, index - first);
  if (zapped > 0) {
    store(cpu, gather + MmuGather_used, used);
    store(cpu, gather + MmuGather_needFlush, 1);
    count(cpu, CpuMm_ptesZapped, zapped);
    if (setting(cpu, MmGlobals_lockGranularity) != GRANULARITY_PTE)
      store(cpu, table + PageTable_present, load(cpu, table + PageTable_present) - zapped);
    fetchAdd(cpu, mm + Mm_rss + MM_ANONPAGES, -zapped);
  }
  return index;
}

static void zapPteRange(const Cpu *cpu, Addr mm, Addr table, int32_t first, int32_t last) {
  bool perPte = setting(cpu, MmGlobals_lockGranularity) == GRANULARITY_PTE;
  for (int32_t index = first; index < last;) {
    Addr lock = pteLockOf(cpu, mm, table, index);
    spinLock(cpu, lock, CLASS_pte_lock);
    bool empty = !perPte && load(cpu, table + PageTable_present) == 0;
    index = empty ? last : zapLocked(cpu, mm, table, index, perPte ? index + 1 : last);
    bool full = load(cpu, cpu->gather + MmuGather_used) >= load(cpu, cpu->gather + MmuGather_capacity);
    if (full) tlbFlushMmuTlbonly(cpu);
    spinUnlock(cpu, lock, CLASS_pte_lock);
    if (full) tlbFlushMmu(cpu);
  }
  count(cpu, CpuMm_tablesZapped, 1);
  noteProgress(cpu);
}

static void zapTable(const Cpu *cpu, Addr mm, Addr table, int32_t level, Vpn start, Vpn end) {
  if (level == 0) {
    int32_t first = tableIndex(start, 0);
    zapPteRange(cpu, mm, table, first, first + (int32_t)(end - start));
    return;
  }
  Vpn span = (Vpn)1 << entryShift(level);
  for (Vpn at = start; at < end;) {
    Vpn border = at - at % span + span;
    Vpn next = end < border ? end : border;
    Addr below = atomicLoad(cpu, table + PageTable_entries + tableIndex(at, level));
    if (below < 0) fault("zapTable: a huge page");
    if (below != 0) zapTable(cpu, mm, below, level - 1, at, next);
    at = next;
  }
}

static void unmapPageRange(const Cpu *cpu, Addr mm, Vpn start, Vpn end) {
  zapTable(cpu, mm, load(cpu, mm + Mm_pgd), setting(cpu, MmGlobals_levels) - 1, start, end);
}
