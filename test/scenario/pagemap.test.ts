import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { endianness, tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Pagemap } from "../../src/scenario/pagemap.ts";

let folder: string;
let made = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oomrace-pagemap-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A pagemap file with these pages present; all others carry every bit but the present one. */
function pagemapFile(entries: number, present: (page: number) => boolean): string {
  const bytes = Buffer.alloc(entries * 8, 0xff);
  const top = endianness() === "LE" ? 7 : 0;
  for (let page = 0; page < entries; page++) bytes[page * 8 + top] = present(page) ? 0x80 : 0x7f;
  const path = join(folder, `pagemap-${made++}`);
  writeFileSync(path, bytes);
  return path;
}

function presentIn(path: string, startVpn: number, pages: number, pageKb = 4): "all" | number[] {
  const pagemap = new Pagemap(path, pageKb);
  const runs = pagemap.runs("present", startVpn, pages);
  pagemap.close();
  return runs === "all" ? runs : [...runs];
}

test("runs are those of bit 63, at any offset", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }), fc.nat(5), (bits, startVpn) => {
      const pages = bits.length;
      const path = pagemapFile(startVpn + pages + 2, (page) => bits[page - startVpn] ?? true);
      const runs = presentIn(path, startVpn, pages);
      const seen = new Array<boolean>(pages).fill(runs === "all");
      for (let i = 0; runs !== "all" && i < runs.length; i += 2) {
        const from = runs[i] as number;
        seen.fill(true, from, from + (runs[i + 1] as number));
      }
      expect(seen).toEqual(bits);
      expect(runs === "all").toBe(bits.every(Boolean));
    }),
  );
});

test("a run across two reads is one run", () => {
  const border = 2 ** 16;
  const path = pagemapFile(border + 100, (page) => page >= border - 3 && page < border + 5);
  expect(presentIn(path, 0, border + 100)).toEqual([border - 3, 8]);
});

test("pages beyond the end of the file count as absent", () => {
  const path = pagemapFile(10, (page) => page >= 8);
  expect(presentIn(path, 4, 100)).toEqual([4, 2]);
  expect(presentIn(path, 50, 100)).toEqual([]);
});

test("with 16 KiB pages one entry stands for four pages of 4 KiB", () => {
  const path = pagemapFile(10, (page) => page === 3 || page === 5);
  expect(presentIn(path, 8, 16, 16)).toEqual([4, 4, 12, 4]);
});
