/*
 * mmap_lock for reading (src/mm/mmap-lock.ts, src/sync/rwsem.ts). Both sides of the loop are readers and nobody writes,
 * so a reader is always in at once; meeting a writer or a queue is a fault of the twin.
 */

#include "twin.h"

static void mmapReadLock(const Cpu *cpu, Addr mm) {
  Addr sem = mm + Mm_mmapLock;
  int32_t old = fetchAdd(cpu, sem + Rwsem_count, RWSEM_READER_BIAS);
  if ((old & RWSEM_READ_FAILED_MASK) != 0) fault("mmapReadLock: somebody writes or waits");
  hint(cpu, sem + Rwsem_owner, RWSEM_NONSPINNABLE, (cpu->id + 1) << RWSEM_OWNER_SHIFT | RWSEM_READER_OWNED);
  noteAcquired(cpu, CLASS_mmap_lock);
}

static void mmapReadUnlock(const Cpu *cpu, Addr mm) {
  noteReleased(cpu, CLASS_mmap_lock);
  int32_t old = fetchAdd(cpu, mm + Mm_mmapLock + Rwsem_count, -RWSEM_READER_BIAS);
  if (old < RWSEM_READER_BIAS) fault("mmapReadUnlock: no reader holds it");
  if ((old & RWSEM_READ_FAILED_MASK) != 0) fault("mmapReadUnlock: somebody writes or waits");
}
