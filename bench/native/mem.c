/* The seam's slow operations: clock, bounded spin, sleeping and waking (src/arena/mem.ts). */

#include <sched.h>
#include <time.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "twin.h"

static int64_t clockNs(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t clockOriginNs;

/* Since the process began to count. */
static int64_t nowNs(void) { return clockNs(CLOCK_MONOTONIC) - clockOriginNs; }

/* What `Atomics.pause`, or its stand-in, does in the Node that wrote layout.h. */
static inline void spinPause(void) {
#if HOST_HAS_ATOMICS_PAUSE && (defined(__x86_64__) || defined(__i386__))
  __builtin_ia32_pause();
#elif HOST_HAS_ATOMICS_PAUSE && defined(__aarch64__)
  __asm__ volatile("yield");
#else
  static _Thread_local uint32_t idle = 1;
  uint32_t value = idle;
  for (int i = 0; i < 8; i++) {
    value = value * 5 + 1;
    __asm__ volatile("" : "+r"(value));
  }
  idle = value;
#endif
}

static int32_t spinWhile(const Cpu *cpu, Addr at, int32_t value, int32_t budget) {
  int32_t seen = atomicLoad(cpu, at);
  for (int32_t i = 0; i < budget && seen == value; i++) {
    spinPause();
    seen = atomicLoad(cpu, at);
  }
  return seen;
}

#ifdef __linux__
static void futexWait(const Cpu *cpu, Addr at, int32_t value) {
  syscall(SYS_futex, &cpu->words[at], FUTEX_WAIT_PRIVATE, value, (void *)0, (void *)0, 0);
}
static void futexWake(const Cpu *cpu, Addr at, int32_t waiters) {
  syscall(SYS_futex, &cpu->words[at], FUTEX_WAKE_PRIVATE, waiters, (void *)0, (void *)0, 0);
}
#else
/* No futex here: a sleeper lets others run and looks again, as after a spurious wake-up. */
static void futexWait(const Cpu *cpu, Addr at, int32_t value) {
  if (atomicLoad(cpu, at) == value) sched_yield();
}
static void futexWake(const Cpu *cpu, Addr at, int32_t waiters) { (void)cpu, (void)at, (void)waiters; }
#endif
