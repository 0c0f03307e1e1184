/*
 * Reading a layout: one line per VMA, ascending, pages of 4 KiB in decimal:
 *
 *   START PAGES PERMISSIONS ORDER [OFFSET COUNT]...
 *
 * START is a page number, PERMISSIONS are as in /proc/PID/maps ("rw-p"), ORDER is that of the folios (9: huge pages are
 * welcome, else none), OFFSET and COUNT are the runs of present pages, counted from START.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mrelease.h"

static const size_t VMA_WORDS = sizeof(Vma) / sizeof(int64_t);

static void append(Plan *plan, const int64_t *words, size_t count) {
  while (plan->used + count > plan->room) {
    size_t room = plan->room == 0 ? 1 << 16 : 2 * plan->room;
    size_t bytes = room * sizeof(int64_t);
    void *made = plan->room == 0
                     ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                     : mremap(plan->words, plan->room * sizeof(int64_t), bytes, MREMAP_MAYMOVE);
    if (made == MAP_FAILED) leave(EXIT_ABSENT, "no memory for the layout's description");
    plan->words = made;
    plan->room = room;
  }
  memcpy(plan->words + plan->used, words, count * sizeof(int64_t));
  plan->used += count;
}

/* The VMA at `words`; returns the place of the next one. Its runs begin VMA_WORDS behind `words`. */
static const int64_t *nextVma(const int64_t *words, Vma *vma) {
  memcpy(vma, words, sizeof *vma);
  return words + VMA_WORDS + 2 * vma->runs;
}

/* Takes the next number of a line, at least `least`. */
static bool takeNumber(char **at, int64_t least, int64_t *value) {
  char *end;
  *value = strtoll(*at, &end, 10);
  bool taken = end != *at && *value >= least;
  *at = end;
  return taken;
}

static bool takePermissions(char **at, Vma *vma) {
  char text[5];
  int length = 0;
  if (sscanf(*at, " %4[-rwxps]%n", text, &length) != 1 || strlen(text) != 4) return false;
  vma->protection = (text[0] == 'r' ? PROT_READ : 0) | (text[1] == 'w' ? PROT_WRITE : 0) | (text[2] == 'x' ? PROT_EXEC : 0);
  vma->shared = text[3] == 's';
  *at += length;
  return true;
}

/* Appends the runs behind their VMA; false when they do not ascend inside it. */
static bool takeRuns(Plan *plan, char *at, Vma *vma) {
  int64_t end = 0;
  while (at[strspn(at, " \n")] != '\0') {
    int64_t run[2];
    if (!takeNumber(&at, end, &run[0]) || !takeNumber(&at, 1, &run[1])) return false;
    end = run[0] + run[1];
    if (end > vma->pages) return false;
    append(plan, run, 2);
    plan->present += run[1];
    vma->runs++;
  }
  return true;
}

static bool takeVma(Plan *plan, char *line) {
  Vma vma = {0};
  int64_t order;
  if (!takeNumber(&line, plan->endPage, &vma.startPage) || !takeNumber(&line, 1, &vma.pages)) return false;
  if (!takePermissions(&line, &vma) || !takeNumber(&line, 0, &order)) return false;
  vma.order = (int32_t)order;
  size_t at = plan->used;
  append(plan, (const int64_t *)&vma, VMA_WORDS);
  if (!takeRuns(plan, line, &vma)) return false;
  memcpy(plan->words + at, &vma, sizeof vma);
  if (plan->vmas++ == 0) plan->firstPage = vma.startPage;
  plan->endPage = vma.startPage + vma.pages;
  return true;
}

static void readPlan(Plan *plan) {
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) {
    if (takeVma(plan, line)) continue;
    leave(EXIT_UNUSABLE, "line %" PRId64 ": expected START PAGES PERMISSIONS ORDER [OFFSET COUNT]..., ascending",
          plan->vmas + 1);
  }
  free(line);
  if (plan->present == 0) leave(EXIT_UNUSABLE, "standard input: no present page, expected a layout with some");
}
