/* The two walks that race: the victim's and the reaper's (src/mm/unmap.ts, mm/traversal/forward.ts and reverse.ts). */

#include "twin.h"

static void unmapVmas(const Cpu *cpu, Addr mm) {
  Addr walk = cpu->mm + CpuMm_walk;
  for (Addr vma = firstVma(cpu, mm, walk); vma != 0; vma = nextVma(cpu, walk)) {
    unmapPageRange(cpu, mm, loadVpn(cpu, vma + Vma_start), loadVpn(cpu, vma + Vma_end));
    noteProgress(cpu);
  }
  stamp(cpu, CpuMm_leftLastVmaNs, nowNs());
}

/* Points the cursor at a VMA, or at none. */
static bool pointAt(const Cpu *cpu, Addr cursor, Addr vma) {
  store(cpu, cursor + Cursor_vma, (int32_t)vma);
  if (vma == 0) return false;
  storeVpn(cpu, cursor + Cursor_start, loadVpn(cpu, vma + Vma_start));
  storeVpn(cpu, cursor + Cursor_end, loadVpn(cpu, vma + Vma_end));
  return true;
}

static bool orderFirst(const Cpu *cpu, Addr mm, Addr cursor, bool reverse) {
  Addr walk = cursor + Cursor_walk;
  Addr vma = reverse ? lastVma(cpu, mm, walk) : firstVma(cpu, mm, walk);
  return vma != 0 && pointAt(cpu, cursor, vma);
}

static bool orderNext(const Cpu *cpu, Addr cursor, bool reverse) {
  Addr walk = cursor + Cursor_walk;
  Addr vma = reverse ? prevVma(cpu, walk) : nextVma(cpu, walk);
  return vma != 0 && pointAt(cpu, cursor, vma);
}

static void reapVmas(const Cpu *cpu, Addr mm, bool reverse, int32_t skip) {
  Addr cursor = cpu->mm + CpuMm_cursor;
  fetchOr(cpu, mm + Mm_flags, MMF_UNSTABLE);
  for (bool more = orderFirst(cpu, mm, cursor, reverse); more; more = orderNext(cpu, cursor, reverse)) {
    Addr vma = load(cpu, cursor + Cursor_vma);
    if ((load(cpu, vma + Vma_flags) & (skip | VM_SHARED)) == 0) {
      tlbGatherMmu(cpu, mm);
      unmapPageRange(cpu, mm, loadVpn(cpu, cursor + Cursor_start), loadVpn(cpu, cursor + Cursor_end));
      tlbFinishMmu(cpu);
    }
    noteProgress(cpu);
  }
  stamp(cpu, CpuMm_leftLastVmaNs, nowNs());
}
