import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_LOCKED,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from "../../src/mm/vma.ts";
import { checkLayout, type LayoutVma, runsOf } from "../../src/scenario/layout.ts";
import { countRuns } from "../../src/scenario/page-runs.ts";
import type { PagePlaces } from "../../src/scenario/pagemap.ts";
import { readSmapsFile } from "../../src/scenario/process.ts";
import { parseSmaps } from "../../src/scenario/smaps.ts";
import { type Presence, smapsLayout } from "../../src/scenario/smaps-layout.ts";
import { blocksOf, eras, type Sample, samples } from "./smaps-lab.ts";

const nowhere: PagePlaces = { anon: [], file: [], swapped: [] };

/** One mapping from smaps text, of 8 pages at page 0x400 unless said otherwise. */
function convert(
  lines: string,
  { perms = "rw-p", end = "00408000", path = "", places = undefined as Partial<PagePlaces> | undefined } = {},
) {
  const text = `00400000-${end} ${perms} 00000000 00:00 0 ${path}\n${lines}\n`;
  const presence: Presence = () => places && { ...nowhere, ...places };
  const layout = checkLayout(smapsLayout("one", "test", parseSmaps(text, "text"), presence, 1));
  return { vma: layout.vmas[0] as LayoutVma, notes: layout.notes };
}

function counted(vma: LayoutVma): Record<string, number> {
  return Object.fromEntries(Object.entries(runsOf(vma)).map(([name, runs]) => [name, countRuns(runs)]));
}

test("where pages lie is taken over from who knows it", () => {
  const places = { anon: [1, 2], file: [4, 1], swapped: [7, 1] };
  const { vma, notes } = convert("Rss: 12 kB\nAnonymous: 8 kB\nSwap: 4 kB", { path: "libc.so", places });
  expect(vma).toEqual({
    startVpn: 0x400,
    pages: 8,
    flags: VM_READ | VM_WRITE,
    present: [1, 2],
    filePages: [4, 1],
    swapped: [7, 1],
  });
  expect(notes).toEqual([]);
});

test("it is not asked for where there is no page", () => {
  const text = "00400000-7f0000000000 ---p 00000000 00:00 0 \nRss: 0 kB\n";
  const never: Presence = () => {
    throw new Error("asked");
  };
  const { vmas } = smapsLayout("reservation", "test", parseSmaps(text, "text"), never, 1);
  expect(vmas.map(counted)).toEqual([{ present: 0, filePages: 0, swapped: 0, huge: 0 }]);
});

test("flags come from VmFlags where the kernel prints them, else from the permissions", () => {
  const flags = (lines: string, perms: string): number => convert(`Rss: 0 kB\n${lines}`, { perms }).vma.flags;
  expect(flags("VmFlags: rd ex mr lo ac hg zz", "rw-p")).toBe(VM_READ | VM_EXEC | VM_LOCKED | VM_ACCOUNT | VM_HUGEPAGE);
  expect(flags("Locked: 4 kB", "r-xp")).toBe(VM_READ | VM_EXEC | VM_LOCKED);
  expect(flags("Swap: 0 kB", "rw-s")).toBe(VM_READ | VM_WRITE | VM_SHARED);
  // A read-only mapping of a file opened read-only: MAP_SHARED, but not VM_SHARED.
  expect(flags("VmFlags: rd ms", "r--s")).toBe(VM_READ);
});

describe("what is mapped", () => {
  test.each([
    ["/dev/shm/x", true],
    ["/memfd:x (deleted)", true],
    ["memfd:x (deleted)", true],
    ["/SYSV00000000 (deleted)", true],
    ["/dev/zero (deleted)", true],
    ["zero (deleted)", true],
    ["[anon_shmem:buffers]", true],
    ["/usr/lib/memfd:x", false],
    ["/home/zero", false],
    ["libc.so", false],
  ])("%s: shared memory? %s", (path, shmem) => {
    const { vma } = convert("Rss: 8 kB\nAnonymous: 0 kB\nVmFlags: rd wr sh", { perms: "rw-s", path });
    expect([vma.shmem ?? false, counted(vma).filePages]).toEqual([shmem, 2]);
  });

  test("a recording says it where the folder is gone", () => {
    expect(convert("Rss: 8 kB\nMapped: shmem\nVmFlags: rd sh", { path: "PostgreSQL.1" }).vma.shmem).toBe(true);
    expect(convert("Rss: 8 kB\nVmFlags: rd sh", { path: "PostgreSQL.1" }).vma.shmem).toBeUndefined();
  });
});

describe("huge PMDs", () => {
  const HUGE = "Rss: 6144 kB\nAnonymous: 6144 kB\nAnonHugePages: 4096 kB";
  const room = { end: "01200000" };

  test("lie in whole 2 MiB, at such addresses; which ones is a guess where nobody knows", () => {
    const { vma, notes } = convert(HUGE, room);
    expect(counted(vma)).toMatchObject({ present: 512, huge: 1024 });
    expect(notes).toEqual(["1,536 pages of 1 mappings lie where a seeded spread put them (runs of 16 on average)"]);
  });

  test("are the only whole ranges there are", () => {
    // 0x400 is a multiple of 512.
    const { vma, notes } = convert(HUGE, { ...room, places: { anon: [300, 200, 511, 1200, 2000, 136] } });
    expect([vma.huge, vma.present, notes]).toEqual([[512, 1024], [300, 200, 511, 1, 1536, 175, 2000, 136], []]);
  });

  test("that do not show in the list of pages are mapped one by one", () => {
    const { vma, notes } = convert(HUGE, { ...room, places: { anon: [1, 1536] } });
    expect(counted(vma)).toMatchObject({ present: 512, huge: 1024 });
    expect(notes).toEqual([]);
    const none = convert(HUGE, { ...room, places: { anon: [1, 500, 600, 424, 1025, 500, 1537, 112] } });
    expect(counted(none.vma)).toMatchObject({ present: 1536, huge: 0 });
    expect(none.notes).toEqual(["1,024 pages of huge PMDs lie in no whole 2 MiB: mapped one by one"]);
  });

  test("lie where somebody tells", () => {
    const { vma, notes } = convert(HUGE, { ...room, places: { anon: [0, 1536], huge: [0, 512, 1024, 512] } });
    expect([vma.huge, vma.present, notes]).toEqual([[0, 512, 1024, 512], [512, 512], []]);
  });

  test("are a guess among more whole ranges than there are huge pages", () => {
    const { notes } = convert(HUGE, { ...room, places: { anon: [0, 1536] } });
    expect(notes).toEqual(["1,024 pages of 1 mappings lie where a seeded spread put them (runs of 16 on average)"]);
  });

  test("of files are mapped page by page", () => {
    const { vma, notes } = convert("Rss: 2048 kB\nAnonymous: 0 kB\nShmemPmdMapped: 2048 kB", room);
    expect(counted(vma)).toMatchObject({ filePages: 512, huge: 0 });
    expect(notes[0]).toBe("512 pages of files or shared memory in huge PMDs: mapped one by one");
  });
});

describe("hugetlb", () => {
  test("pages are huge, and no part of Rss", () => {
    const lines = "Rss: 0 kB\nPrivate_Hugetlb: 2048 kB\nKernelPageSize: 2048 kB\nVmFlags: rd ht";
    const { vma, notes } = convert(lines, { end: "00800000", places: { file: [512, 512] } });
    expect(vma).toEqual({ startVpn: 0x400, pages: 1024, flags: VM_READ | VM_HUGETLB, present: [], huge: [512, 512] });
    expect(notes).toEqual([]);
    expect(convert(lines, { end: "00800000" }).notes).toHaveLength(1);
  });

  test("pages of other sizes are said", () => {
    const small = convert("Rss: 0 kB\nPrivate_Hugetlb: 16 kB\nVmFlags: rd ht");
    expect(small.notes).toEqual(["4 pages (4 KiB) of hugetlb mappings are no 2 MiB: left out"]);
    const large = "Rss: 0 kB\nShared_Hugetlb: 1048576 kB\nKernelPageSize: 1048576 kB\nVmFlags: rd ht sh";
    expect(convert(large, { end: "40400000" }).notes).toEqual([
      "262,144 pages (4 KiB) of hugetlb pages above 2 MiB: as pages of 2 MiB",
    ]);
  });
});

test("device mappings have no pages", () => {
  const { vma, notes } = convert("Rss: 12 kB\nAnonymous: 0 kB\nVmFlags: rd pf");
  expect(vma).toEqual({ startVpn: 0x400, pages: 8, flags: VM_READ | VM_PFNMAP, present: [] });
  expect(notes).toEqual(["3 pages of device mappings: left out"]);
});

test("swap that is in no entry is left out, and said", () => {
  const shared = convert("Rss: 4 kB\nAnonymous: 0 kB\nSwap: 5000 kB\nVmFlags: rd sh", { path: "/dev/shm/x" });
  expect([shared.vma.swapped, shared.notes[0]]).toEqual([
    undefined,
    "1,250 swapped pages in no entry (of shared memory, or more than fit): left out",
  ]);
  const many = convert("Rss: 4 kB\nAnonymous: 4 kB\nSwap: 40 kB");
  expect([counted(many.vma).swapped, many.notes[0]]).toEqual([
    7,
    "3 swapped pages in no entry (of shared memory, or more than fit): left out",
  ]);
});

test("before there was a field Anonymous: memory without a file, and what was written to", () => {
  const note = "pages are taken for anonymous, since there is no field Anonymous";
  const heap = convert("Rss: 32 kB\nPrivate_Dirty: 8 kB");
  expect([counted(heap.vma).present, heap.notes]).toEqual([8, [`8 ${note}`]]);
  const text = "00400000-00408000 rw-p 00000000 08:01 42 libc.so\nRss: 32 kB\nPrivate_Dirty: 8 kB\n";
  const layout = smapsLayout("one", "test", parseSmaps(text, "text"), () => undefined, 1);
  expect(counted(layout.vmas[0] as LayoutVma)).toMatchObject({ present: 2, filePages: 6 });
  expect(layout.notes[0]).toBe(`2 ${note}`);
});

test("more or fewer pages than the sizes say are noted", () => {
  const { vma, notes } = convert("Rss: 8 kB\nAnonymous: 8 kB", { places: { anon: [0, 3] } });
  expect([vma.present, notes]).toEqual([
    [0, 3],
    ["1 pages more are mapped than the sizes say (zero pages, or new since): taken as they lie"],
  ]);
  expect(convert("Rss: 8 kB\nAnonymous: 8 kB", { places: { anon: [0, 1] } }).notes).toEqual([
    "1 pages less are mapped than the sizes say: left out",
  ]);
});

/** Pages of each kind that the layout of a sample must have. */
function expectedOf({ kind, mapping }: Sample): Record<string, number> {
  const { rssKb, anonymousKb, anonHugeKb, hugetlbKb, swapKb } = mapping;
  return {
    present: (anonymousKb - anonHugeKb) / 4,
    filePages: (rssKb - anonymousKb) / 4,
    swapped: kind === "shmem" ? 0 : swapKb / 4,
    huge: (anonHugeKb + hugetlbKb) / 4,
  };
}

test("any smaps becomes a sound layout with its totals, every page at its place when a recording tells it", () => {
  fc.assert(
    fc.property(samples, eras, fc.nat(1000), (all, era, seed) => {
      const smaps = parseSmaps(blocksOf(all, era).join(""), "generated");
      const layoutOf = () => smapsLayout("any", "test", smaps, ({ places }) => places ?? undefined, seed);
      const layout = checkLayout(layoutOf());
      expect(layout.vmas.map(counted)).toEqual(all.map(expectedOf));
      expect(layoutOf()).toEqual(layout);
      if (!era.recorded) return;
      for (const [i, { mapping }] of all.entries()) {
        const { filePages, swapped, huge } = runsOf(layout.vmas[i] as LayoutVma);
        expect([filePages, swapped].map((runs) => Array.from(runs))).toEqual([
          mapping.places.file,
          mapping.places.swapped,
        ]);
        if (mapping.places.huge !== undefined) expect(huge).toEqual(mapping.places.huge);
      }
    }),
  );
});

describe("damaged files", () => {
  let file: string;
  beforeAll(() => {
    file = join(mkdtempSync(join(tmpdir(), "oomrace-damaged-")), "x.smaps");
  });
  afterAll(() => rmSync(join(file, ".."), { recursive: true }));

  const damage = fc.record({
    how: fc.constantFrom("cut", "swap", "drop", "bytes"),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    other: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    byte: fc.constantFrom(0x00, 0x80, 0xc3, 0xff),
  });

  function damaged(
    blocks: readonly string[],
    { how, at, other, byte }: typeof damage extends fc.Arbitrary<infer T> ? T : never,
  ) {
    const index = <T>(list: ArrayLike<T>, share: number): number => Math.floor(list.length * share);
    if (how === "swap") {
      const [i, k] = [index(blocks, at), index(blocks, other)];
      const order = blocks.map((_, n) => (n === i ? k : n === k ? i : n));
      return Buffer.from(order.map((n) => blocks[n]).join(""));
    }
    const text = blocks.join("");
    if (how === "drop") {
      const lines = text.split("\n");
      return Buffer.from(lines.toSpliced(index(lines, at), 1).join("\n"));
    }
    const bytes = Buffer.from(text);
    if (how === "cut") return bytes.subarray(0, index(bytes, at));
    bytes[index(bytes, at)] = byte;
    bytes[index(bytes, other)] = byte;
    return bytes;
  }

  test("become a sound layout or one line that says what, where and what was expected", () => {
    fc.assert(
      fc.property(samples, eras, damage, (all, era, one) => {
        writeFileSync(file, damaged(blocksOf(all, era), one));
        try {
          checkLayout(readSmapsFile(file, "any", "test", 1));
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect((error as Error).message).toMatch(/^\/.*x\.smaps:\d+: [^\n\r]+, expected [^\n\r]+$/);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("with bytes that are no UTF-8 are refused, and so is a cut inside a mapping behind another", () => {
    fc.assert(
      fc.property(samples, eras, fc.nat(), (all, era, at) => {
        const blocks = blocksOf(all, era);
        const bytes = Buffer.from(blocks.join(""));
        const broken = Buffer.from(bytes);
        broken[at % bytes.length] = 0xff;
        writeFileSync(file, broken);
        expect(() => readSmapsFile(file, "any", "test", 1)).toThrow(/x\.smaps:\d+: bytes that are no UTF-8/);
        // VmFlags close a mapping: where they are missing, it was cut.
        if (!era.vmFlags || blocks.length < 2) return;
        const last = Buffer.byteLength(blocks.at(-1) as string);
        writeFileSync(file, bytes.subarray(0, bytes.length - last + 1 + (at % (last - 1))));
        expect(() => readSmapsFile(file, "any", "test", 1)).toThrow(UsageError);
      }),
    );
  });
});
