/* Per-CPU page lists: rings that feed the buddy in joined blocks (src/mm/pcp.ts). Private to their CPU. */

#include "twin.h"

static inline Addr cpuPcp(const Cpu *cpu) { return cpu->mm; }

static inline Addr zonePcp(const Cpu *cpu, int32_t index) { return cpuPcp(cpu) + CpuPcp_zones + index * ZonePcp_WORDS; }

static Addr zonePcpOf(const Cpu *cpu, int32_t pfn) {
  Addr zone = cpu->words[cpu->machine + PageGlobals_zonesBase];
  Addr pcp = zonePcp(cpu, 0);
  while (pfn >= cpu->words[zone + Zone_endPfn]) {
    zone += Zone_WORDS;
    pcp += ZonePcp_WORDS;
  }
  return pcp;
}

static int32_t pcpHigh(const int32_t *words, Addr pcp) { return words[words[pcp + ZonePcp_zone] + Zone_pcpHigh]; }

/* Pages to free at the high mark; twice as many each time while nothing is allocated. */
static int32_t nrPcpFree(int32_t *words, Addr pcp) {
  Addr zone = words[pcp + ZonePcp_zone];
  int32_t batch = words[zone + Zone_pcpBatch];
  int32_t most = words[zone + Zone_pcpHigh] - batch;
  int32_t factor = words[pcp + ZonePcp_freeFactor];
  int32_t pages = batch << factor;
  if (pages < most) words[pcp + ZonePcp_freeFactor] = factor + 1;
  return min32(pages, most);
}

/* Joins `entries` blocks of `order` to larger ones, each written as pfn * 2 + size; returns how many. */
static int32_t coalesce(int32_t *words, Addr at, int32_t entries, int32_t order) {
  int32_t step = 1 << order;
  Addr blocks = at;
  for (int32_t i = 0; i < entries;) {
    int32_t pfn = words[at + i];
    int32_t end = pfn + step;
    i++;
    while (i < entries && words[at + i] == end) {
      end += step;
      i++;
    }
    while (pfn < end) {
      int32_t size = min32(min32(pfn & -pfn, 1 << highestBit(end - pfn)), 1 << MAX_PAGE_ORDER);
      words[blocks++] = pfn * 2 + size;
      pfn += size;
    }
  }
  return (int32_t)(blocks - at);
}

static void freeBlocks(const Cpu *cpu, Addr zone, Addr at, int32_t blocks) {
  int32_t *words = cpu->words;
  int32_t batch = words[zone + Zone_pcpBatch];
  for (int32_t i = 0; i < blocks;) {
    int32_t stop = min32(blocks, i + batch);
    int32_t pages = 0;
    spinLock(cpu, zone + Zone_lock, CLASS_zone_lock);
    for (; i < stop; i++) {
      int32_t block = words[at + i];
      int32_t size = block & -block;
      freeOnePage(words, zone, (block - size) >> 1, highestBit(size));
      pages += size;
    }
    accountFreePages(cpu, zone, pages);
    spinUnlock(cpu, zone + Zone_lock, CLASS_zone_lock);
  }
}

static void freeColdPages(const Cpu *cpu, Addr pcp, Addr list, int32_t order, int32_t entries) {
  int32_t *words = cpu->words;
  Addr zone = words[pcp + ZonePcp_zone];
  Addr ring = words[list + PcpList_ring];
  int32_t mask = words[list + PcpList_mask];
  int32_t cold = words[list + PcpList_cold];
  words[list + PcpList_cold] = cold + entries;
  words[pcp + ZonePcp_count] -= entries << order;
  for (int32_t done = 0; done < entries;) {
    int32_t slot = (cold + done) & mask;
    int32_t stretch = min32(entries - done, mask + 1 - slot);
    int32_t blocks = coalesce(words, ring + slot, stretch, order);
    freeBlocks(cpu, zone, ring + slot, blocks);
    done += stretch;
  }
}

static void freePcppagesBulk(const Cpu *cpu, Addr pcp, int32_t pages, int32_t order) {
  int32_t *words = cpu->words;
  int32_t left = pages;
  for (int32_t i = 0; i < NR_PCP_LISTS && left > 0; i++) {
    int32_t k = (order + i) % NR_PCP_LISTS;
    Addr list = pcp + ZonePcp_lists + k * PcpList_WORDS;
    int32_t held = words[list + PcpList_hot] - words[list + PcpList_cold];
    int32_t taken = min32(held, (left + (1 << k) - 1) >> k);
    freeColdPages(cpu, pcp, list, k, taken);
    left -= taken << k;
  }
}

/* A block too large for the lists. */
static void freePagesOk(const Cpu *cpu, int32_t pfn, int32_t order) {
  Addr zone = zoneOf(cpu, pfn);
  spinLock(cpu, zone + Zone_lock, CLASS_zone_lock);
  freeOnePage(cpu->words, zone, pfn, order);
  accountFreePages(cpu, zone, 1 << order);
  spinUnlock(cpu, zone + Zone_lock, CLASS_zone_lock);
}

static void freeUnrefPage(const Cpu *cpu, int32_t pfn, int32_t order) {
  int32_t *words = cpu->words;
  words[cpuPcp(cpu) + CpuPcp_pgfree] += 1 << order;
  if (order > PAGE_ALLOC_COSTLY_ORDER) {
    freePagesOk(cpu, pfn, order);
    return;
  }
  Addr pcp = zonePcpOf(cpu, pfn);
  Addr list = pcp + ZonePcp_lists + order * PcpList_WORDS;
  int32_t hot = words[list + PcpList_hot];
  words[words[list + PcpList_ring] + (hot & words[list + PcpList_mask])] = pfn;
  words[list + PcpList_hot] = hot + 1;
  words[pcp + ZonePcp_count] += 1 << order;
  if (words[pcp + ZonePcp_count] >= pcpHigh(words, pcp)) freePcppagesBulk(cpu, pcp, nrPcpFree(words, pcp), order);
}

/* Queues single pages at the hot end, until the high mark or a page of another zone; returns the first left. */
static Addr queueHot(int32_t *words, Addr pcp, Addr from, Addr to) {
  Addr list = pcp + ZonePcp_lists;
  Addr zone = words[pcp + ZonePcp_zone];
  int32_t start = words[zone + Zone_startPfn];
  int32_t end = words[zone + Zone_endPfn];
  Addr ring = words[list + PcpList_ring];
  int32_t mask = words[list + PcpList_mask];
  int32_t room = words[zone + Zone_pcpHigh] - words[pcp + ZonePcp_count];
  Addr limit = from + max32(room, 1);
  Addr stop = to < limit ? to : limit;
  int32_t hot = words[list + PcpList_hot];
  Addr at = from;
  for (; at < stop; at++) {
    int32_t pfn = words[at];
    if (pfn < start || pfn >= end) break;
    words[ring + (hot & mask)] = pfn;
    hot++;
  }
  words[list + PcpList_hot] = hot;
  words[pcp + ZonePcp_count] += (int32_t)(at - from);
  return at;
}

static void freeUnrefPageList(const Cpu *cpu, Addr list, int32_t n) {
  int32_t *words = cpu->words;
  Addr end = list + n;
  words[cpuPcp(cpu) + CpuPcp_pgfree] += n;
  for (Addr at = list; at < end;) {
    Addr pcp = zonePcpOf(cpu, words[at]);
    at = queueHot(words, pcp, at, end);
    if (words[pcp + ZonePcp_count] >= pcpHigh(words, pcp)) freePcppagesBulk(cpu, pcp, nrPcpFree(words, pcp), 0);
  }
}

static void queueCold(int32_t *words, Addr list, int32_t first, int32_t order, int32_t entries) {
  Addr ring = words[list + PcpList_ring];
  int32_t mask = words[list + PcpList_mask];
  int32_t cold = words[list + PcpList_cold];
  for (int32_t i = 0; i < entries; i++) {
    cold--;
    words[ring + (cold & mask)] = first + (i << order);
  }
  words[list + PcpList_cold] = cold;
}

static void rmqueueBulk(const Cpu *cpu, Addr pcp, Addr list, int32_t order, int32_t wanted) {
  int32_t *words = cpu->words;
  Addr zone = words[pcp + ZonePcp_zone];
  int32_t left = wanted;
  spinLock(cpu, zone + Zone_lock, CLASS_zone_lock);
  while (left > 0) {
    int32_t from = smallestFree(words, zone, order);
    if (from < 0) break;
    int32_t size = min32(from, order + highestBit(left));
    int32_t pfn = takeBlock(words, zone, from, size);
    queueCold(words, list, pfn, order, 1 << (size - order));
    left -= 1 << (size - order);
  }
  int32_t pages = (wanted - left) << order;
  accountFreePages(cpu, zone, -pages);
  spinUnlock(cpu, zone + Zone_lock, CLASS_zone_lock);
  words[pcp + ZonePcp_count] += pages;
}

/* 0 when list and buddy are empty. */
static int32_t rmqueuePcplist(const Cpu *cpu, Addr pcp, int32_t order) {
  int32_t *words = cpu->words;
  Addr list = pcp + ZonePcp_lists + order * PcpList_WORDS;
  words[pcp + ZonePcp_freeFactor] >>= 1;
  if (words[list + PcpList_hot] == words[list + PcpList_cold]) {
    int32_t batch = words[words[pcp + ZonePcp_zone] + Zone_pcpBatch];
    rmqueueBulk(cpu, pcp, list, order, batch > 1 ? max32(batch >> order, 2) : 1);
    if (words[list + PcpList_hot] == words[list + PcpList_cold]) return 0;
  }
  int32_t hot = words[list + PcpList_hot] - 1;
  words[list + PcpList_hot] = hot;
  words[pcp + ZonePcp_count] -= 1 << order;
  return words[words[list + PcpList_ring] + (hot & words[list + PcpList_mask])];
}
