/* Counting acquisitions and timing waits (src/sync/lock-stat.ts, cpu-sync.ts). The clock is read when contended only. */

#include "twin.h"

static void addNs(int32_t *words, Addr at, int64_t ns) {
  int64_t sum = words[at] + ns;
  int64_t carry = sum / NS_LOW_RANGE;
  words[at] = (int32_t)(sum - carry * NS_LOW_RANGE);
  if (carry > 0) words[at + 1] += (int32_t)carry;
}

static void writeNs(int32_t *words, Addr at, int64_t ns) {
  words[at] = 0;
  words[at + 1] = 0;
  addNs(words, at, ns);
}

static int64_t readNs(const int32_t *words, Addr at) { return (int64_t)words[at + 1] * NS_LOW_RANGE + words[at]; }

static void stamp(const Cpu *cpu, Addr field, int64_t ns) { writeNs(cpu->words, cpu->mm + field, ns); }

static inline Addr lockStat(const Cpu *cpu, int32_t cls) { return cpu->sync + CpuSync_stats + cls * LockStat_WORDS; }

static void noteProgress(const Cpu *cpu) { bump(cpu, cpu->sync + CpuSync_progress, 1); }

static inline void noteAcquired(const Cpu *cpu, int32_t cls) { bump(cpu, lockStat(cpu, cls) + LockStat_acquired, 1); }

static int64_t beginWait(const Cpu *cpu, Addr lock, int32_t cls) {
  store(cpu, cpu->sync + CpuSync_awaited, (int32_t)lock);
  store(cpu, cpu->sync + CpuSync_awaitedClass, cls);
  store(cpu, cpu->sync + CpuSync_state, CPU_SPINNING);
  return nowNs();
}

static int64_t beginPark(const Cpu *cpu, int32_t cls) {
  store(cpu, cpu->sync + CpuSync_state, CPU_PARKED);
  bump(cpu, lockStat(cpu, cls) + LockStat_parked, 1);
  return nowNs();
}

static int64_t endPark(const Cpu *cpu, int64_t parkedAt) {
  store(cpu, cpu->sync + CpuSync_state, CPU_SPINNING);
  return nowNs() - parkedAt;
}

static void endWait(const Cpu *cpu, int32_t cls, int64_t since, int64_t parkedNs) {
  int32_t *words = cpu->words;
  Addr stat = lockStat(cpu, cls);
  int64_t now = nowNs();
  int64_t waited = now - since;
  words[stat + LockStat_contended] += 1;
  addNs(words, stat + LockStat_waitNs, waited);
  addNs(words, stat + LockStat_spinNs, waited > parkedNs ? waited - parkedNs : 0);
  if (waited > words[stat + LockStat_waitMaxNs]) {
    words[stat + LockStat_waitMaxNs] = waited < INT32_MAX ? (int32_t)waited : INT32_MAX;
  }
  words[cpu->sync + CpuSync_awaited] = 0;
  words[cpu->sync + CpuSync_state] = CPU_RUNNING;
  writeNs(words, stat + LockStat_holdStart, now / 2 * 2 + 1);
}

static void endHold(const Cpu *cpu, int32_t cls) {
  int32_t *words = cpu->words;
  Addr stat = lockStat(cpu, cls);
  int64_t held = nowNs() - readNs(words, stat + LockStat_holdStart);
  writeNs(words, stat + LockStat_holdStart, 0);
  words[stat + LockStat_holds] += 1;
  addNs(words, stat + LockStat_holdNs, held > 0 ? held : 0);
}

static inline void noteReleased(const Cpu *cpu, int32_t cls) {
  if (cpu->words[lockStat(cpu, cls) + LockStat_holdStart] != 0) endHold(cpu, cls);
}
