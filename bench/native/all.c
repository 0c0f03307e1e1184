/* The twin as one translation unit: cc -O2 -fwrapv -pthread -I DIRECTORY_OF_LAYOUT_H all.c */

#define _GNU_SOURCE

#include "twin.h"

#include "mem.c"
#include "lock-stat.c"
#include "spinlock.c"
#include "mmap-lock.c"
#include "page.c"
#include "buddy.c"
#include "pcp.c"
#include "page-alloc.c"
#include "tlb.c"
#include "mmu-gather.c"
#include "maple-tree.c"
#include "zap.c"
#include "unmap.c"
#include "main.c"
