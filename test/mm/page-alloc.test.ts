import { describe, expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { runToEnd, xchg } from "../../src/arena/mem.ts";
import { Random } from "../../src/base/random.ts";
import { interleave } from "../../src/explore/engine.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import { Frame, folioAddRmap, folioRefAdd, folioRemoveRmap, pageRefcount } from "../../src/mm/page.ts";
import {
  __GFP_HIGH,
  __GFP_MEMALLOC,
  __GFP_RETRY_MAYFAIL,
  allocPages,
  GFP_ATOMIC,
  GFP_KERNEL,
  GFP_NOWAIT,
  GFP_OOM_VICTIM,
  putPage,
  releasePages,
} from "../../src/mm/page-alloc.ts";
import { pageIsFree } from "../../src/mm/page-check.ts";
import { pageRegions } from "../../src/mm/page-init.ts";
import { CpuPcp, drainPages, ZonePcp } from "../../src/mm/pcp.ts";
import {
  ALLOC_MIN_RESERVE,
  ALLOC_NON_BLOCK,
  ALLOC_OOM,
  defaultMinFreePages,
  nrFreePages,
  Zone,
  zoneWatermarkOk,
  zoneWatermarks,
} from "../../src/mm/zone.ts";
import { largestBlocks, type PageMachine, pageMachine, toyShape } from "./page-machine.ts";

const alloc = (cpu: Cpu, order = 0, gfp = GFP_KERNEL): number => runToEnd(allocPages(cpu, order, gfp));

/** Allocates single pages until it fails; returns them. */
function exhaust(cpu: Cpu, gfp: number): number[] {
  const pfns: number[] = [];
  for (let pfn = alloc(cpu, 0, gfp); pfn !== 0; pfn = alloc(cpu, 0, gfp)) pfns.push(pfn);
  return pfns;
}

describe("watermarks", () => {
  /** 1023 pages, min 64, low 80, high 96, no pages kept on lists. */
  const marked = () => pageMachine({ ...toyShape(1024, 1, 1, 4), minFreePages: 64 });
  const left = (machine: PageMachine): number => machine.words[machine.zone(0) + Zone.nrFreePages] as number;

  it("follow the kernel's formulas", () => {
    // 8 GiB: sqrt(8388608 kB * 16) = 11585 kB; the steps are a thousandth of the zone.
    expect(defaultMinFreePages(2 ** 21)).toBe(2896);
    expect(zoneWatermarks(2 ** 21, 2 ** 21, 2896)).toEqual({ min: 2896, low: 4993, high: 7090 });
    expect(zoneWatermarks(4000, 16000, 1024)).toEqual({ min: 256, low: 320, high: 384 });
    expect([defaultMinFreePages(1), defaultMinFreePages(2 ** 34)]).toEqual([32, 65536]);
  });

  it.each([
    ["GFP_KERNEL stops at min", GFP_KERNEL, 64],
    ["GFP_NOWAIT stops at min", GFP_NOWAIT, 64],
    ["__GFP_HIGH takes half of min", GFP_KERNEL | __GFP_HIGH, 32],
    ["GFP_ATOMIC takes a quarter more", GFP_ATOMIC, 24],
    ["a victim of the OOM killer takes half", GFP_KERNEL | GFP_OOM_VICTIM, 32],
    ["and half of what is left after __GFP_HIGH", GFP_ATOMIC | GFP_OOM_VICTIM, 12],
    ["__GFP_MEMALLOC takes everything", GFP_KERNEL | __GFP_MEMALLOC, 0],
  ])("%s", (_, gfp, expected) => {
    const machine = marked();
    exhaust(machine.cpu(0), gfp);
    expect(left(machine)).toBe(expected);
    machine.check();
  });

  it("tell whether a zone can spare a block", () => {
    const machine = marked();
    const cpu = machine.cpu(0);
    const ok = (order: number, mark: number, flags = 0): boolean =>
      runToEnd(zoneWatermarkOk(cpu, machine.zone(0), order, mark, flags));
    expect([ok(0, 1022), ok(0, 1023)]).toEqual([true, false]);
    expect([ok(9, 511), ok(9, 512)]).toEqual([true, false]);
    expect([ok(0, 2044, ALLOC_MIN_RESERVE), ok(0, 2045, ALLOC_MIN_RESERVE)]).toEqual([true, false]);
    expect([ok(0, 2044, ALLOC_OOM), ok(0, 2045, ALLOC_OOM)]).toEqual([true, false]);
    const atomic = ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK;
    expect([ok(0, 2724, atomic), ok(0, 2725, atomic)]).toEqual([true, false]);
    // 1023 pages are free, but no block of 1024.
    expect(ok(10, -2000)).toBe(false);
  });

  it("refuse a large block when only small ones are left", () => {
    const machine = pageMachine(toyShape(64));
    const cpu = machine.cpu(0);
    const pfns = exhaust(cpu, GFP_KERNEL);
    for (const pfn of pfns) if (pfn % 2 === 1) runToEnd(putPage(cpu, pfn));
    runToEnd(drainPages(cpu));
    expect(runToEnd(nrFreePages(cpu))).toBe(32);
    expect(alloc(cpu, 1)).toBe(0);
    expect(alloc(cpu, 0)).toBeGreaterThan(0);
  });
});

describe("the slow path", () => {
  it("gives back this CPU's own lists before it calls for the OOM killer", () => {
    let calls = 0;
    const machine = pageMachine(toyShape(64), function* () {
      calls++;
      return false;
    });
    const cpu = machine.cpu(0);
    const pfns = exhaust(cpu, GFP_KERNEL);
    expect([pfns.length, calls]).toEqual([63, 1]);
    // Seven single pages stay below the high mark of eight; only a drain makes a block of them.
    for (let pfn = 1; pfn < 8; pfn++) runToEnd(putPage(cpu, pfn));
    expect([alloc(cpu, 2, GFP_NOWAIT), alloc(cpu, 2), calls]).toEqual([0, 4, 1]);
  });

  it("asks the OOM killer again for as long as it helps, for small orders that may wait", () => {
    const asked: number[] = [];
    let help = 2;
    const freed: number[] = [];
    const machine: PageMachine = pageMachine(toyShape(64), function* (cpu, order): Steps<boolean> {
      asked.push(order);
      if (--help < 0) return false;
      if (help === 0) for (const pfn of freed) yield* putPage(cpu, pfn);
      return true;
    });
    const cpu = machine.cpu(0);
    const pfns = exhaust(cpu, GFP_KERNEL | __GFP_RETRY_MAYFAIL);
    expect(asked).toEqual([]);
    freed.push(...pfns.splice(0, 1));
    expect([alloc(cpu), asked]).toEqual([1, [0, 0]]);
    expect([alloc(cpu, 3), asked.at(-1)]).toEqual([0, 3]);
    const before = asked.length;
    expect([alloc(cpu, 4), alloc(cpu, 0, GFP_NOWAIT), alloc(cpu, 0, GFP_KERNEL | GFP_OOM_VICTIM)]).toEqual([0, 0, 0]);
    expect(asked.length).toBe(before);
  });
});

describe("zones and nodes", () => {
  const shape = {
    frames: 3000,
    zones: [
      { node: 0, start: 10, end: 500 },
      { node: 0, start: 600, end: 1500 },
      { node: 1, start: 1500, end: 3000 },
    ],
    cpuNodes: [0, 1],
    minFreePages: 0,
    pcp: { batch: 4, high: 16 },
  };

  it("serve a CPU from its own node, the highest zone first, then from the others", () => {
    const machine = pageMachine({ ...shape, pcp: { batch: 1, high: 4 } });
    const zones = (id: number): string => {
      const pfns = exhaust(machine.cpu(id), GFP_KERNEL);
      machine.reset();
      return [...new Set(pfns.map((pfn) => shape.zones.findIndex((z) => pfn >= z.start && pfn < z.end)))].join();
    };
    expect([zones(0), zones(1)]).toEqual(["1,0,2", "2,1,0"]);
  });

  it("take each page back where it came from", () => {
    const machine = pageMachine(shape);
    const cpu = machine.cpu(0);
    const pfns = exhaust(cpu, GFP_KERNEL | __GFP_MEMALLOC);
    expect(pfns.length).toBe(490 + 900 + 1500);
    expect(machine.check()).toEqual({ managed: 2890, free: 0, onLists: 0, allocated: 2890 });
    for (let i = 0; i < pfns.length; i += 500) {
      const some = pfns.slice(i, i + 500).sort((a, b) => (a % 7) - (b % 7));
      machine.words.set(some, machine.scratch);
      runToEnd(releasePages(machine.cpu(i % 2), machine.scratch, some.length));
      machine.check();
    }
    for (const id of [0, 1]) runToEnd(drainPages(machine.cpu(id)));
    shape.zones.forEach(({ start, end }, i) => {
      expect(machine.freeBlocks(i)).toEqual(largestBlocks(start, end));
    });
  });

  it("keep a part of the lower zone from allocations that could use the higher one", () => {
    const machine = pageMachine({ ...shape, zones: shape.zones.slice(0, 2) });
    // One page in 256 of the 900 above.
    expect(machine.words[machine.zone(0) + Zone.lowmemReserve]).toBe(3);
    exhaust(machine.cpu(0), GFP_KERNEL);
    expect(machine.words[machine.zone(0) + Zone.nrFreePages]).toBeGreaterThanOrEqual(3);
    expect(machine.words[machine.zone(1) + Zone.nrFreePages]).toBe(0);
  });

  it("are refused when they overlap, are empty or lie outside", () => {
    const refused = (zones: { node: number; start: number; end: number }[]) => () => pageRegions({ ...shape, zones });
    const zone = (start: number, end: number) => ({ node: 0, start, end });
    expect(refused([zone(0, 10)])).toThrow("zone [0, 10)");
    expect(refused([zone(10, 10)])).toThrow("zone [10, 10)");
    expect(refused([zone(1, 3001)])).toThrow("outside [1, 3000)");
    expect(refused([zone(1, 20), zone(10, 30)])).toThrow("zone [10, 30)");
    expect(refused([])).toThrow("0 zones");
    expect(() => pageRegions({ ...shape, pcp: { batch: 4, high: 7 } })).toThrow("less than two batches");
    expect(() => pageRegions({ ...shape, frames: 2 ** 29 + 1 })).toThrow("do not fit pfns of 29 bits");
  });

  it("leave frames outside all zones alone", () => {
    const machine = pageMachine(shape);
    const reserved = [0, 9, 500, 599].map((pfn) => machine.words[machine.frame(pfn)]);
    expect(reserved).toEqual(Array(4).fill(0x8200 << 16));
    expect([10, 499, 600, 2999].map((pfn) => machine.words[machine.frame(pfn)])).toEqual([0, 0, 0, 0]);
  });
});

describe("a machine of 1 TiB", () => {
  it("needs less than 13 bytes per page for frames, buddy and lists", () => {
    const frames = 2 ** 28;
    const regions = pageRegions({ frames, zones: [{ node: 0, start: 1, end: frames }], cpuNodes: [0, 0, 0, 0] });
    const bytes = regions.reduce((sum, region) => sum + region.struct.WORDS * region.count * 4, 0);
    expect(bytes / frames).toBeGreaterThan(12);
    expect(bytes / frames).toBeLessThan(12.3);
  });
});

describe("releasePages", () => {
  const setup = () => {
    const machine = pageMachine(toyShape(2048, 1, 4, 64));
    const cpu = machine.cpu(0);
    const release = (...entries: number[]): void => {
      machine.words.set(entries, machine.scratch);
      runToEnd(releasePages(cpu, machine.scratch, entries.length));
    };
    return { machine, cpu, release, inUse: (): number => machine.check().allocated };
  };

  it("frees only what loses its last reference", () => {
    const { cpu, release, inUse } = setup();
    const pfns = Array.from({ length: 200 }, () => alloc(cpu));
    for (const pfn of pfns) if (pfn % 3 === 0) runToEnd(folioRefAdd(cpu, pfn, 1));
    release(...pfns);
    const kept = pfns.filter((pfn) => pfn % 3 === 0);
    expect(inUse()).toBe(kept.length);
    release(...kept);
    expect(inUse()).toBe(0);
  });

  it("drops several references of a folio at once, named by any of its pages", () => {
    const { cpu, release, inUse } = setup();
    const single = alloc(cpu);
    const folio = alloc(cpu, 9);
    runToEnd(folioRefAdd(cpu, folio, 511));
    release(-100, folio, single, -1, folio + 7, -200, folio + 300);
    expect(inUse()).toBe(512);
    expect(runToEnd(pageRefcount(cpu, folio))).toBe(211);
    release(-211, folio + 511);
    expect(inUse()).toBe(0);
  });

  it("notices one reference too many, and a page that is still mapped", () => {
    const { cpu, release } = setup();
    const pfns = Array.from({ length: 4 }, () => alloc(cpu));
    const [a, b, c, d] = pfns as [number, number, number, number];
    expect(() => release(a, a)).toThrow(`I2: putPage: page ${a} is not allocated`);
    expect(() => release(-2, b)).toThrow(`I2: putPage: page ${b} has 1 references, 2 to put`);
    runToEnd(folioAddRmap(cpu, c, 1));
    expect(() => release(c)).toThrow(`I2: putPage: page ${c} is freed while mapped 1 times`);
    runToEnd(folioAddRmap(cpu, d, 1));
    runToEnd(folioRemoveRmap(cpu, d, 1));
    expect(() => release(d)).not.toThrow();
  });
});

describe("allocPages", () => {
  it("refuses a page that somebody wrote to while it was free", () => {
    const machine = pageMachine(toyShape(64));
    const cpu = machine.cpu(0);
    const pfn = alloc(cpu);
    runToEnd(putPage(cpu, pfn));
    machine.words[machine.frame(pfn) + Frame.data] = 7;
    expect(() => alloc(cpu)).toThrow(`I1: allocPages: page ${pfn} was written to while it was free`);
  });

  it("refuses a page that is in use", () => {
    const machine = pageMachine(toyShape(64));
    machine.words[machine.frame(1)] = 1;
    expect(() => alloc(machine.cpu(0))).toThrow("I2: allocPages: page 1 is in use");
  });
});

describe("checkPageAccounting", () => {
  /** A page and a folio of two in use, some on the lists, the rest in the buddy. */
  const setup = () => {
    const machine = pageMachine(toyShape(64, 1, 4, 16));
    const cpu = machine.cpu(0);
    const folio = alloc(cpu, 1);
    alloc(cpu, 0);
    return { machine, cpu, folio };
  };

  it.each<[string, (m: PageMachine, cpu: Cpu, folio: number) => void]>([
    ["page 1 is lost", (m) => m.words.fill(0, m.frame(1), m.frame(2))],
    ["is free, but has 1 references", (m) => m.words.fill(1, m.frame(40), m.frame(40) + 1)],
    ["no proper tail", (m, _, folio) => m.words.fill(0, m.frame(folio + 1), m.frame(folio + 2))],
    ["nrFreePages says", (m) => m.words.fill(3, m.zone(0) + Zone.nrFreePages, m.zone(0) + Zone.nrFreePages + 1)],
    [
      "masks of non-empty orders",
      (m) => m.words.fill(1, m.zone(0) + Zone.nonEmptyOrders, m.zone(0) + Zone.nonEmptyOrders + 1),
    ],
    [
      "its count says",
      (m, cpu) => m.words.fill(9, cpu.mm + CpuPcp.zones + ZonePcp.count, cpu.mm + CpuPcp.zones + ZonePcp.count + 1),
    ],
    ["pages are managed, but", (m, cpu) => m.words.fill(9, cpu.mm + CpuPcp.pgalloc, cpu.mm + CpuPcp.pgalloc + 1)],
  ])("finds: %s", (message, tamper) => {
    const { machine, cpu, folio } = setup();
    machine.check();
    tamper(machine, cpu, folio);
    expect(() => machine.check()).toThrow(message);
  });
});

describe("pageIsFree", () => {
  it("knows tails by their head, and a stale tail from a live one", () => {
    const machine = pageMachine(toyShape(64));
    const cpu = machine.cpu(0);
    const free = (pfn: number): boolean => pageIsFree(machine.words, cpu.machine, pfn);
    const folio = alloc(cpu, 2);
    expect([0, 1, 2, 3, 4].map((i) => free(folio + i))).toEqual([false, false, false, false, true]);
    const tail = machine.words[machine.frame(folio + 3) + Frame.link] as number;
    runToEnd(putPage(cpu, folio));
    expect([0, 1, 2, 3].map((i) => free(folio + i))).toEqual([true, true, true, true]);
    machine.words[machine.frame(folio)] = 1;
    machine.words[machine.frame(folio) + Frame.link] = 0;
    machine.words[machine.frame(folio + 3) + Frame.link] = tail;
    expect(free(folio + 3)).toBe(true);
  });
});

/** Free pages are nobody's: a page handed out twice shows here. */
class Owners {
  readonly #owner = new Map<number, number>();

  take(pfn: number, order: number, cpu: number): void {
    for (let page = pfn; page < pfn + (1 << order); page++) {
      const other = this.#owner.get(page);
      if (other !== undefined) throw new Error(`page ${page} was given to CPU ${cpu} while CPU ${other} had it`);
      this.#owner.set(page, cpu);
    }
  }

  drop(pfn: number, order: number): void {
    for (let page = pfn; page < pfn + (1 << order); page++) this.#owner.delete(page);
  }
}

describe("several CPUs", () => {
  const OPS = 16;
  const MAX_ORDER = 4;

  /** Allocates, frees and swaps pages with the others through one mailbox word; then frees what it has. */
  function* churn(cpu: Cpu, mailbox: number, owners: Owners, random: Random): Steps<void> {
    const held: number[] = [];
    for (let i = 0; i < OPS; i++) {
      const what = random.below(4);
      if (what < 2 || held.length === 0) {
        const order = random.below(3) === 0 ? random.below(MAX_ORDER + 1) : 0;
        const pfn = yield* allocPages(cpu, order, GFP_NOWAIT);
        if (pfn === 0) continue;
        owners.take(pfn, order, cpu.id);
        held.push(pfn * 16 + order);
      } else {
        const [page] = held.splice(random.below(held.length), 1) as [number];
        if (what === 2) {
          const other = yield* xchg(cpu, mailbox, page);
          if (other !== 0) held.push(other);
        } else {
          owners.drop(page >> 4, page & 15);
          yield* putPage(cpu, page >> 4);
        }
      }
    }
    const last = yield* xchg(cpu, mailbox, 0);
    if (last !== 0) held.push(last);
    for (const page of held) {
      owners.drop(page >> 4, page & 15);
      yield* putPage(cpu, page >> 4);
    }
  }

  it.each([
    [2, 700],
    [3, 500],
  ])("%i CPUs never get the same page, and lose none (%i seeds)", (cpus, seeds) => {
    const machine = pageMachine({
      frames: 150,
      zones: [
        { node: 0, start: 3, end: 70 },
        { node: 0, start: 70, end: 150 },
      ],
      cpuNodes: Array.from({ length: cpus }, () => 0),
      minFreePages: 0,
      pcp: { batch: 2, high: 6 },
    });
    let steps = 0;
    for (let seed = 0; seed < seeds; seed++) {
      machine.reset();
      const owners = new Owners();
      const random = new Random(seed * 31 + cpus);
      const programs = Array.from({ length: cpus }, () => {
        const mine = new Random(random.next());
        return (cpu: Cpu) => churn(cpu, machine.scratch, owners, mine);
      });
      const cpuOf = (id: number, port: Cpu["port"]): Cpu => machine.cpu(id, port);
      const outcome = interleave({ words: machine.words, programs, cpuOf, scheduler: randomScheduler(seed) });
      expect(`seed ${seed}: ${describeOutcome(outcome)}`).toContain(`seed ${seed}: finished`);
      // The last to leave may have found the mailbox empty before another CPU filled it.
      const forgotten = machine.words[machine.scratch] as number;
      if (forgotten !== 0) runToEnd(putPage(machine.cpu(0), forgotten >> 4));
      const { managed, free, onLists } = machine.check();
      expect(free + onLists).toBe(managed);
      for (let id = 0; id < cpus; id++) runToEnd(drainPages(machine.cpu(id)));
      expect(machine.freeBlocks(0)).toEqual(largestBlocks(3, 70));
      expect(machine.freeBlocks(1)).toEqual(largestBlocks(70, 150));
      steps += outcome.steps;
    }
    expect(steps).toBeGreaterThan(seeds * cpus * OPS);
  });

  it("free a page that they share exactly once", () => {
    const machine = pageMachine(toyShape(64, 3));
    for (let seed = 0; seed < 1000; seed++) {
      machine.reset();
      const pfn = alloc(machine.cpu(0));
      runToEnd(folioRefAdd(machine.cpu(0), pfn, 2));
      machine.words.set([pfn, pfn, pfn], machine.scratch);
      const outcome = interleave({
        words: machine.words,
        programs: [0, 1, 2].map((id) => (cpu: Cpu) => releasePages(cpu, machine.scratch + id, 1)),
        cpuOf: (id, port) => machine.cpu(id, port),
        scheduler: randomScheduler(seed),
      });
      expect(`seed ${seed}: ${describeOutcome(outcome)}`).toContain(`seed ${seed}: finished`);
      expect(machine.check().allocated).toBe(0);
    }
  });

  it("and one reference too many is found by whoever comes last", () => {
    const machine = pageMachine(toyShape(64, 2));
    for (let seed = 0; seed < 20; seed++) {
      machine.reset();
      const pfn = alloc(machine.cpu(0));
      const outcome = interleave({
        words: machine.words,
        programs: [0, 1].map(() => (cpu: Cpu) => putPage(cpu, pfn)),
        cpuOf: (id, port) => machine.cpu(id, port),
        scheduler: randomScheduler(seed),
      });
      expect(outcome.state).toBe("violation");
    }
  });
});
