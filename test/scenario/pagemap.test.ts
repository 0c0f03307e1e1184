import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { endianness, tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PAGE_KINDS, type PageKind, Pagemap, type PagePlaces } from "../../src/scenario/pagemap.ts";

let folder: string;
let made = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oomrace-pagemap-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const PRESENT = 0x80;
const SWAPPED = 0x40;
const FILE = 0x20;
const GUARD = 0x04;

/** A pagemap file with these bits at the top of each entry; all bits below are set. */
function pagemapFile(tops: readonly number[]): string {
  const bytes = Buffer.alloc(tops.length * 8, 0xff);
  const top = endianness() === "LE" ? 7 : 0;
  for (const [page, bits] of tops.entries()) bytes[page * 8 + top] = bits;
  const path = join(folder, `pagemap-${made++}`);
  writeFileSync(path, bytes);
  return path;
}

/** The first entries are `before` pages of another mapping. */
function placesIn(tops: readonly number[], pages: number, before = 0, pageKb = 4): PagePlaces {
  const pagemap = new Pagemap(pagemapFile([...new Array<number>(before).fill(PRESENT), ...tops]), pageKb);
  const places = pagemap.places((before * pageKb) / 4, pages);
  pagemap.close();
  return places;
}

const MEANINGS: readonly (readonly [bits: number, kind: PageKind | null])[] = [
  [0, null],
  [FILE, null],
  [PRESENT, "anon"],
  [PRESENT | FILE, "file"],
  [SWAPPED, "swapped"],
  [SWAPPED | FILE, "swapped"],
  [SWAPPED | GUARD, null],
];

test("each page is of the kind that bits 63 to 58 say, at any offset", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...MEANINGS), { minLength: 1, maxLength: 60 }), fc.nat(5), (all, before) => {
      const tops = all.map(([bits]) => bits);
      const places = placesIn([...tops, PRESENT], all.length, before);
      const seen = new Array<PageKind | null>(all.length).fill(null);
      for (const kind of PAGE_KINDS) {
        const runs = places[kind];
        for (let i = 0; i < runs.length; i += 2) {
          const from = runs[i] as number;
          expect(seen[from - 1], "runs never touch").not.toBe(kind);
          seen.fill(kind, from, from + (runs[i + 1] as number));
        }
      }
      expect(seen).toEqual(all.map(([, kind]) => kind));
    }),
  );
});

test("a run across two reads is one run", () => {
  const border = 2 ** 16;
  const tops = new Array<number>(border + 100).fill(0).fill(PRESENT, border - 3, border + 5);
  expect(placesIn(tops, border + 100)).toEqual({ anon: [border - 3, 8], file: [], swapped: [] });
});

test("pages beyond the end of the file count as absent", () => {
  expect(placesIn([0, 0, PRESENT, PRESENT], 100, 4).anon).toEqual([2, 2]);
  expect(placesIn([], 100, 4).anon).toEqual([]);
});

test("with 16 KiB pages one entry stands for four pages of 4 KiB", () => {
  expect(placesIn([0, PRESENT, 0, PRESENT | FILE], 16, 2, 16)).toEqual({ anon: [4, 4], file: [12, 4], swapped: [] });
});
