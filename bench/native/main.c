/*
 * Runs the loop over an arena image, as often as it is asked to.
 *
 *   twin IMAGE MACHINE SYNC_BASE MM_BASE MM
 *
 * IMAGE holds the arena's words as the race was staged; the numbers are word addresses: the machine's root struct, the
 * first CpuSync and CpuMm, and the victim's mm. Commands come line by line on standard input, each answered by one
 * line of JSON:
 *
 *   solo | forward | reverse   restores the arena and runs the victim's side, alone or beside a reaper that walks so
 *   dump PATH                  writes the arena as the last run left it
 *
 * It ends with its input. Exit code 1: unusable arguments or files; 3: `fault`.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "twin.h"

enum { VICTIM, REAPER, ACTORS };

_Noreturn static void fault(const char *reason) {
  fprintf(stderr, "%s\n", reason);
  exit(3);
}

_Noreturn static void refuse(const char *what, const char *name) {
  fprintf(stderr, "twin: %s %s: %s\n", what, name, strerror(errno));
  exit(1);
}

typedef struct {
  int32_t *words;
  int32_t *image;
  size_t size;
  Addr machine;
  Addr syncBase;
  Addr mmBase;
  Addr mm;
} Machine;

/* One run, shared by its threads. */
typedef struct {
  const Machine *machine;
  int32_t actors;
  bool reverse;
  int32_t arrived;
  int32_t released;
  int64_t releaseNs;
} Run;

typedef struct {
  Run *run;
  Cpu cpu;
  int64_t endNs;
  int64_t cpuNs;
} Actor;

/* src/machine/boot.ts: cpuOf */
static Cpu cpuOf(const Machine *machine, int32_t id) {
  Addr mm = machine->mmBase + id * CpuMm_WORDS;
  return (Cpu){
      .words = machine->words,
      .id = id,
      .sync = machine->syncBase + id * CpuSync_WORDS,
      .machine = machine->machine,
      .mm = mm,
      .mmStride = CpuMm_WORDS,
      .tlb = mm + CpuMm_tlb,
      .gather = mm + CpuMm_gather,
  };
}

/* src/machine/roles.ts: unmapLoop */
static void unmapLoop(const Cpu *cpu, Addr mm) {
  mmapReadLock(cpu, mm);
  tlbGatherMmu(cpu, mm);
  unmapVmas(cpu, mm);
  tlbFinishMmu(cpu);
  mmapReadUnlock(cpu, mm);
  stamp(cpu, CpuMm_finishedNs, nowNs());
}

/* src/machine/roles.ts: mrelease, with the v6.1 protocol. The victim's own pin keeps the mm's struct. */
static void mrelease(const Cpu *cpu, Addr mm, bool reverse) {
  mmapReadLock(cpu, mm);
  if ((atomicLoad(cpu, mm + Mm_flags) & MMF_OOM_SKIP) == 0) reapVmas(cpu, mm, reverse, VM_HUGETLB | VM_PFNMAP);
  mmapReadUnlock(cpu, mm);
  if (fetchAdd(cpu, mm + Mm_mmCount, -1) <= 1) fault("mrelease: the last reference to the mm is gone");
  stamp(cpu, CpuMm_finishedNs, nowNs());
}

/* src/run/start-barrier.ts: the last to arrive takes the time and lets all go. */
static void startTogether(Run *run) {
  if (__atomic_add_fetch(&run->arrived, 1, __ATOMIC_SEQ_CST) == run->actors) {
    run->releaseNs = nowNs();
    __atomic_store_n(&run->released, 1, __ATOMIC_SEQ_CST);
    return;
  }
  while (__atomic_load_n(&run->released, __ATOMIC_SEQ_CST) == 0) spinPause();
}

/* src/run/cpu-server.ts: runs the role between start barrier and the readings of the clocks. */
static void *act(void *argument) {
  Actor *actor = argument;
  const Cpu *cpu = &actor->cpu;
  Addr mm = actor->run->machine->mm;
  startTogether(actor->run);
  int64_t cpuBefore = clockNs(CLOCK_THREAD_CPUTIME_ID);
  store(cpu, cpu->sync + CpuSync_state, CPU_RUNNING);
  if (cpu->id == VICTIM) unmapLoop(cpu, mm);
  else mrelease(cpu, mm, actor->run->reverse);
  store(cpu, cpu->sync + CpuSync_state, CPU_DONE);
  actor->endNs = nowNs();
  actor->cpuNs = clockNs(CLOCK_THREAD_CPUTIME_ID) - cpuBefore;
  return NULL;
}

static void printActor(const Actor *actor) {
  const int32_t *words = actor->cpu.words;
  Addr stat = lockStat(&actor->cpu, CLASS_pte_lock);
  printf("{\"wallNs\":%lld,\"cpuNs\":%lld,\"pages\":%d,\"acquired\":%d,\"contended\":%d,\"waitNs\":%lld,\"spinNs\":%lld}",
         (long long)(actor->endNs - actor->run->releaseNs), (long long)actor->cpuNs,
         words[actor->cpu.mm + CpuMm_ptesZapped], words[stat + LockStat_acquired], words[stat + LockStat_contended],
         (long long)readNs(words, stat + LockStat_waitNs), (long long)readNs(words, stat + LockStat_spinNs));
}

static void runOnce(const Machine *machine, int32_t actors, bool reverse) {
  Run run = {.machine = machine, .actors = actors, .reverse = reverse};
  Actor all[ACTORS];
  pthread_t threads[ACTORS];
  memcpy(machine->words, machine->image, machine->size);
  for (int32_t id = 0; id < actors; id++) {
    all[id] = (Actor){.run = &run, .cpu = cpuOf(machine, id)};
    if ((errno = pthread_create(&threads[id], NULL, act, &all[id])) != 0) refuse("pthread_create", "failed");
  }
  for (int32_t id = 0; id < actors; id++) pthread_join(threads[id], NULL);
  printf("{\"actors\":[");
  for (int32_t id = 0; id < actors; id++) {
    if (id > 0) printf(",");
    printActor(&all[id]);
  }
  printf("]}\n");
}

static void dump(const Machine *machine, const char *path) {
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(machine->words, 1, machine->size, file) != machine->size || fclose(file) != 0) refuse("dump", path);
  printf("{\"bytes\":%zu}\n", machine->size);
}

/* Memory as V8 gets it for a SharedArrayBuffer: zeroed, from the C library. */
static int32_t *allocate(size_t size) {
  int32_t *words = calloc(1, size);
  if (!words) refuse("no memory for", "the arena");
  return words;
}

static void readImage(Machine *machine, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) refuse("image", path);
  machine->size = (size_t)ftell(file);
  rewind(file);
  machine->image = allocate(machine->size);
  machine->words = allocate(machine->size);
  if (fread(machine->image, 1, machine->size, file) != machine->size) refuse("image", path);
  fclose(file);
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "twin: expected IMAGE MACHINE SYNC_BASE MM_BASE MM\n");
    return 1;
  }
  Machine machine = {
      .machine = atoll(argv[2]), .syncBase = atoll(argv[3]), .mmBase = atoll(argv[4]), .mm = atoll(argv[5])};
  readImage(&machine, argv[1]);
  clockOriginNs = clockNs(CLOCK_MONOTONIC);
  printf("{\"bytes\":%zu}\n", machine.size);
  fflush(stdout);
  char *line = NULL;
  size_t room = 0;
  for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;) {
    if (line[length - 1] == '\n') line[length - 1] = '\0';
    if (strcmp(line, "solo") == 0) runOnce(&machine, 1, false);
    else if (strcmp(line, "forward") == 0) runOnce(&machine, 2, false);
    else if (strcmp(line, "reverse") == 0) runOnce(&machine, 2, true);
    else if (strncmp(line, "dump ", 5) == 0) dump(&machine, line + 5);
    else fault("twin: expected solo, forward, reverse or dump PATH");
    fflush(stdout);
  }
  return 0;
}
