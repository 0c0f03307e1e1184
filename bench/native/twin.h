/*
 * What all files of the twin share: the handle of a CPU (src/arena/cpu.ts), the seam to shared memory
 * (src/arena/mem.ts), and one prototype per function that another file calls.
 *
 * The twin is oomrace's unmapping loop in C, line by line after the TypeScript files of the same names, over the same
 * arena: it exists to tell what JavaScript costs. Names of structs, fields and constants come from layout.h, which is
 * written from the TypeScript declarations at run time.
 *
 * Shared words are changed by sequentially consistent atomics where JavaScript uses Atomics, and by plain accesses
 * where it uses plain ones. Everything is one translation unit (all.c), so that the compiler sees as much as V8 does.
 */
#ifndef TWIN_H
#define TWIN_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

/* Address of a 32-bit word in the arena. */
typedef int64_t Addr;
/* Virtual page number: 45 bits. */
typedef int64_t Vpn;

typedef struct {
  int32_t *words;
  int32_t id;
  Addr sync;
  Addr machine;
  Addr mm;
  Addr mmStride;
  Addr tlb;
  Addr gather;
} Cpu;

/* Ends the process: the twin met something that the loop cannot meet, or a broken invariant. */
_Noreturn static void fault(const char *reason);

/* --- arena/mem --- */

static inline int32_t load(const Cpu *cpu, Addr at) { return cpu->words[at]; }
static inline void store(const Cpu *cpu, Addr at, int32_t value) { cpu->words[at] = value; }

static inline int32_t atomicLoad(const Cpu *cpu, Addr at) { return __atomic_load_n(&cpu->words[at], __ATOMIC_SEQ_CST); }
static inline void atomicStore(const Cpu *cpu, Addr at, int32_t value) {
  __atomic_store_n(&cpu->words[at], value, __ATOMIC_SEQ_CST);
}
/* For words that nobody else touches while they hold `owned`: plain, as in the measured build. */
static inline bool exchangeOwned(const Cpu *cpu, Addr at, int32_t owned, int32_t value) {
  if (cpu->words[at] != owned) return false;
  cpu->words[at] = value;
  return true;
}
static inline int32_t fetchAdd(const Cpu *cpu, Addr at, int32_t addend) {
  return __atomic_fetch_add(&cpu->words[at], addend, __ATOMIC_SEQ_CST);
}
static inline int32_t fetchOr(const Cpu *cpu, Addr at, int32_t bits) {
  return __atomic_fetch_or(&cpu->words[at], bits, __ATOMIC_SEQ_CST);
}
static inline int32_t xchg(const Cpu *cpu, Addr at, int32_t value) {
  return __atomic_exchange_n(&cpu->words[at], value, __ATOMIC_SEQ_CST);
}
/* Returns the old value, as JavaScript's does. */
static inline int32_t cmpxchg(const Cpu *cpu, Addr at, int32_t expected, int32_t value) {
  __atomic_compare_exchange_n(&cpu->words[at], &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
static inline void hint(const Cpu *cpu, Addr at, int32_t mask, int32_t bits) {
  cpu->words[at] = (cpu->words[at] & mask) | bits;
}

static int32_t spinWhile(const Cpu *cpu, Addr at, int32_t value, int32_t budget);
static void futexWait(const Cpu *cpu, Addr at, int32_t value);
static void futexWake(const Cpu *cpu, Addr at, int32_t count);
static int64_t nowNs(void);

/* --- base/bits, mm/vpn, mm/cpu-mm --- */

static inline int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t max32(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int32_t highestBit(int32_t value) { return 31 - __builtin_clz((uint32_t)value); }
static inline int32_t lowestBit(int32_t value) { return __builtin_ctz((uint32_t)value); }

static inline Vpn loadVpn(const Cpu *cpu, Addr at) {
  return (Vpn)load(cpu, at + 1) * VPN_LOW_RANGE + load(cpu, at);
}
static inline void storeVpn(const Cpu *cpu, Addr at, Vpn vpn) {
  store(cpu, at, (int32_t)(vpn % VPN_LOW_RANGE));
  store(cpu, at + 1, (int32_t)(vpn / VPN_LOW_RANGE));
}

static inline void bump(const Cpu *cpu, Addr at, int32_t by) { cpu->words[at] += by; }
static inline void count(const Cpu *cpu, Addr field, int32_t by) { bump(cpu, cpu->mm + field, by); }
static inline int32_t setting(const Cpu *cpu, Addr field) { return cpu->words[cpu->machine + field]; }
static void stamp(const Cpu *cpu, Addr field, int64_t ns);

/* --- sync/lock-stat, spinlock, rwsem; mm/mmap-lock --- */

static void noteProgress(const Cpu *cpu);
static void spinLock(const Cpu *cpu, Addr lock, int32_t cls);
static void spinUnlock(const Cpu *cpu, Addr lock, int32_t cls);
static void mmapReadLock(const Cpu *cpu, Addr mm);
static void mmapReadUnlock(const Cpu *cpu, Addr mm);

/* --- mm/page --- */

static inline Addr framesOf(const Cpu *cpu) { return cpu->words[cpu->machine + PageGlobals_framesBase]; }
static inline Addr frameAddress(const Cpu *cpu, int32_t pfn) { return framesOf(cpu) + (Addr)pfn * Frame_WORDS; }
static inline int32_t frameRefs(int32_t countWord) { return countWord & FRAME_REF_MASK; }
static inline int32_t frameRmaps(int32_t countWord) { return countWord >> FRAME_RMAP_SHIFT; }
static inline bool linkIsTail(int32_t link) { return (uint32_t)link >> LINK_TYPE_SHIFT == PAGE_TYPE_TAIL; }
/* Page cache, swap slot or device: the twin knows none of them. */
static inline bool linkIsForeign(int32_t link) { return (uint32_t)link >> LINK_TYPE_SHIFT > PAGE_TYPE_TAIL; }
static inline bool linkSingle(int32_t link) { return (link & LINK_SINGLE_MASK) == 0; }
static inline int32_t linkOrder(int32_t link) { return (int32_t)((uint32_t)link >> LINK_ORDER_SHIFT) & LINK_ORDER_MASK; }
static int32_t folioHead(const Cpu *cpu, int32_t pfn);
static int32_t folioEnd(const Cpu *cpu, int32_t pfn);
static void folioRemoveRmap(const Cpu *cpu, int32_t head, int32_t maps);
static void checkPut(int32_t old, int32_t refs);

/* --- mm/buddy, zone, pcp, page-alloc --- */

static void freeOnePage(int32_t *words, Addr zone, int32_t pfn, int32_t order);
static int32_t smallestFree(int32_t *words, Addr zone, int32_t order);
static int32_t takeBlock(int32_t *words, Addr zone, int32_t from, int32_t order);
static void accountFreePages(const Cpu *cpu, Addr zone, int32_t pages);
static Addr zoneOf(const Cpu *cpu, int32_t pfn);
static bool zoneWatermarkOk(const Cpu *cpu, Addr zone, int32_t mark);
static void freeUnrefPage(const Cpu *cpu, int32_t pfn, int32_t order);
static void freeUnrefPageList(const Cpu *cpu, Addr list, int32_t n);
static int32_t rmqueuePcplist(const Cpu *cpu, Addr pcp, int32_t order);
static int32_t allocPagesNowait(const Cpu *cpu);
static void putPage(const Cpu *cpu, int32_t head);
static void releasePages(const Cpu *cpu, Addr list, int32_t n);

/* --- mm/tlb, mmu-gather, maple-tree, vma-iter, zap, unmap --- */

static void flushTlbMm(const Cpu *cpu, Addr mm);
static void tlbGatherMmu(const Cpu *cpu, Addr mm);
static bool tlbNextBatch(const Cpu *cpu);
static void tlbFlushMmuTlbonly(const Cpu *cpu);
static void tlbFlushMmu(const Cpu *cpu);
static void tlbFinishMmu(const Cpu *cpu);
static Addr firstVma(const Cpu *cpu, Addr mm, Addr walk);
static Addr nextVma(const Cpu *cpu, Addr walk);
static Addr lastVma(const Cpu *cpu, Addr mm, Addr walk);
static Addr prevVma(const Cpu *cpu, Addr walk);
static void unmapPageRange(const Cpu *cpu, Addr mm, Vpn start, Vpn end);
static void unmapVmas(const Cpu *cpu, Addr mm);
static void reapVmas(const Cpu *cpu, Addr mm, bool reverse, int32_t skip);

#endif
