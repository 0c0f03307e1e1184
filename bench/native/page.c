/* Page frames and folios (src/mm/page.ts). */

#include "twin.h"

static int32_t folioHead(const Cpu *cpu, int32_t pfn) {
  int32_t link = cpu->words[frameAddress(cpu, pfn) + Frame_link];
  return linkIsTail(link) ? link & LINK_PFN_MASK : pfn;
}

static int32_t folioEnd(const Cpu *cpu, int32_t pfn) {
  int32_t head = folioHead(cpu, pfn);
  return head + (1 << linkOrder(cpu->words[frameAddress(cpu, head) + Frame_link]));
}

static void folioRemoveRmap(const Cpu *cpu, int32_t head, int32_t maps) {
  Addr count = frameAddress(cpu, head) + Frame_count;
  if (maps == 1 && exchangeOwned(cpu, count, FRAME_RMAP_ONE + FRAME_REF_ONE, FRAME_REF_ONE)) return;
  int32_t old = fetchAdd(cpu, count, -maps * FRAME_RMAP_ONE);
  if (frameRmaps(old) < maps) fault("folioRemoveRmap: more mappings to remove than there are");
}

/* A put of `refs` references found `old`, and it was no plain last put. */
static void checkPut(int32_t old, int32_t refs) {
  int32_t before = frameRefs(old);
  if (before > refs) return;
  if (before < refs) fault("putPage: more references to put than there are");
  if (old != refs) fault("putPage: the page is freed while mapped");
}
