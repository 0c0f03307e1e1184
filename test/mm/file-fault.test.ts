import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_UNSTABLE, Mm } from "../../src/mm/mm-struct.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { mmapWriteLock, mmapWriteUnlock } from "../../src/mm/mmap-lock.ts";
import { Frame, PAGE_DIRTY, PAGE_YOUNG } from "../../src/mm/page.ts";
import { FOLIO_LOCKED, fileContent, fileSlot, folioTrylock, folioUnlock } from "../../src/mm/page-cache.ts";
import { faultIn, getUser, putUser, VM_FAULT_KILLED } from "../../src/mm/user-fault.ts";
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  VM_FAULT_DONE,
  VM_FAULT_OOM,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
} from "../../src/mm/vm-fault.ts";
import { VM_READ, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { Rwsem } from "../../src/sync/rwsem.ts";
import { cachedPage, counters, endAll, kindsMachine, newFile, readKinds } from "./kinds.ts";
import { acquired, emptyMm, everySeed, frameOf, type MmMachine, refs, rmaps, whileShort, zap } from "./mm-machine.ts";

const SEEDS = 1000;
const START = 0x10;
const MAY_WAIT = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;

/** An mm that maps pages 2..9 of a file of 10 pages at page START. */
function stage(m: MmMachine, flags: number, shmem = false): { mm: number; file: number } {
  const mm = emptyMm(m);
  const file = newFile(m, 10, shmem);
  expect(runToEnd(mmapRegion(m.cpu, mm, START, 10, flags, file, 2))).not.toBe(0);
  return { mm, file };
}

function lockCount(m: MmMachine, mm: number): number {
  return m.words[mm + Mm.mmapLock + Rwsem.count] as number;
}

function linkOf(m: MmMachine, pfn: number): number {
  return m.words[frameOf(m, pfn) + Frame.link] as number;
}

describe("a read of a mapped file", () => {
  it("caches the page and maps it read-only: the cache and the entry hold a reference each", () => {
    const m = kindsMachine();
    const { mm, file } = stage(m, VM_READ);
    expect(runToEnd(getUser(m.cpu, mm, START + 3))).toBe(fileContent(m.cpu, file, 5));
    const pfn = cachedPage(m, file, 5);
    expect([refs(m, pfn), rmaps(m, pfn)]).toEqual([2, 1]);
    expect([...readKinds(m, mm)]).toEqual([[START + 3, "file"]]);
    expect(counters(m, mm)).toMatchObject({ file: 1, anon: 0, shmem: 0 });
    runToEnd(zap(m.cpu, mm, START, START + 10));
    expect([refs(m, pfn), rmaps(m, pfn), counters(m, mm).file]).toEqual([1, 0, 0]);
    expect(linkOf(m, pfn) & (PAGE_DIRTY | PAGE_YOUNG)).toBe(PAGE_YOUNG);
    expect(endAll(m, mm)).toEqual({});
  });

  it("releases mmap_lock while the page is read, and takes it again", () => {
    const m = kindsMachine();
    const { mm } = stage(m, VM_READ);
    const before = acquired(m, "mmap_lock");
    expect(runToEnd(faultIn(m.cpu, mm, START, MAY_WAIT))).toBe(VM_FAULT_DONE);
    expect(acquired(m, "mmap_lock") - before).toBe(2);
    expect(runToEnd(faultIn(m.cpu, mm, START + 1, 0))).toBe(VM_FAULT_DONE);
    expect(acquired(m, "mmap_lock") - before).toBe(3);
    expect(lockCount(m, mm)).toBe(0);
  });

  it("gets SIGBUS behind the file's end, SIGSEGV outside the mapping and for a write that is not allowed", () => {
    const m = kindsMachine();
    const { mm } = stage(m, VM_READ);
    expect(runToEnd(faultIn(m.cpu, mm, START + 7, MAY_WAIT))).toBe(VM_FAULT_DONE);
    expect(runToEnd(faultIn(m.cpu, mm, START + 8, MAY_WAIT))).toBe(VM_FAULT_SIGBUS);
    expect(runToEnd(faultIn(m.cpu, mm, START - 1, MAY_WAIT))).toBe(VM_FAULT_SIGSEGV);
    expect(runToEnd(faultIn(m.cpu, mm, START + 10, MAY_WAIT))).toBe(VM_FAULT_SIGSEGV);
    expect(runToEnd(putUser(m.cpu, mm, START, 1))).toBe(VM_FAULT_SIGSEGV);
    expect(lockCount(m, mm)).toBe(0);
  });

  it("fails without memory, and leaves nothing behind", () => {
    const m = kindsMachine({ minFreePages: 200 });
    const { mm, file } = stage(m, VM_READ);
    whileShort(m, () => expect(runToEnd(faultIn(m.cpu, mm, START, MAY_WAIT))).toBe(VM_FAULT_OOM));
    expect([cachedPage(m, file, 2), lockCount(m, mm)]).toEqual([0, 0]);
    expect(endAll(m, mm)).toEqual({});
  });
});

describe("a write", () => {
  it("to a private mapping copies the page, read before or not; the cache keeps its own", () => {
    for (const readFirst of [false, true]) {
      const m = kindsMachine();
      const { mm, file } = stage(m, VM_READ | VM_WRITE);
      const content = fileContent(m.cpu, file, 2);
      if (readFirst) expect(runToEnd(getUser(m.cpu, mm, START))).toBe(content);
      expect(runToEnd(putUser(m.cpu, mm, START, 7))).toBe(VM_FAULT_DONE);
      expect(runToEnd(getUser(m.cpu, mm, START))).toBe(7);
      const pfn = cachedPage(m, file, 2);
      expect([refs(m, pfn), rmaps(m, pfn), m.words[frameOf(m, pfn) + Frame.data]]).toEqual([1, 0, content]);
      expect(counters(m, mm)).toMatchObject({ file: 0, anon: 1 });
      expect(endAll(m, mm)).toEqual({});
    }
  });

  it("to a shared mapping goes to the file; the page is dirty once it is unmapped", () => {
    for (const shmem of [false, true]) {
      const m = kindsMachine();
      const { mm, file } = stage(m, VM_READ | VM_WRITE | VM_SHARED, shmem);
      if (shmem) expect(runToEnd(getUser(m.cpu, mm, START))).toBe(0);
      expect(runToEnd(putUser(m.cpu, mm, START, 7))).toBe(VM_FAULT_DONE);
      const pfn = cachedPage(m, file, 2);
      expect(m.words[frameOf(m, pfn) + Frame.data]).toBe(7);
      expect(counters(m, mm)).toMatchObject(shmem ? { file: 0, shmem: 1 } : { file: 1, shmem: 0 });
      runToEnd(zap(m.cpu, mm, START, START + 10));
      expect(linkOf(m, pfn) & PAGE_DIRTY).toBe(PAGE_DIRTY);
      expect(runToEnd(getUser(m.cpu, mm, START))).toBe(7);
      expect(endAll(m, mm)).toEqual({});
    }
  });
});

describe("in an unstable mm", () => {
  it.each([
    ["private", VM_READ | VM_WRITE, VM_FAULT_SIGBUS],
    ["shared", VM_READ | VM_WRITE | VM_SHARED, VM_FAULT_DONE],
  ])("a %s mapping answers a read and a write alike", (_name, flags, expected) => {
    const m = kindsMachine();
    const { mm } = stage(m, flags);
    runToEnd(setMmFlag(m.cpu, mm, MMF_UNSTABLE));
    expect(runToEnd(faultIn(m.cpu, mm, START, MAY_WAIT))).toBe(expected);
    expect(runToEnd(putUser(m.cpu, mm, START + 1, 1))).toBe(expected);
    expect(readKinds(m, mm).size).toBe(expected === VM_FAULT_DONE ? 2 : 0);
    expect(endAll(m, mm)).toEqual({});
  });
});

describe("a page under I/O", () => {
  /** Page START is cached, and CPU 1 has it locked. */
  function busyPage(m: MmMachine): { mm: number; slot: number } {
    const { mm, file } = stage(m, VM_READ);
    const slot = fileSlot(m.cpu, file, 2);
    runToEnd(faultIn(m.cpu, mm, START, 0));
    runToEnd(zap(m.cpu, mm, START, START + 1));
    expect(runToEnd(folioTrylock(m.cpu, slot))).toBe(true);
    expect(runToEnd(folioTrylock(m.cpu, slot))).toBe(false);
    return { mm, slot };
  }

  it("is waited for without mmap_lock: a writer gets in, and the lock is released once", () => {
    const m = kindsMachine();
    const { mm, slot } = busyPage(m);
    /** Ends the I/O, once it is sure that nobody holds mmap_lock meanwhile. */
    function* finishIo(cpu: Cpu): Steps<void> {
      yield* mmapRegionLocked(cpu, mm);
      yield* folioUnlock(cpu, slot);
    }
    let waited = 0;
    let asleep = false;
    everySeed(m, {
      programs: [(cpu) => faultIn(cpu, mm, START, MAY_WAIT), finishIo],
      seeds: SEEDS,
      afterStep: () => {
        if (lockCount(m, mm) === 0 && ((m.words[slot] as number) & FOLIO_LOCKED) !== 0) asleep = true;
      },
      look: (outcome) => {
        expect(outcome.state === "finished" && outcome.results[0]).toBe(VM_FAULT_DONE);
        expect([lockCount(m, mm), [...readKinds(m, mm)]]).toEqual([0, [[START, "file"]]]);
        if (asleep) waited++;
        asleep = false;
      },
    });
    expect(waited).toBeGreaterThan(SEEDS / 20);
  });

  it("is given up on by a killed thread, which holds nothing then", () => {
    const m = kindsMachine();
    const { mm } = busyPage(m);
    for (const flags of [MAY_WAIT, FAULT_FLAG_KILLABLE]) {
      everySeed(m, {
        programs: [(cpu) => faultIn(cpu, mm, START, flags), (cpu) => sendSigkill(cpu, 0)],
        seeds: SEEDS / 2,
        look: (outcome) => {
          expect(outcome.state === "finished" && outcome.results[0]).toBe(VM_FAULT_KILLED);
          expect([lockCount(m, mm), readKinds(m, mm).size]).toEqual([0, 0]);
        },
      });
    }
  });
});

/** Maps one more region under mmap_lock for writing. */
function* mmapRegionLocked(cpu: Cpu, mm: number): Steps<void> {
  yield* mmapWriteLock(cpu, mm);
  yield* mmapRegion(cpu, mm, 0x4000, 1, VM_READ);
  yield* mmapWriteUnlock(cpu, mm);
}

describe("two first reads of a page", () => {
  it("cache it once and both map it", () => {
    const m = kindsMachine();
    const { mm, file } = stage(m, VM_READ);
    everySeed(m, {
      programs: [(cpu) => getUser(cpu, mm, START), (cpu) => getUser(cpu, mm, START)],
      seeds: SEEDS,
      look: (outcome, seed) => {
        const content = fileContent(m.cpu, file, 2);
        expect(outcome.state === "finished" && outcome.results).toEqual([content, content]);
        expect([refs(m, cachedPage(m, file, 2)), counters(m, mm).file]).toEqual([2, 1]);
        if (seed % 8 === 0) expect(endAll(m, mm)).toEqual({});
      },
    });
  });
});
