/** I6: after MMF_UNSTABLE nobody who lives on reads a private page that a fault put in place of a reaped one. */

import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { load, runToEnd, store } from "../../src/arena/mem.ts";
import { userLoad } from "../../src/mm/fault.ts";
import { addMmCounter } from "../../src/mm/mm.ts";
import { MM_ANONPAGES } from "../../src/mm/mm-struct.ts";
import { folioAddRmap } from "../../src/mm/page.ts";
import { allocPages, GFP_KERNEL, putPage } from "../../src/mm/page-alloc.ts";
import {
  notePresent,
  PageTable,
  PTE_LOCK,
  PTE_PRESENT,
  PTE_SHIFT,
  PTE_WRITE,
  pteAlloc,
  pteLockOf,
} from "../../src/mm/page-table.ts";
import { noteFreshPage } from "../../src/mm/refill.ts";
import { forward } from "../../src/mm/traversal/forward.ts";
import { reapVmas } from "../../src/mm/unmap.ts";
import { getUser } from "../../src/mm/user-fault.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import { kindsMachine } from "./kinds.ts";
import { buildMm, everySeed, firstViolation, full, type MmMachine } from "./mm-machine.ts";

const SEEDS = 1000;
const PAGE = 0x10;

/** One page with the content 7, and others that keep the reaper busy first. */
function stage(m: MmMachine): number {
  return buildMm(m, [full(4, 3), full(PAGE, 1)]);
}

/** A fault that does not look at MMF_UNSTABLE: those of user threads up to v4.12 (B7b). */
function* faultUnchecked(cpu: Cpu, mm: number): Steps<void> {
  const pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
  const table = yield* pteAlloc(cpu, mm, PAGE);
  const lock = pteLockOf(cpu, mm, table, PAGE);
  yield* spinLock(cpu, lock, PTE_LOCK);
  const empty = load(cpu, table + PageTable.entries + PAGE) === 0;
  if (empty) {
    noteFreshPage(cpu, mm, table, PAGE);
    yield* folioAddRmap(cpu, pfn, 1);
    yield* addMmCounter(cpu, mm, MM_ANONPAGES, 1);
    store(cpu, table + PageTable.entries + PAGE, (pfn << PTE_SHIFT) | PTE_PRESENT | PTE_WRITE);
    notePresent(cpu, table, 1);
  }
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  if (!empty) yield* putPage(cpu, pfn);
}

/** A system call that reads the page for somebody else, by the fault above. */
function* readUnchecked(cpu: Cpu, mm: number): Steps<number> {
  for (;;) {
    const value = yield* userLoad(cpu, mm, PAGE);
    if (value !== undefined) return value;
    yield* faultUnchecked(cpu, mm);
  }
}

/** Reads the page several times; returns what came last. */
function* readOften(cpu: Cpu, mm: number, unchecked: boolean): Steps<number | undefined> {
  let value: number | undefined = PAGE;
  for (let i = 0; i < 8 && value === PAGE; i++) {
    value = unchecked ? yield* readUnchecked(cpu, mm) : yield* getUser(cpu, mm, PAGE);
  }
  return value;
}

const reap = (mm: number) => (cpu: Cpu) => reapVmas(cpu, mm, forward, 0);

describe("a reader beside the reaper", () => {
  it("reads what was there, or nothing", () => {
    const m = kindsMachine();
    const mm = stage(m);
    const values = new Set<unknown>();
    everySeed(m, {
      programs: [(cpu) => readOften(cpu, mm, false), reap(mm)],
      seeds: SEEDS,
      look: (outcome) => values.add(outcome.state === "finished" && outcome.results[0]),
    });
    expect([...values]).toEqual(expect.arrayContaining([PAGE, undefined]));
    expect(values.size).toBe(2);
  });

  it("would be shown zeros if the fault did not look at the flag, and is stopped (B7b)", () => {
    const m = kindsMachine();
    const mm = stage(m);
    const programs = [(cpu: Cpu) => readOften(cpu, mm, true), reap(mm)];
    expect(firstViolation(m, { programs, seeds: SEEDS })).toBe(
      `I6: CPU 0 reads page ${PAGE} of mm 1, which was refilled after MMF_UNSTABLE`,
    );
  });

  it("may read what it likes once it is being killed", () => {
    const m = kindsMachine();
    const mm = stage(m);
    runToEnd(sendSigkill(m.cpu, 0));
    const programs = [(cpu: Cpu) => readOften(cpu, mm, true), reap(mm)];
    expect(firstViolation(m, { programs, seeds: SEEDS })).toBeUndefined();
  });
});
