import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { OP_ADD, OP_CMPXCHG, OP_OR, runToEnd } from "../../src/arena/mem.ts";
import { regionAt } from "../../src/arena/region.ts";
import type { Mapping } from "../../src/machine/address-space.ts";
import { readFigures } from "../../src/machine/race.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { mmFlagSet } from "../../src/mm/mm.ts";
import { MMF_UNSTABLE, Mm } from "../../src/mm/mm-struct.ts";
import { MmuGather, tlbFinishMmu, tlbGatherMmu } from "../../src/mm/mmu-gather.ts";
import { PageTable, PTE_LOCK } from "../../src/mm/page-table.ts";
import { forward } from "../../src/mm/traversal/forward.ts";
import { TRAVERSAL_ORDERS } from "../../src/mm/traversal/index.ts";
import { reverse } from "../../src/mm/traversal/reverse.ts";
import { skipBusy } from "../../src/mm/traversal/skip-busy.ts";
import { reapVmas, unmapVmas } from "../../src/mm/unmap.ts";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";
import {
  buildMm,
  endMm,
  everySeed,
  faultsOf,
  full,
  gatherAt,
  mappedPages,
  mmMachine,
  type Op,
  presentPages,
  rss,
  tableAt,
  watchingPort,
} from "./mm-machine.ts";

const SEEDS = 1000;

/** Five VMAs in six tables. */
const MAPPINGS: readonly Mapping[] = [
  full(0x10, 3),
  full(0x20, 2, { flags: VM_WRITE | VM_SHARED }),
  full(0x1fe, 4, { flags: VM_WRITE | VM_LOCKED }),
  full(0x1000, 0x410, { present: [3, 2, 0x400, 2] }),
  full(0x10_0000, 2, { flags: VM_WRITE | VM_HUGETLB }),
];

const of = (indices: readonly number[]): number[] => presentPages(indices.map((i) => MAPPINGS[i] as Mapping));

describe("unmapVmas", () => {
  it("unmaps everything, low to high, into the caller's gather, and says when it was through", () => {
    const m = mmMachine();
    const mm = buildMm(m, MAPPINGS);
    const locks: number[] = [];
    const seen = ({ kind, word, b }: Op): void => {
      if (kind === OP_CMPXCHG && b === 1 && regionAt(m.map.memory, word)?.name === "tables") locks.push(word);
    };
    const cpu = m.handle(0, watchingPort(seen));
    runToEnd(tlbGatherMmu(cpu, mm));
    runToEnd(unmapVmas(cpu, mm));
    const expected = [0x10, 0x20, 0x1fe, 0x200, 0x1000, 0x1400, 0x10_0000];
    expect(locks).toEqual(expected.map((vpn) => tableAt(m, mm, vpn) + PageTable.lock));
    expect(mappedPages(m, mm)).toEqual([]);
    expect(m.words[gatherAt(m, 0) + MmuGather.mm]).toBe(mm);
    expect(readFigures(m.words, m.map, 0).leftLastVmaNs).toBeGreaterThan(0);
    runToEnd(tlbFinishMmu(cpu));
    endMm(m, mm);
    expect(faultsOf(m)).toEqual([]);
  });
});

describe("reapVmas", () => {
  it("says that the mm is unstable before it takes the first lock", () => {
    const m = mmMachine();
    const mm = buildMm(m, MAPPINGS);
    const ops: Op[] = [];
    runToEnd(
      reapVmas(
        m.handle(
          0,
          watchingPort((op) => ops.push(op)),
        ),
        mm,
        forward,
        0,
      ),
    );
    expect(ops[0]).toEqual({ kind: OP_OR, word: mm + Mm.flags, a: MMF_UNSTABLE, b: 0 });
    expect(runToEnd(mmFlagSet(m.cpu, mm, MMF_UNSTABLE))).toBe(true);
  });

  it("leaves shared mappings alone, and those with a flag to skip, in every order", () => {
    for (const order of TRAVERSAL_ORDERS) {
      const m = mmMachine();
      const mm = buildMm(m, MAPPINGS);
      runToEnd(reapVmas(m.cpu, mm, order, VM_LOCKED | VM_HUGETLB | VM_PFNMAP));
      expect(mappedPages(m, mm), order.name).toEqual(of([1, 2, 4]));
      runToEnd(reapVmas(m.cpu, mm, order, VM_PFNMAP));
      expect(mappedPages(m, mm), order.name).toEqual(of([1]));
      expect(rss(m, mm)).toBe(2);
      endMm(m, mm);
      expect(faultsOf(m)).toEqual([]);
    }
  });

  it("opens one gather per VMA that it touches, one at a time", () => {
    const m = mmMachine();
    const mm = buildMm(m, MAPPINGS);
    const pending: number[] = [];
    const seen = ({ kind, word, a }: Op): void => {
      if (kind === OP_ADD && word === mm + Mm.tlbFlushPending) pending.push(a);
    };
    runToEnd(reapVmas(m.handle(0, watchingPort(seen)), mm, reverse, VM_LOCKED));
    expect(pending).toEqual([1, -1, 1, -1, 1, -1]);
    expect([m.words[gatherAt(m, 0) + MmuGather.mm], m.words[mm + Mm.tlbFlushPending]]).toEqual([0, 0]);
  });

  it("walks through an mm without VMAs", () => {
    for (const order of TRAVERSAL_ORDERS) {
      const m = mmMachine();
      const mm = buildMm(m, []);
      runToEnd(reapVmas(m.cpu, mm, order, 0));
      expect(readFigures(m.words, m.map, 0).leftLastVmaNs).toBeGreaterThan(0);
      endMm(m, mm);
    }
  });

  it("comes back for a table whose lock was held when it came by", () => {
    const m = mmMachine();
    const mm = buildMm(m, [full(0x10, 2), full(0x400, 2), full(0x10_0000, 2)]);
    const lock = tableAt(m, mm, 0x400) + PageTable.lock;
    const other = m.handle(1);
    runToEnd(spinLock(other, lock, PTE_LOCK));
    const left: number[] = [];
    let free = false;
    const seen = (): void => {
      // The other CPU lets go once the reaper has been everywhere else.
      if (free || mappedPages(m, mm).length > 2 || m.words[m.cpu.mm + CpuMm.cursor] === 0) return;
      left.push(...mappedPages(m, mm));
      free = true;
      runToEnd(spinUnlock(other, lock, PTE_LOCK));
    };
    runToEnd(reapVmas(m.handle(0, watchingPort(seen)), mm, skipBusy, 0));
    expect(left).toEqual([0x400, 0x401]);
    expect(mappedPages(m, mm)).toEqual([]);
  });

  it("races the victim's walk in every order: each page goes once, and none is left", () => {
    for (const order of TRAVERSAL_ORDERS) {
      const m = mmMachine();
      const mm = buildMm(m, [full(0x1ff, 2), full(0x400, 2)]);
      const shares = [0, 0];
      everySeed(m, {
        programs: [(cpu) => unmapGathered(cpu, mm), (cpu) => reapVmas(cpu, mm, order, 0)],
        seeds: SEEDS / 4,
        look: () => {
          const [victim, reaper] = [0, 1].map((id) => readFigures(m.words, m.map, id).ptes) as [number, number];
          expect([victim + reaper, rss(m, mm), mappedPages(m, mm)]).toEqual([4, 0, []]);
          if (victim > 0) shares[0]!++;
          if (reaper > 0) shares[1]!++;
        },
      });
      for (const share of shares) expect(share, order.name).toBeGreaterThan(SEEDS / 40);
    }
  });
});

function* unmapGathered(cpu: Cpu, mm: number): Steps<void> {
  yield* tlbGatherMmu(cpu, mm);
  yield* unmapVmas(cpu, mm);
  yield* tlbFinishMmu(cpu);
}
