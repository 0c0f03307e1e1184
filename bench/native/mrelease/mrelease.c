/*
 * Kills real processes of one layout, each with a single thread, with and without process_mrelease, and times both
 * from the kill until wait has returned.
 *
 *   mrelease PAIRS SECONDS < LAYOUT
 *
 * plan.c says what a layout looks like. A pair is two victims, one reaped and one left alone, every other pair the other
 * way round; one pair before the first is not counted. It ends after PAIRS pairs, or earlier where the next one would
 * not fit in SECONDS. Standard output gets one line of JSON about the victims, then one per kill. "error" names why
 * process_mrelease did not reap: ESRCH, the victim had let go of its memory already; EINTR; EAGAIN.
 *
 * Exit codes: mrelease.h. No victim outlives it: each is waited for, or killed by the kernel when this program ends.
 * Victims keep its standard output open, so whoever reads to the end of that knows that they are gone too.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mrelease.h"
#include "plan.c"
#include "victim.c"

/* The same numbers on every architecture. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
/* An enumerator in newer C libraries, missing in older ones. */
enum { WAIT_BY_PIDFD = 3 };

enum { MS_NS = 1000000 };
/* A victim sleeps this long before it is killed, so that every kill has to wake it. */
enum { SETTLE_NS = 2 * MS_NS };

typedef struct {
  int64_t killToWaitNs;
  /* Of the process_mrelease call; 0 without one. */
  int64_t mreleaseNs;
  int error;
  /* The victim's, from ready to gone. */
  int64_t victimCpuNs;
} Kill;

typedef struct {
  int pid;
  int pidfd;
  Report report;
} Victim;

_Noreturn static void leave(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("mrelease: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(code);
}

static int64_t clockNs(int clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void requireSystem(void) {
  if (sysconf(_SC_PAGESIZE) != PAGE_BYTES) {
    leave(EXIT_ABSENT, "pages have %ld bytes here, expected %d", sysconf(_SC_PAGESIZE), PAGE_BYTES);
  }
  struct utsname system;
  uname(&system);
  // Without a process to release, a kernel that has the call complains of the descriptor.
  if (syscall(SYS_process_mrelease, -1, 0) == 0 || errno == EBADF) return;
  leave(EXIT_ABSENT, "process_mrelease on %s %s: %s (Linux has it since 5.15)", system.sysname, system.release,
        strerror(errno));
}

/* MemAvailable of /proc/meminfo in bytes, 0 where it does not say. */
static int64_t availableBytes(void) {
  FILE *file = fopen("/proc/meminfo", "r");
  if (!file) return 0;
  char line[128];
  int64_t kilobytes = 0;
  while (fgets(line, sizeof line, file) && sscanf(line, "MemAvailable: %" SCNd64, &kilobytes) != 1) {
  }
  fclose(file);
  return kilobytes * 1024;
}

static bool memorySuffices(const Plan *plan) {
  int64_t needed = plan->present * PAGE_BYTES;
  return availableBytes() >= needed + needed / 4;
}

/* Waits until the victim is ready; false when `deadline` passes first. */
static bool awaitReport(int pipeEnd, int64_t deadline, Report *report) {
  struct pollfd ready = {.fd = pipeEnd, .events = POLLIN};
  int64_t left = (deadline - clockNs(CLOCK_MONOTONIC)) / MS_NS;
  int answer = poll(&ready, 1, left < 0 ? 0 : (int)left);
  if (answer < 0) leave(EXIT_FAULT, "poll: %s", strerror(errno));
  if (answer == 0) return false;
  if (read(pipeEnd, report, sizeof *report) == sizeof *report) return true;
  leave(EXIT_ABSENT, "a victim ended before it was ready: memory may have run out");
}

static void send(const Victim *victim) {
  if (syscall(SYS_pidfd_send_signal, victim->pidfd, SIGKILL, NULL, 0) != 0) {
    leave(EXIT_FAULT, "pidfd_send_signal: %s", strerror(errno));
  }
}

static void await(const Victim *victim, struct rusage *usage) {
  siginfo_t info;
  while (syscall(SYS_waitid, WAIT_BY_PIDFD, victim->pidfd, &info, WEXITED, usage) != 0) {
    if (errno != EINTR) leave(EXIT_FAULT, "waitid: %s", strerror(errno));
  }
  close(victim->pidfd);
}

/* False when it was not ready in time; it is gone then. */
static bool makeVictim(const Plan *plan, int64_t deadline, Victim *victim) {
  int ends[2];
  if (pipe(ends) != 0) leave(EXIT_FAULT, "pipe: %s", strerror(errno));
  int parent = getpid();
  victim->pid = fork();
  if (victim->pid < 0) leave(EXIT_ABSENT, "fork: %s", strerror(errno));
  if (victim->pid == 0) {
    close(ends[0]);
    becomeVictim(plan, parent, ends[1]);
  }
  close(ends[1]);
  victim->pidfd = (int)syscall(SYS_pidfd_open, victim->pid, 0);
  if (victim->pidfd < 0) leave(EXIT_ABSENT, "pidfd_open: %s", strerror(errno));
  bool ready = awaitReport(ends[0], deadline, &victim->report);
  close(ends[0]);
  if (ready && victim->report.problem[0] != '\0') leave(EXIT_ABSENT, "%s", victim->report.problem);
  if (!ready) {
    struct rusage usage;
    send(victim);
    await(victim, &usage);
  }
  return ready;
}

static int64_t timevalNs(struct timeval time) { return (int64_t)time.tv_sec * 1000000000 + (int64_t)time.tv_usec * 1000; }

static Kill killVictim(const Victim *victim, bool mrelease) {
  Kill kill = {0};
  struct rusage usage;
  nanosleep(&(struct timespec){.tv_nsec = SETTLE_NS}, NULL);
  int64_t start = clockNs(CLOCK_MONOTONIC);
  send(victim);
  if (mrelease) {
    int64_t called = clockNs(CLOCK_MONOTONIC);
    if (syscall(SYS_process_mrelease, victim->pidfd, 0) != 0) kill.error = errno;
    kill.mreleaseNs = clockNs(CLOCK_MONOTONIC) - called;
  }
  await(victim, &usage);
  kill.killToWaitNs = clockNs(CLOCK_MONOTONIC) - start;
  kill.victimCpuNs = timevalNs(usage.ru_utime) + timevalNs(usage.ru_stime) - victim->report.cpuNs;
  return kill;
}

static const char *errorName(int error) {
  switch (error) {
    case 0: return "null";
    case ESRCH: return "\"ESRCH\"";
    case EINTR: return "\"EINTR\"";
    case EAGAIN: return "\"EAGAIN\"";
    default: leave(EXIT_FAULT, "process_mrelease: %s", strerror(error));
  }
}

static void printKill(int64_t pair, bool mrelease, const Kill *kill) {
  printf("{\"pair\":%" PRId64 ",\"mrelease\":%s,\"killToWaitNs\":%" PRId64 ",\"mreleaseNs\":%" PRId64
         ",\"error\":%s,\"victimCpuNs\":%" PRId64 "}\n",
         pair, mrelease ? "true" : "false", kill->killToWaitNs, kill->mreleaseNs, errorName(kill->error),
         kill->victimCpuNs < 0 ? 0 : kill->victimCpuNs);
}

static void printVictims(const Report *report) {
  struct utsname system;
  uname(&system);
  printf("{\"release\":\"%s\",\"vmas\":%" PRId64 ",\"movedPages\":%" PRId64 "}\n", system.release, report->vmas,
         report->movedPages);
}

/* Both kills of a pair, `pair` -1 to warm up; false when time ran out. */
static bool runPair(const Plan *plan, int64_t pair, int64_t deadline) {
  Kill kills[2];
  for (int i = 0; i < 2; i++) {
    Victim victim;
    if (!makeVictim(plan, deadline, &victim)) return false;
    kills[i] = killVictim(&victim, (i == 1) != (pair % 2 != 0));
    if (pair < 0 && i == 0) printVictims(&victim.report);
    // Before the next fork: what is buffered would be in both processes.
    fflush(stdout);
  }
  if (pair < 0) return true;
  for (int i = 0; i < 2; i++) printKill(pair, (i == 1) != (pair % 2 != 0), &kills[i]);
  fflush(stdout);
  return true;
}

int main(int argc, char **argv) {
  int64_t pairs = argc == 3 ? atoll(argv[1]) : 0;
  double seconds = argc == 3 ? atof(argv[2]) : 0;
  if (pairs < 1 || !(seconds > 0)) leave(EXIT_UNUSABLE, "expected PAIRS SECONDS, both more than 0");
  // Whoever started it may end without asking.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Plan plan = {0};
  readPlan(&plan);
  requireSystem();
  int64_t deadline = clockNs(CLOCK_MONOTONIC) + (int64_t)(seconds * 1e9);
  int64_t done = -1;
  for (int64_t longest = 0; done < pairs; done++) {
    int64_t began = clockNs(CLOCK_MONOTONIC);
    if (began + longest > deadline || !memorySuffices(&plan) || !runPair(&plan, done, deadline)) break;
    int64_t took = clockNs(CLOCK_MONOTONIC) - began;
    if (took > longest) longest = took;
  }
  if (done > 0) return 0;
  if (!memorySuffices(&plan)) {
    leave(EXIT_ABSENT, "%" PRId64 " MiB of memory are available, expected a quarter more than the layout's %" PRId64 " MiB",
          availableBytes() >> 20, plan.present * PAGE_BYTES >> 20);
  }
  leave(EXIT_ABSENT, "no pair of kills was done in %g s", seconds);
}
