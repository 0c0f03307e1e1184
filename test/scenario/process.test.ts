import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { checkLayout, countLayout } from "../../src/scenario/layout.ts";
import { buildLayout } from "../../src/scenario/layouts/index.ts";
import { readOwnSmaps, readProcess, readSmaps } from "../../src/scenario/process.ts";

const FIXTURE = fileURLToPath(new URL("fixtures/node-20.smaps", import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oomrace-smaps-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("a file gives every mapping at its address, with as many present pages as its Rss and as many of its own as Anonymous", () => {
  const layout = checkLayout(readSmaps(FIXTURE, 1));
  expect(layout.vmas).toHaveLength(85);
  expect(layout.vmas[0]?.startVpn).toBe(0x400);
  expect(countLayout(layout)).toEqual({
    vmas: 85,
    mappedPages: 50_987,
    presentPages: 9_938,
    ownPages: 1_579,
    pteTables: expect.any(Number),
    levels: 4,
  });
  expect(readSmaps(FIXTURE, 1)).toEqual(layout);
  expect(readSmaps(FIXTURE, 2)).not.toEqual(layout);
  expect(layout.notes.join("\n")).toMatch(/pages of \d+ mappings lie where a seeded spread put them/);
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
