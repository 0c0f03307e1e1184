/** Random lives of an address space with every kind of memory, beside a model: a map from page to what is there. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import { CpuMm } from "../../src/mm/cpu-mm.ts";
import { mmapRegion } from "../../src/mm/mmap.ts";
import { munmap } from "../../src/mm/munmap.ts";
import { findPmd } from "../../src/mm/page-table.ts";
import { remapPfnRange } from "../../src/mm/pfnmap.ts";
import { mapSwapEntry } from "../../src/mm/swap-fault.ts";
import { faultInPage } from "../../src/mm/user-fault.ts";
import { VM_FAULT_DONE, VM_FAULT_SIGBUS, VM_FAULT_SIGSEGV } from "../../src/mm/vm-fault.ts";
import { VM_HUGEPAGE, VM_HUGETLB, VM_PFNMAP, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import { vmaFrom } from "../../src/mm/vma-iter.ts";
import { counters, countersOf, type EntryKind, endAll, kindsMachine, newFile, readKinds } from "./kinds.ts";
import { emptyMm, type MmMachine, zap } from "./mm-machine.ts";

const T = 512;
/** Pages 0 to 2T - 1: a huge page's worth, and one more table for the small kinds. */
const PAGES = 2 * T;

const VMA_KINDS = ["anon", "thp", "file", "shared", "shmem", "device", "hugetlb"] as const;
type VmaKind = (typeof VMA_KINDS)[number];

const FLAGS: Record<VmaKind, number> = {
  anon: VM_WRITE,
  thp: VM_WRITE | VM_HUGEPAGE,
  file: VM_WRITE,
  shared: VM_WRITE | VM_SHARED,
  shmem: VM_WRITE | VM_SHARED,
  device: VM_WRITE | VM_PFNMAP,
  hugetlb: VM_WRITE | VM_HUGETLB,
};

/** The obvious machine: which mapping covers a page, and what its entry is. */
class Model {
  /** One object for each mapping, the same for all its pages. */
  readonly vmas = new Map<number, { readonly kind: VmaKind }>();
  readonly entries = new Map<number, EntryKind>();

  #fill(vpn: number, kind: EntryKind): void {
    const base = vpn - (vpn % T);
    for (let page = base; page < base + T; page++) this.entries.set(page, kind);
  }

  kindAt(vpn: number): VmaKind | undefined {
    return this.vmas.get(vpn)?.kind;
  }

  isFree(start: number, pages: number): boolean {
    for (let page = start; page < start + pages; page++) if (this.vmas.has(page)) return false;
    return true;
  }

  map(start: number, pages: number, kind: VmaKind): void {
    const vma = { kind };
    for (let page = start; page < start + pages; page++) {
      this.vmas.set(page, vma);
      if (kind === "device") this.entries.set(page, "device");
    }
  }

  /** What a fault answers, and does. `tableThere`: a level-0 table maps the page's range already. */
  fault(vpn: number, write: boolean, tableThere: boolean): number {
    const kind = this.kindAt(vpn);
    const there = this.entries.get(vpn);
    if (kind === undefined) return VM_FAULT_SIGSEGV;
    if (kind === "device") return there ? VM_FAULT_DONE : VM_FAULT_SIGBUS;
    if (there === "swap") this.entries.set(vpn, "anon");
    else if (there === "file" && write && kind === "file") this.entries.set(vpn, "anon");
    else if (there === undefined) this.#install(vpn, kind, write, tableThere);
    return VM_FAULT_DONE;
  }

  #install(vpn: number, kind: VmaKind, write: boolean, tableThere: boolean): void {
    if (kind === "hugetlb") this.#fill(vpn, "hugetlb");
    else if (kind === "thp" && !tableThere && this.#covers(vpn)) this.#fill(vpn, "huge");
    else if (kind === "shmem") this.entries.set(vpn, "shmem");
    else if (kind === "shared" || (kind === "file" && !write)) this.entries.set(vpn, "file");
    else this.entries.set(vpn, "anon");
  }

  /** Whether one mapping spans the 512 aligned pages around `vpn`. */
  #covers(vpn: number): boolean {
    const base = vpn - (vpn % T);
    for (let page = base; page < base + T; page++) if (this.vmas.get(page) !== this.vmas.get(vpn)) return false;
    return true;
  }

  zap(start: number, pages: number): void {
    for (let page = start; page < start + pages; page++) this.entries.delete(page);
    this.#split(start);
    this.#split(start + pages);
  }

  /** A huge page that is zapped in part is 512 small ones from then on. */
  #split(at: number): void {
    if (at % T === 0) return;
    const base = at - (at % T);
    for (let page = base; page < base + T; page++)
      if (this.entries.get(page) === "huge") this.entries.set(page, "anon");
  }

  unmap(start: number, pages: number): void {
    this.zap(start, pages);
    const above = this.vmas.get(start + pages);
    if (above !== undefined && above === this.vmas.get(start + pages - 1)) {
      const upper = { kind: above.kind };
      for (let page = start + pages; this.vmas.get(page) === above; page++) this.vmas.set(page, upper);
    }
    for (let page = start; page < start + pages; page++) this.vmas.delete(page);
  }
}

type Command =
  | { readonly what: "mmap"; readonly kind: VmaKind; readonly start: number; readonly pages: number }
  | { readonly what: "fault"; readonly vpn: number; readonly write: boolean }
  | { readonly what: "swap"; readonly vpn: number }
  | { readonly what: "zap" | "munmap"; readonly start: number; readonly pages: number };

/** Around the borders that matter: table ends, and a few pages near them. */
const page = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: T - 6, max: T + 12 }));
const length = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(T));
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ what: fc.constant("mmap" as const), kind: fc.constantFrom(...VMA_KINDS), start: page, pages: length }),
  fc.record({ what: fc.constant("fault" as const), vpn: page, write: fc.boolean() }),
  fc.record({ what: fc.constant("fault" as const), vpn: page, write: fc.boolean() }),
  fc.record({ what: fc.constant("swap" as const), vpn: page }),
  fc.record({ what: fc.constantFrom("zap" as const, "munmap" as const), start: page, pages: length }),
);

/** The machine and its model, one command at a time. */
class Life {
  readonly m: MmMachine;
  readonly mm: number;
  readonly model = new Model();

  constructor(lockGranularity: "mm" | "table" | "pte") {
    this.m = kindsMachine({ lockGranularity, frames: 6000, files: 64, filePages: 64 * T, vmas: 64, tables: 64 });
    this.mm = emptyMm(this.m);
  }

  run(command: Command): void {
    if (command.what === "mmap") this.#mmap(command.kind, command.start, command.pages);
    else if (command.what === "fault") this.#fault(command.vpn, command.write);
    else if (command.what === "swap") this.#swap(command.vpn);
    else this.#remove(command.what, command.start, Math.min(command.pages, PAGES - command.start));
    expect(readKinds(this.m, this.mm)).toEqual(new Map([...this.model.entries].sort(([a], [b]) => a - b)));
    expect(counters(this.m, this.mm)).toEqual(countersOf(this.model.entries.values()));
  }

  #mmap(kind: VmaKind, start: number, pages: number): void {
    const whole = kind === "hugetlb" || (kind === "thp" && pages === T);
    const from = whole ? start - (start % T) : start;
    const count = whole ? T : Math.min(pages, PAGES - from);
    if (!this.model.isFree(from, count)) return;
    const file = ["file", "shared", "shmem"].includes(kind) ? newFile(this.m, count, kind === "shmem") : 0;
    const vma = runToEnd(mmapRegion(this.m.cpu, this.mm, from, count, FLAGS[kind], file));
    expect(vma).not.toBe(0);
    if (kind === "device") expect(runToEnd(remapPfnRange(this.m.cpu, this.mm, from, from + count))).toBe(true);
    this.model.map(from, count, kind);
  }

  #fault(vpn: number, write: boolean): void {
    const there = runToEnd(findPmd(this.m.cpu, this.mm, vpn)) > 0;
    expect(runToEnd(faultInPage(this.m.cpu, this.mm, vpn, write))).toBe(this.model.fault(vpn, write, there));
  }

  /** As if the anonymous page at `vpn` had been swapped out before it was ever looked at. */
  #swap(vpn: number): void {
    if (this.model.kindAt(vpn) !== "anon" || this.model.entries.has(vpn)) return;
    const vma = vmaFrom(this.m.cpu, this.mm, this.m.cpu.mm + CpuMm.walk, vpn);
    if (runToEnd(mapSwapEntry(this.m.cpu, this.mm, vma, vpn, 1))) this.model.entries.set(vpn, "swap");
  }

  #remove(what: "zap" | "munmap", start: number, pages: number): void {
    const cutsHugetlb = [start, start + pages].some((at) => at % T !== 0 && this.model.kindAt(at) === "hugetlb");
    if (what === "munmap") {
      const result = runToEnd(munmap(this.m.cpu, this.mm, start, pages));
      expect(result < 0).toBe(cutsHugetlb);
      if (result === 0) this.model.unmap(start, pages);
    } else if (!cutsHugetlb) {
      runToEnd(zap(this.m.cpu, this.mm, start, start + pages));
      this.model.zap(start, pages);
    }
  }
}

describe("an address space of all kinds", () => {
  it.each(["mm", "table", "pte"] as const)(
    "holds what it should, and leaves nothing, with a lock per %s",
    (granularity) => {
      const lives = fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const life = new Life(granularity);
        for (const one of commands) life.run(one);
        expect(endAll(life.m, life.mm)).toEqual({});
      });
      fc.assert(lives, { numRuns: 150 });
    },
  );
});
