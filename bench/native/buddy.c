/* The buddy allocator of one zone: free blocks as bits under summaries (src/mm/buddy.ts). Under the zone's lock. */

#include "twin.h"

enum { NON_EMPTY = Zone_areas + FreeAreas_nonEmpty };

static inline Addr freeArea(Addr zone, int32_t order) { return zone + Zone_areas + order * FreeArea_WORDS; }

static inline int32_t firstBlock(int32_t start, int32_t order) { return start >> (order + 1) << 1; }

static inline int32_t blockBit(const int32_t *words, Addr zone, int32_t pfn, int32_t order) {
  return (pfn >> order) - firstBlock(words[zone + Zone_startPfn], order);
}

static void addBlock(int32_t *words, Addr zone, Addr area, int32_t order, int32_t block) {
  words[area + FreeArea_nrFree] += 1;
  Addr top = words[area + FreeArea_top];
  int32_t bit = block;
  for (Addr level = area + FreeArea_levels;; level++) {
    Addr at = words[level] + (bit >> 5);
    int32_t old = words[at];
    words[at] = old | (int32_t)(1u << (bit & 31));
    if (old != 0) return;
    if (level == top) break;
    bit >>= 5;
  }
  words[zone + NON_EMPTY] |= 1 << order;
}

static void removeBlock(int32_t *words, Addr zone, Addr area, int32_t order, int32_t block) {
  words[area + FreeArea_nrFree] -= 1;
  Addr top = words[area + FreeArea_top];
  int32_t bit = block;
  for (Addr level = area + FreeArea_levels;; level++) {
    Addr at = words[level] + (bit >> 5);
    int32_t now = words[at] & ~(int32_t)(1u << (bit & 31));
    words[at] = now;
    if (now != 0) return;
    if (level == top) break;
    bit >>= 5;
  }
  words[zone + NON_EMPTY] &= ~(1 << order);
}

static int32_t lowestBlock(const int32_t *words, Addr area) {
  int32_t bit = 0;
  for (Addr level = words[area + FreeArea_top]; level >= area + FreeArea_levels; level--) {
    bit = bit << 5 | lowestBit(words[words[level] + bit]);
  }
  return bit;
}

static void freeOnePage(int32_t *words, Addr zone, int32_t pfn, int32_t order) {
  int32_t head = pfn;
  for (int32_t k = order;; k++) {
    Addr area = freeArea(zone, k);
    int32_t block = blockBit(words, zone, head, k);
    int32_t free = words[words[area + FreeArea_levels] + (block >> 5)] >> (block & 30);
    if ((free & (1 + (block & 1))) != 0) fault("freeOnePage: the block is free already");
    if ((free & 3) == 0 || k == MAX_PAGE_ORDER) {
      addBlock(words, zone, area, k, block);
      return;
    }
    removeBlock(words, zone, area, k, block ^ 1);
    head &= ~(1 << k);
  }
}

/* -1 when the zone has no free block of `order` or more. */
static int32_t smallestFree(int32_t *words, Addr zone, int32_t order) {
  int32_t larger = (int32_t)((uint32_t)words[zone + NON_EMPTY] >> order);
  return larger == 0 ? -1 : order + lowestBit(larger);
}

static int32_t takeBlock(int32_t *words, Addr zone, int32_t from, int32_t order) {
  Addr area = freeArea(zone, from);
  int32_t block = lowestBlock(words, area);
  removeBlock(words, zone, area, from, block);
  int32_t pfn = (block + firstBlock(words[zone + Zone_startPfn], from)) << from;
  for (int32_t k = from - 1; k >= order; k--) {
    addBlock(words, zone, freeArea(zone, k), k, blockBit(words, zone, pfn + (1 << k), k));
  }
  return pfn;
}

static void accountFreePages(const Cpu *cpu, Addr zone, int32_t pages) {
  atomicStore(cpu, zone + Zone_nrFreePages, cpu->words[zone + Zone_nrFreePages] + pages);
  int32_t nonEmpty = cpu->words[zone + NON_EMPTY];
  if (cpu->words[zone + Zone_nonEmptyOrders] != nonEmpty) atomicStore(cpu, zone + Zone_nonEmptyOrders, nonEmpty);
}
