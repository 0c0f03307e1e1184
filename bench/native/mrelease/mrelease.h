/* What the files of mrelease share: the layout as it was read, what a victim tells, and how the program ends. */
#ifndef MRELEASE_H
#define MRELEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGE_BYTES = 4096, HUGE_ORDER = 9 };
/* Page tables of the level above the PTE tables map this much: a layout moved by a multiple of it keeps its tables. */
static const uintptr_t MOVE_BYTES = (uintptr_t)1 << 30;

/* Exit codes besides 0. */
enum {
  /* Arguments or input that cannot be used. */
  EXIT_UNUSABLE = 1,
  /* This machine cannot measure it; standard error says why in one line. */
  EXIT_ABSENT = 2,
  /* A system call answered what it never should. */
  EXIT_FAULT = 3,
};

/*
 * The layout: 64-bit words in one mapping, so that a victim rids itself of them with one munmap. Per VMA a Vma, then
 * its runs of present pages: offset, count, offset, count.
 */
typedef struct {
  int64_t startPage;
  int64_t pages;
  /* PROT_*, as it is in the end. */
  int32_t protection;
  int32_t shared;
  int32_t order;
  int32_t runs;
} Vma;

typedef struct {
  int64_t *words;
  size_t used;
  size_t room;
  int64_t vmas;
  int64_t present;
  int64_t firstPage;
  int64_t endPage;
} Plan;

/* What a victim tells through the pipe once it is ready to be killed, or that it cannot be. */
typedef struct {
  /* Empty: ready. */
  char problem[96];
  /* Distance from the layout's addresses to where it lies, in pages. */
  int64_t movedPages;
  /* VMAs that the kernel shows for the layout. */
  int64_t vmas;
  /* CPU time it has used until now. */
  int64_t cpuNs;
} Report;

/* Prints one line to standard error and ends. */
_Noreturn static void leave(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int64_t clockNs(int clock);

/* Reads the layout from standard input. */
static void readPlan(Plan *plan);

/* Turns this process into the victim; it ends by being killed. */
_Noreturn static void becomeVictim(const Plan *plan, int parent, int ready);

static const int64_t *nextVma(const int64_t *words, Vma *vma);

#endif
