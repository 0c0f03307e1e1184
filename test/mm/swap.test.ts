import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { runToEnd } from "../../src/arena/mem.ts";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MMF_UNSTABLE } from "../../src/mm/mm-struct.ts";
import { PTE_SHIFT } from "../../src/mm/page-table.ts";
import { allocSwapSlot, freeSwapAndCache, swapContent, swapDuplicate, swapEntry } from "../../src/mm/swap.ts";
import { tlbActivate } from "../../src/mm/tlb.ts";
import { getUser, putUser } from "../../src/mm/user-fault.ts";
import { counters, endAll, kindsMachine, readKinds, slotsInUse } from "./kinds.ts";
import { acquired, buildMm, everySeed, faultsOf, full, zap } from "./mm-machine.ts";

const SEEDS = 1000;

describe("a swap slot", () => {
  it("keeps a content, is free after its last use, and is then used again first", () => {
    const m = kindsMachine({ swapSlots: 2 });
    const slot = runToEnd(allocSwapSlot(m.cpu, 77));
    expect(swapEntry(slot) >>> PTE_SHIFT).toBe(slot);
    runToEnd(swapDuplicate(m.cpu, slot));
    runToEnd(freeSwapAndCache(m.cpu, slot, 1));
    expect([slotsInUse(m), swapContent(m.cpu, slot)]).toEqual([1, 77]);
    runToEnd(freeSwapAndCache(m.cpu, slot, 1));
    expect(slotsInUse(m)).toBe(0);
    expect(runToEnd(allocSwapSlot(m.cpu, 78))).toBe(slot);
    const other = runToEnd(allocSwapSlot(m.cpu, 79));
    expect([other, runToEnd(allocSwapSlot(m.cpu, 80))]).toEqual([slot + 1, 0]);
    expect(swapContent(m.cpu, slot)).toBe(78);
  });

  it("cannot be freed or shared when it is free", () => {
    const m = kindsMachine();
    const slot = runToEnd(allocSwapSlot(m.cpu, 1));
    runToEnd(freeSwapAndCache(m.cpu, slot, 1));
    expect(() => runToEnd(freeSwapAndCache(m.cpu, slot, 1))).toThrow("I2: freeSwapAndCache: swap slot 0 is free");
    const again = kindsMachine();
    expect(() => runToEnd(swapDuplicate(again.cpu, again.map.shape.frames + 3))).toThrow("swap slot 3 is free");
  });

  it("that is never freed is a finding", () => {
    const m = kindsMachine();
    runToEnd(allocSwapSlot(m.cpu, 1));
    expect(faultsOf(m)).toEqual(["I3: 1 swap slots were never freed"]);
  });
});

/** Zaps 0x10 to 0x12, one gather each. */
function* zapSlowly(cpu: Cpu, mm: number): Steps<void> {
  for (const vpn of [0x10, 0x12, 0x11]) yield* zap(cpu, mm, vpn, vpn + 1);
}

describe("a page that is swapped out", () => {
  it("comes back with its content, and its slot is free", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 4, { present: [0, 1], swapped: [1, 2] })]);
    expect([...readKinds(m, mm)]).toEqual([
      [0x10, "anon"],
      [0x11, "swap"],
      [0x12, "swap"],
    ]);
    expect(runToEnd(getUser(m.cpu, mm, 0x12))).toBe(0x12);
    expect([readKinds(m, mm).get(0x12), slotsInUse(m)]).toEqual(["anon", 1]);
    expect(counters(m, mm)).toMatchObject({ anon: 2, swap: 1 });
    expect(endAll(m, mm)).toEqual({});
  });

  it("comes back even to an unstable mm: nobody has reaped it", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 1, { present: [], swapped: [0, 1] })]);
    runToEnd(setMmFlag(m.cpu, mm, MMF_UNSTABLE));
    expect(runToEnd(getUser(m.cpu, mm, 0x10))).toBe(0x10);
  });

  it("loses its slot to a zap, a run of slots for one lock", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 40, { present: [0, 1, 21, 1], swapped: [1, 20, 22, 10] })]);
    const before = acquired(m, "swap_lock");
    runToEnd(zap(m.cpu, mm, 0x10, 0x38));
    expect(acquired(m, "swap_lock") - before).toBe(2);
    expect([slotsInUse(m), readKinds(m, mm).size, counters(m, mm).swap]).toEqual([0, 0, 0]);
    expect(endAll(m, mm)).toEqual({});
  });

  it("has its slot freed once, whoever of two zappers and a fault comes first", () => {
    const m = kindsMachine();
    const mm = buildMm(m, [full(0x10, 3, { present: [], swapped: [0, 3] })]);
    runToEnd(tlbActivate(m.handle(1), mm));
    const ends = new Set<string>();
    everySeed(m, {
      programs: [(cpu) => zap(cpu, mm, 0x10, 0x13), (cpu) => zap(cpu, mm, 0x11, 0x13)],
      seeds: SEEDS,
      look: () => {
        expect([slotsInUse(m), counters(m, mm).swap]).toEqual([0, 0]);
      },
    });
    everySeed(m, {
      programs: [(cpu) => zapSlowly(cpu, mm), (cpu) => putUser(cpu, mm, 0x11, 5)],
      seeds: SEEDS,
      look: () => {
        expect([slotsInUse(m), counters(m, mm).swap]).toEqual([0, 0]);
        ends.add([...readKinds(m, mm)].join());
        expect(endAll(m, mm)).toEqual({});
      },
    });
    expect([...ends].sort()).toEqual(["", "17,anon"]);
  });
});
