import fc from "fast-check";
import { expect, it } from "vitest";
import { OP_CMPXCHG, runToEnd } from "../../../src/arena/mem.ts";
import { regionAt } from "../../../src/arena/region.ts";
import { CpuMm } from "../../../src/mm/cpu-mm.ts";
import { PageTable } from "../../../src/mm/page-table.ts";
import { reverse } from "../../../src/mm/traversal/reverse.ts";
import { reapVmas } from "../../../src/mm/unmap.ts";
import { buildMm, endMm, full, mmMachine, tableAt, watchingPort } from "../mm-machine.ts";
import { mapSpans, spans, storeMachines } from "../vma-lab.ts";
import { places, walkOrder } from "./walk.ts";

it.each(storeMachines)("takes whole VMAs from high to low (%s)", (_store, m) => {
  fc.assert(
    fc.property(spans, (all) => {
      const { mm, vmas } = mapSpans(m, all);
      const ranges = walkOrder(m, mm, reverse, () => true);
      expect(places(ranges)).toEqual([...all].reverse());
      expect(ranges.map(({ vma }) => vma)).toEqual([...vmas].reverse());
      endMm(m, mm);
    }),
    { seed: 4, numRuns: 60 },
  );
});

it("has the tables inside a VMA locked from low to high", () => {
  const m = mmMachine();
  const mm = buildMm(m, [full(0x1fe, 4), full(0x500, 0x400, { present: [0, 1, 0x150, 1, 0x350, 1] })]);
  const locks: number[] = [];
  const port = watchingPort(({ kind, word, b }) => {
    if (kind === OP_CMPXCHG && b === 1 && regionAt(m.map.memory, word)?.name === "tables") locks.push(word);
  });
  const cpu = m.handle(0, port);
  runToEnd(reapVmas(cpu, mm, reverse, 0));
  expect(locks).toEqual([0x500, 0x650, 0x850, 0x1fe, 0x200].map((vpn) => tableAt(m, mm, vpn) + PageTable.lock));
  expect(reverse.mayTry(cpu, cpu.mm + CpuMm.cursor)).toBe(false);
});
