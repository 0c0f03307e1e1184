/* Spinlock of one word: a bounded spin, then sleep (src/sync/spinlock.ts; the word is described there). */

#include "twin.h"

static void spinLockSlow(const Cpu *cpu, Addr lock, int32_t cls, int32_t first) {
  if ((first & SPIN_OWNER_MASK) == cpu->id + 1) fault("spinLock: held by this CPU already");
  int64_t since = beginWait(cpu, lock, cls);
  int64_t parkedNs = 0;
  int32_t taken = cpu->id + 1;
  int32_t seen = first;
  int32_t rounds = 0;
  for (;;) {
    if (seen == 0) {
      seen = cmpxchg(cpu, lock, 0, taken);
      if (seen == 0) break;
    }
    if (rounds++ < SPIN_ROUNDS) {
      int32_t watched = seen;
      seen = spinWhile(cpu, lock, watched, SPIN_BUDGET);
      if (seen != watched) continue;
    }
    int32_t waited = seen | SPIN_WAITERS;
    if (seen != waited) {
      int32_t old = cmpxchg(cpu, lock, seen, waited);
      if (old != seen) {
        seen = old;
        continue;
      }
    }
    int64_t parkedAt = beginPark(cpu, cls);
    futexWait(cpu, lock, waited);
    parkedNs += endPark(cpu, parkedAt);
    taken = (cpu->id + 1) | SPIN_WAITERS;
    seen = 0;
  }
  endWait(cpu, cls, since, parkedNs);
}

static void spinLock(const Cpu *cpu, Addr lock, int32_t cls) {
  int32_t seen = cmpxchg(cpu, lock, 0, cpu->id + 1);
  if (seen != 0) spinLockSlow(cpu, lock, cls, seen);
  noteAcquired(cpu, cls);
}

static void spinUnlockSlow(const Cpu *cpu, Addr lock, int32_t seen) {
  if ((seen & SPIN_OWNER_MASK) != cpu->id + 1) fault("spinUnlock: not held by this CPU");
  xchg(cpu, lock, 0);
  futexWake(cpu, lock, 1);
}

static void spinUnlock(const Cpu *cpu, Addr lock, int32_t cls) {
  noteReleased(cpu, cls);
  int32_t seen = cmpxchg(cpu, lock, cpu->id + 1, 0);
  if (seen != cpu->id + 1) spinUnlockSlow(cpu, lock, seen);
}
