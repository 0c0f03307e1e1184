import { expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { AnonVma, anonVmaPrepare, unlinkAnonVmas } from "../../src/mm/anon-vma.ts";
import { MmGlobals } from "../../src/mm/globals.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { slabAlloc } from "../../src/mm/slab.ts";
import { Vma } from "../../src/mm/vma.ts";
import { acquired, emptyMm, everySeed, inUse, type MmMachine, mmMachine } from "./mm-machine.ts";

const SEEDS = 1000;

function stage(m: MmMachine): { mm: number; vma: number } {
  const mm = emptyMm(m);
  return { mm, vma: runToEnd(mmapRegion(m.cpu, mm, 0, 1, 0)) };
}

it("a VMA gets one anchor, however often it is prepared", () => {
  const m = mmMachine();
  const { mm, vma } = stage(m);
  expect(runToEnd(anonVmaPrepare(m.cpu, mm, vma))).toBe(true);
  const anchor = m.words[vma + Vma.anonVma] as number;
  expect(runToEnd(anonVmaPrepare(m.cpu, mm, vma))).toBe(true);
  expect(m.words[vma + Vma.anonVma]).toBe(anchor);
  expect([inUse(m, MmGlobals.anonVmas), m.words[anchor + AnonVma.users]]).toEqual([1, 1]);
});

it("two faults that come first leave one anchor, under page_table_lock", () => {
  const m = mmMachine();
  const { mm, vma } = stage(m);
  let raced = 0;
  everySeed(m, {
    programs: [(cpu) => anonVmaPrepare(cpu, mm, vma), (cpu) => anonVmaPrepare(cpu, mm, vma)],
    seeds: SEEDS,
    look: (outcome) => {
      expect(outcome.state === "finished" && outcome.results).toEqual([true, true]);
      expect(inUse(m, MmGlobals.anonVmas)).toBe(1);
      expect(m.words[(m.words[vma + Vma.anonVma] as number) + AnonVma.users]).toBe(1);
      if (acquired(m, "page_table_lock", 0) + acquired(m, "page_table_lock", 1) === 2) raced++;
    },
  });
  expect(raced).toBeGreaterThan(SEEDS / 20);
});

it("an anchor is unlinked under its lock and freed with its last VMA; a VMA without one is left alone", () => {
  const m = mmMachine();
  const { mm, vma } = stage(m);
  runToEnd(unlinkAnonVmas(m.cpu, vma));
  expect(acquired(m, "anon_vma")).toBe(0);
  runToEnd(anonVmaPrepare(m.cpu, mm, vma));
  runToEnd(unlinkAnonVmas(m.cpu, vma));
  expect(acquired(m, "anon_vma")).toBe(1);
  expect([m.words[vma + Vma.anonVma], inUse(m, MmGlobals.anonVmas)]).toEqual([0, 0]);
});

it("an anchor that other VMAs still use outlives one of them", () => {
  const m = mmMachine();
  const { mm, vma } = stage(m);
  runToEnd(anonVmaPrepare(m.cpu, mm, vma));
  const anchor = m.words[vma + Vma.anonVma] as number;
  m.words[anchor + AnonVma.users] = 2;
  runToEnd(unlinkAnonVmas(m.cpu, vma));
  expect([m.words[anchor + AnonVma.users], inUse(m, MmGlobals.anonVmas)]).toEqual([1, 1]);
  m.words[anchor + AnonVma.users] = 0;
  m.words[vma + Vma.anonVma] = anchor;
  expect(() => runToEnd(unlinkAnonVmas(m.cpu, vma))).toThrow("unlinkAnonVmas: no VMA is linked here");
});

it("says so when there is no memory for one", () => {
  const m = mmMachine({ vmas: 1 });
  const { mm, vma } = stage(m);
  runToEnd(slabAlloc(m.cpu, m.map.root + MmGlobals.anonVmas));
  expect(runToEnd(anonVmaPrepare(m.cpu, mm, vma))).toBe(false);
  expect(m.words[vma + Vma.anonVma]).toBe(0);
});
