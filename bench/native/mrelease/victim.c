/*
 * The process that gets killed. It maps the layout where its description says, or all of it moved by one distance where
 * those addresses are taken, fills its present pages by writing, and waits.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "mrelease.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static char *addressOf(const Vma *vma, int64_t movedPages) {
  return (char *)((uintptr_t)(vma->startPage + movedPages) * PAGE_BYTES);
}

static size_t bytesOf(int64_t pages) { return (size_t)pages * PAGE_BYTES; }

/*
 * Maps one VMA, writable until its pages are there. Neighbours alternate in a flag that no teardown looks at
 * (VM_DONTDUMP): the kernel would merge them otherwise.
 */
static bool mapVma(const Vma *vma, char *at, bool odd) {
  int kind = vma->shared ? MAP_SHARED : MAP_PRIVATE;
  int protection = vma->runs > 0 ? PROT_READ | PROT_WRITE : vma->protection;
  size_t bytes = bytesOf(vma->pages);
  char *got = mmap(at, bytes, protection, kind | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (got == MAP_FAILED) return false;
  if (odd && madvise(at, bytes, MADV_DONTDUMP) != 0) return false;
  // A kernel built without huge pages knows neither advice, and needs none.
  int advice = vma->order == HUGE_ORDER ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
  return madvise(at, bytes, advice) == 0 || errno == EINVAL;
}

/* Maps all VMAs; on failure none is left and errno says why. */
static bool mapAll(const Plan *plan, int64_t movedPages) {
  const int64_t *end = plan->words + plan->used;
  bool odd = false;
  for (const int64_t *at = plan->words; at < end; odd = !odd) {
    Vma vma;
    const int64_t *next = nextVma(at, &vma);
    if (!mapVma(&vma, addressOf(&vma, movedPages), odd)) {
      int why = errno;
      for (const int64_t *done = plan->words; done < at;) {
        done = nextVma(done, &vma);
        munmap(addressOf(&vma, movedPages), bytesOf(vma.pages));
      }
      errno = why;
      return false;
    }
    at = next;
  }
  return true;
}

/* Distance to a place where the whole span is free, a multiple of MOVE_BYTES; 0 when there is none. */
static int64_t findPlace(const Plan *plan) {
  uintptr_t from = (uintptr_t)plan->firstPage * PAGE_BYTES;
  size_t span = bytesOf(plan->endPage - plan->firstPage) + MOVE_BYTES;
  char *free = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (free == MAP_FAILED) return 0;
  munmap(free, span);
  uintptr_t to = (uintptr_t)free + ((from - (uintptr_t)free) & (MOVE_BYTES - 1));
  return ((int64_t)to - (int64_t)from) / PAGE_BYTES;
}

static bool mapSomewhere(const Plan *plan, Report *report) {
  if (mapAll(plan, 0)) return true;
  int why = errno;
  report->movedPages = findPlace(plan);
  if (report->movedPages != 0 && mapAll(plan, report->movedPages)) return true;
  snprintf(report->problem, sizeof report->problem, "the layout cannot be mapped here: %s", strerror(why));
  return false;
}

/* Makes the present pages, as a write to each would, then takes away what the layout does not allow. */
static bool fill(const Plan *plan, Report *report) {
  const int64_t *end = plan->words + plan->used;
  for (const int64_t *at = plan->words; at < end;) {
    Vma vma;
    const int64_t *next = nextVma(at, &vma);
    char *start = addressOf(&vma, report->movedPages);
    for (const int64_t *run = next - 2 * vma.runs; run < next; run += 2) {
      if (madvise(start + bytesOf(run[0]), bytesOf(run[1]), MADV_POPULATE_WRITE) == 0) continue;
      snprintf(report->problem, sizeof report->problem, "its pages cannot be had: %s", strerror(errno));
      return false;
    }
    if (vma.runs > 0 && vma.protection != (PROT_READ | PROT_WRITE)) {
      if (mprotect(start, bytesOf(vma.pages), vma.protection) != 0) {
        snprintf(report->problem, sizeof report->problem, "mprotect: %s", strerror(errno));
        return false;
      }
    }
    at = next;
  }
  return true;
}

/* Mappings that the kernel shows in the places of the layout's VMAs; the program's own may lie between those. */
static int64_t countMappings(const Plan *plan, int64_t movedPages) {
  FILE *maps = fopen("/proc/self/maps", "r");
  if (!maps) return 0;
  const int64_t *at = plan->words, *end = plan->words + plan->used;
  unsigned long start;
  int64_t count = 0;
  Vma vma = {0};
  while (fscanf(maps, "%lx%*[^\n]", &start) == 1) {
    int64_t page = (int64_t)(start / PAGE_BYTES) - movedPages;
    while (vma.startPage + vma.pages <= page && at < end) at = nextVma(at, &vma);
    if (page >= vma.startPage && page < vma.startPage + vma.pages) count++;
  }
  fclose(maps);
  return count;
}

/* Should memory run out, the victim goes and nobody else. */
static void volunteer(void) {
  int file = open("/proc/self/oom_score_adj", O_WRONLY);
  if (file < 0) return;
  if (write(file, "1000", 4) != 4) fprintf(stderr, "mrelease: oom_score_adj: %s\n", strerror(errno));
  close(file);
}

_Noreturn static void becomeVictim(const Plan *plan, int parent, int ready) {
  Report report = {0};
  // It ends with its parent, even when that was gone before the first line here.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
  volunteer();
  if (mapSomewhere(plan, &report) && fill(plan, &report)) report.vmas = countMappings(plan, report.movedPages);
  munmap(plan->words, plan->room * sizeof(int64_t));
  report.cpuNs = clockNs(CLOCK_PROCESS_CPUTIME_ID);
  if (write(ready, &report, sizeof report) != sizeof report) _exit(1);
  for (;;) pause();
}
