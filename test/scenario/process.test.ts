import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_HUGETLB,
  VM_LOCKED,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from "../../src/mm/vma.ts";
import { checkLayout, countLayout, type LayoutVma, presentPages } from "../../src/scenario/layout.ts";
import { buildLayout } from "../../src/scenario/layouts/index.ts";
import { readOwnSmaps, readProcess, readSmaps } from "../../src/scenario/process.ts";
import { parseSmaps } from "../../src/scenario/smaps.ts";
import { type Presence, smapsLayout } from "../../src/scenario/smaps-layout.ts";

const FIXTURE = fileURLToPath(new URL("fixtures/node-20.smaps", import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oomrace-smaps-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** One mapping of 8 pages from smaps text. */
function convert(lines: string, perms = "rw-p", presence: Presence = () => undefined) {
  const text = `00400000-00408000 ${perms} 00000000 00:00 0 \nRss: 12 kB\n${lines}`;
  const layout = smapsLayout("one", "test", parseSmaps(text, "text"), presence, 1);
  return { vma: layout.vmas[0] as LayoutVma, notes: layout.notes };
}

test("a file gives every mapping at its address, with as many present pages as its Rss", () => {
  const layout = checkLayout(readSmaps(FIXTURE, 1));
  expect(layout.vmas).toHaveLength(85);
  expect(layout.vmas[0]?.startVpn).toBe(0x400);
  expect(countLayout(layout)).toEqual({
    vmas: 85,
    mappedPages: 50_987,
    presentPages: 9_938,
    pteTables: expect.any(Number),
    levels: 4,
  });
  expect(readSmaps(FIXTURE, 1)).toEqual(layout);
  expect(readSmaps(FIXTURE, 2)).not.toEqual(layout);
  expect(layout.notes.join("\n")).toMatch(/pages of \d+ mappings lie where a seeded spread put them/);
});

test("what the system knows of presence is taken over", () => {
  const { vma, notes } = convert("Anonymous: 12 kB", "rw-p", () => [1, 2, 7, 1]);
  expect(vma).toEqual({ startVpn: 0x400, pages: 8, flags: VM_READ | VM_WRITE, present: [1, 2, 7, 1] });
  expect(notes).toEqual([]);
});

test("presence is not asked for where nothing is resident", () => {
  const text = "00400000-7f0000000000 ---p 00000000 00:00 0 \nRss: 0 kB\n";
  const never: Presence = () => {
    throw new Error("asked");
  };
  const { vmas } = smapsLayout("reservation", "test", parseSmaps(text, "text"), never, 1);
  expect(vmas.map(presentPages)).toEqual([0]);
});

test("flags come from VmFlags where the kernel prints them, else from the permissions", () => {
  expect(convert("VmFlags: rd ex mr lo ac zz").vma.flags).toBe(VM_READ | VM_EXEC | VM_LOCKED | VM_ACCOUNT);
  expect(convert("Locked: 4 kB", "r-xp").vma.flags).toBe(VM_READ | VM_EXEC | VM_LOCKED);
  expect(convert("", "rw-s").vma.flags).toBe(VM_READ | VM_WRITE | VM_SHARED);
  // A read-only mapping of a file opened read-only: MAP_SHARED, but not VM_SHARED.
  expect(convert("VmFlags: rd ms", "r--s").vma.flags).toBe(VM_READ);
});

test.each([
  ["shared", "VmFlags: rd wr sh", VM_READ | VM_WRITE | VM_SHARED, ["3 pages of shared mappings: left out"]],
  [
    "hugetlb",
    "VmFlags: rd ht\nPrivate_Hugetlb: 2048 kB\nKernelPageSize: 2048 kB",
    VM_READ | VM_HUGETLB,
    ["512 pages (4 KiB) of hugetlb mappings: left out"],
  ],
  ["PFN", "VmFlags: rd pf", VM_READ | VM_PFNMAP, []],
])("%s mappings become VMAs without pages, and the notes say so", (_, lines, flags, notes) => {
  const converted = convert(`Anonymous: 12 kB\n${lines}`);
  expect(converted.vma).toEqual({ startVpn: 0x400, pages: 8, flags, present: [] });
  expect(converted.notes).toEqual(notes);
});

test("file pages, swapped pages and guesses are counted in the notes", () => {
  const { vma, notes } = convert("Anonymous: 4 kB\nSwap: 5000 kB");
  expect(presentPages(vma)).toBe(3);
  expect(notes).toEqual([
    "2 pages of private file mappings: counted as anonymous",
    "1,250 swapped pages: left out",
    "3 pages of 1 mappings lie where a seeded spread put them (runs of 16 on average)",
  ]);
});

test("transparent huge pages become folios of 512 pages", () => {
  expect(convert("AnonHugePages: 8 kB").vma.folioOrder).toBe(9);
});

test.each([
  ["a missing file", "nowhere/smaps", "nowhere/smaps: cannot be read (ENOENT), expected a readable smaps text"],
  ["a folder", "/", "/: cannot be read (EISDIR), expected a readable smaps text"],
])("refuses %s", (_, path, message) => {
  expect(() => readSmaps(path, 1)).toThrow(new UsageError(message));
});

test("a file with bytes that are no UTF-8 is refused by their line", () => {
  const name = join(folder, "latin1.smaps");
  const text = "00400000-00402000 r--p 00000000 fe:00 9 /caf\u00e9\nRss: 8 kB\n";
  writeFileSync(name, text);
  expect(readSmaps(name, 1).vmas).toHaveLength(1);
  writeFileSync(name, text, "latin1");
  expect(() => readSmaps(name, 1)).toThrow(/latin1\.smaps:1: bytes that are no UTF-8, expected a smaps text$/);
  writeFileSync(name, Buffer.concat([Buffer.from(text), Buffer.from([0xff, 0xfe])]));
  expect(() => readSmaps(name, 1)).toThrow(/latin1\.smaps:3: bytes that are no UTF-8/);
  writeFileSync(name, Buffer.from(`\ufeff${text}`, "utf16le"));
  expect(() => readSmaps(name, 1)).toThrow(/latin1\.smaps:1: bytes that are no UTF-8/);
});

describe.runIf(process.platform === "linux")("on Linux", () => {
  test("this process: memory that was touched is present, by pagemap", () => {
    const before = countLayout(buildLayout("self", { seed: 1 })).presentPages;
    const bytes = 64 * 2 ** 20;
    const touched = Buffer.alloc(bytes, 1);
    const layout = checkLayout(readOwnSmaps(1));
    const grown = countLayout(layout).presentPages - before;
    expect(touched[bytes - 1]).toBe(1);
    // Other threads of this process may have freed some meanwhile.
    expect(grown).toBeGreaterThan((bytes / 4096) * 0.7);
    expect(grown).toBeLessThan((bytes / 4096) * 1.3);
    expect(layout.notes).toContain("[vsyscall] skipped: it is no part of the address space");
    expect(layout.notes.join()).not.toContain("spread");
  });

  test("a process id and a path under /proc mean the live process", () => {
    const { name, vmas } = readSmaps(String(process.pid), 1);
    expect(name).toBe(`process ${process.pid}`);
    expect(vmas.length).toBeGreaterThan(10);
    expect(readSmaps("/proc/self/smaps", 1).name).toBe("process self");
  });

  test("a process that does not exist is refused", () => {
    expect(() => readProcess("999999999", 1)).toThrow(
      new UsageError("/proc/999999999/smaps: cannot be read (ENOENT), expected a readable smaps text"),
    );
  });
});
