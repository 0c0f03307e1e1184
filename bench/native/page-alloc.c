/* Allocating batch pages and releasing gathered ones (src/mm/page-alloc.ts, zone.ts). */

#include "twin.h"

static Addr zoneOf(const Cpu *cpu, int32_t pfn) {
  Addr zone = cpu->words[cpu->machine + PageGlobals_zonesBase];
  while (pfn >= cpu->words[zone + Zone_endPfn]) zone += Zone_WORDS;
  return zone;
}

/* For order 0 and flags without a right to the reserves. */
static bool zoneWatermarkOk(const Cpu *cpu, Addr zone, int32_t mark) {
  return atomicLoad(cpu, zone + Zone_nrFreePages) > mark + cpu->words[zone + Zone_lowmemReserve];
}

static void prepNewPage(const Cpu *cpu, int32_t pfn) {
  int32_t *words = cpu->words;
  Addr frame = frameAddress(cpu, pfn);
  if (words[frame + Frame_count] != 0) fault("allocPages: the page is in use");
  words[frame + Frame_count] = FRAME_REF_ONE;
  words[frame + Frame_link] = 0;
  words[frame + Frame_data] = 0;
  words[cpuPcp(cpu) + CpuPcp_pgalloc] += 1;
}

static int32_t getPageFromFreelist(const Cpu *cpu, int32_t wmark) {
  int32_t *words = cpu->words;
  Addr zones = words[cpu->machine + PageGlobals_zonesBase];
  int32_t zoneCount = words[cpu->machine + PageGlobals_zoneCount];
  int32_t here = words[cpuPcp(cpu) + CpuPcp_node];
  for (int remote = 0; remote < 2; remote++) {
    for (int32_t i = zoneCount - 1; i >= 0; i--) {
      Addr zone = zones + i * Zone_WORDS;
      if ((words[zone + Zone_node] == here) != (remote == 0)) continue;
      if (!zoneWatermarkOk(cpu, zone, words[zone + Zone_watermarkMin + wmark])) continue;
      int32_t pfn = rmqueuePcplist(cpu, zonePcp(cpu, i), 0);
      if (pfn == 0) continue;
      prepNewPage(cpu, pfn);
      return pfn;
    }
  }
  return 0;
}

/* `allocPages(cpu, 0, GFP_NOWAIT)`: 0 when the watermarks refuse. */
static int32_t allocPagesNowait(const Cpu *cpu) {
  int32_t pfn = getPageFromFreelist(cpu, ALLOC_WMARK_LOW);
  return pfn != 0 ? pfn : getPageFromFreelist(cpu, ALLOC_WMARK_MIN);
}

static void putPage(const Cpu *cpu, int32_t head) {
  Addr frame = frameAddress(cpu, head);
  int32_t old = fetchAdd(cpu, frame + Frame_count, -FRAME_REF_ONE);
  if (old == FRAME_REF_ONE) freeUnrefPage(cpu, head, linkOrder(cpu->words[frame + Frame_link]));
  else checkPut(old, 1);
}

static Addr releaseFolio(const Cpu *cpu, Addr at) {
  int32_t refs = -load(cpu, at);
  int32_t head = folioHead(cpu, load(cpu, at + 1));
  Addr frame = frameAddress(cpu, head);
  int32_t old = fetchAdd(cpu, frame + Frame_count, -refs);
  if (old == refs) freeUnrefPage(cpu, head, linkOrder(load(cpu, frame + Frame_link)));
  else checkPut(old, refs);
  return at + 2;
}

static bool putLast(const Cpu *cpu, Addr count) {
  if (exchangeOwned(cpu, count, FRAME_REF_ONE, 0)) return true;
  int32_t old = fetchAdd(cpu, count, -FRAME_REF_ONE);
  if (old == FRAME_REF_ONE) return true;
  checkPut(old, 1);
  return false;
}

static void releasePages(const Cpu *cpu, Addr list, int32_t n) {
  int32_t *words = cpu->words;
  Addr counts = framesOf(cpu) + Frame_count;
  Addr end = list + n;
  for (Addr at = list; at < end;) {
    Addr from = at;
    Addr freed = at;
    for (; at < end; at++) {
      int32_t pfn = words[at];
      if (pfn < 0) break;
      if (putLast(cpu, counts + (Addr)pfn * Frame_WORDS)) words[freed++] = pfn;
    }
    freeUnrefPageList(cpu, from, (int32_t)(freed - from));
    if (at < end) at = releaseFolio(cpu, at);
  }
}
