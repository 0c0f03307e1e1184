import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { parseSmaps, type SmapsMapping } from "../../src/scenario/smaps.ts";

/** Node 20 on Linux 6.18, its paths cut to base names. */
const REAL = readFileSync(new URL("fixtures/node-20.smaps", import.meta.url), "utf8");

test("reads a real process", () => {
  const { mappings, skipped } = parseSmaps(REAL, "node");
  expect(skipped).toEqual(["[vsyscall]"]);
  expect(mappings).toHaveLength(85);
  const heap = mappings.find((mapping) => mapping.path === "[heap]");
  expect(heap).toEqual({
    line: 209,
    startVpn: 0x2edf2,
    pages: 0x2c3,
    perms: "rw-p",
    path: "[heap]",
    rssKb: heap?.rssKb,
    anonymousKb: heap?.rssKb,
    anonHugeKb: 0,
    hugetlbKb: 0,
    swapKb: 0,
    lockedKb: 0,
    runs: null,
    kernelPageKb: 4,
    vmFlags: ["rd", "wr", "mr", "mw", "me", "ac"],
  });
  expect(heap?.rssKb).toBeGreaterThan(0);
  expect(mappings.at(-1)?.path).toBe("[stack]");
});

const VM_CODES = ["rd", "wr", "ex", "sh", "mr", "mw", "me", "lo", "ht", "pf", "hg", "zz"];

/** Ascending runs apart from each other, at least one. */
function runsIn(pages: number): fc.Arbitrary<number[]> {
  return fc.uniqueArray(fc.nat(pages), { minLength: 2, maxLength: 12 }).map((cuts) => {
    const ends = cuts.sort((a, b) => a - b);
    return ends.flatMap((from, i) =>
      i % 2 === 0 && i + 1 < ends.length ? [from, (ends[i + 1] as number) - from] : [],
    );
  });
}

function words(runs: readonly number[]): string {
  return runs.flatMap((offset, i) => (i % 2 === 0 ? [`${offset}+${runs[i + 1]}`] : [])).join(" ");
}

const mapping: fc.Arbitrary<Omit<SmapsMapping, "line" | "startVpn"> & { gap: number }> = fc
  .integer({ min: 1, max: 2 ** 20 })
  .chain((pages) => {
    const part = fc.nat(pages).map((count) => count * 4);
    return fc.record({
      gap: fc.nat(2 ** 30),
      pages: fc.constant(pages),
      perms: fc.constantFrom("rw-p", "r--p", "r-xp", "---p", "rw-s", "r--s"),
      path: fc.constantFrom("", "/usr/bin/a b (deleted)", "[heap]", "[anon:dalvik-main space (region space)]", "/é/ü"),
      rssKb: part,
      anonymousKb: part,
      anonHugeKb: part,
      hugetlbKb: part,
      swapKb: fc.nat(1e9),
      lockedKb: part,
      runs: fc.option(fc.record({ AnonRuns: runsIn(pages), FileRuns: runsIn(pages) }, { requiredKeys: ["AnonRuns"] })),
      kernelPageKb: fc.constantFrom(4, 16, 64, 2048),
      vmFlags: fc.option(fc.subarray(VM_CODES, { minLength: 1 })),
    });
  });

function hex(vpn: number): string {
  return `${vpn.toString(16)}000`.padStart(8, "0");
}

/** smaps text of mappings, with a few fields that the parser does not know; `turn` rotates the order of fields. */
function print(mappings: readonly SmapsMapping[], turn: number): string {
  return mappings
    .map((one) => {
      const head = `${hex(one.startVpn)}-${hex(one.startVpn + one.pages)} ${one.perms} 00000000 fe:00 ${one.line}`;
      const kb = (name: string, value: number): string => `${`${name}:`.padEnd(16)}${String(value).padStart(8)} kB`;
      const fields = [
        kb("Size", one.pages * 4),
        kb("KernelPageSize", one.kernelPageKb),
        kb("Rss", one.rssKb),
        kb("Anonymous", one.anonymousKb),
        kb("AnonHugePages", one.anonHugeKb),
        kb("Private_Hugetlb", one.hugetlbKb),
        kb("Swap", one.swapKb),
        kb("Locked", one.lockedKb),
        kb("Future_Field", 7),
        "THPeligible:    0",
        ...Object.entries(one.runs ?? {}).map(([name, runs]) => `${name}: ${words(runs as number[])}`),
        ...(one.vmFlags === null ? [] : [`VmFlags: ${one.vmFlags.join(" ")} `]),
      ];
      const cut = turn % fields.length;
      const rest = [...fields.slice(cut), ...fields.slice(0, cut)];
      return [one.path === "" ? `${head} ` : `${head}                  ${one.path}`, ...rest].join("\n");
    })
    .join("\n")
    .concat("\n");
}

test("what is printed is read back, whatever the order of fields; mappings out of order are refused", () => {
  fc.assert(
    fc.property(fc.array(mapping, { minLength: 1, maxLength: 12 }), fc.nat(20), (shapes, turn) => {
      let next = 16;
      const placed = shapes.map(({ gap, ...rest }): SmapsMapping => {
        const startVpn = next + gap;
        next = startVpn + rest.pages;
        return { line: 0, startVpn, ...rest };
      });
      const text = print(placed, turn);
      const read = parseSmaps(text, "generated").mappings.map((one) => ({ ...one, line: 0 }));
      expect(read).toEqual(placed);
      expect(parseSmaps(text.replaceAll("\n", "\r\n"), "generated").mappings).toHaveLength(placed.length);
      if (placed.length > 1)
        expect(() => parseSmaps(print(placed.toReversed(), turn), "generated")).toThrow("ascending");
    }),
  );
});

/** The damaged text is read, or refused with one line that names a place. */
function expectOneLine(text: string): void {
  try {
    expect(parseSmaps(text, "file").mappings.length).toBeGreaterThan(0);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(/^file:\d+: [^\n\r]+, expected [^\n\r]+$/);
  }
}

test("damaged text is read or refused with one line, never worse", () => {
  const lines = REAL.split("\n").slice(0, 130);
  const at = fc.nat(lines.length - 1);
  const damage = fc.oneof(
    fc.record({ kind: fc.constant("cut"), at: fc.nat(lines.join("\n").length) }),
    fc.record({ kind: fc.constant("swap"), at, other: at }),
    fc.record({ kind: fc.constant("drop"), at }),
    fc.record({ kind: fc.constant("double"), at }),
    fc.record({ kind: fc.constant("garbage"), at, text: fc.string({ unit: "binary", maxLength: 200 }) }),
    fc.record({ kind: fc.constant("digits"), at, digits: fc.bigInt({ min: -5n, max: 10n ** 30n }) }),
  );
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (all) => {
      let text = [...lines];
      for (const one of all) {
        const line = text[one.at] ?? "";
        if (one.kind === "cut") text = text.join("\n").slice(0, one.at).split("\n");
        if ("other" in one) [text[one.at], text[one.other]] = [text[one.other] ?? "", line];
        if (one.kind === "drop") text.splice(one.at, 1);
        if (one.kind === "double") text.splice(one.at, 0, line);
        if ("text" in one) text.splice(one.at, 0, one.text);
        if ("digits" in one) text[one.at] = line.replace(/\d+/, String(one.digits));
      }
      expectOneLine(text.join("\n"));
    }),
    { numRuns: 500 },
  );
});

test("bytes that are no text at all are refused with one line", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      expectOneLine(Buffer.from(bytes).toString("utf8"));
    }),
  );
  expectOneLine("a".repeat(5_000_000));
  expectOneLine(`${"0-".repeat(1_000_000)} `);
});

test("any cut of a real file is read or refused, and only whole mappings are kept", () => {
  const part = REAL.split("\n").slice(0, 55).join("\n");
  for (let end = 0; end <= part.length; end++) expectOneLine(part.slice(0, end));
});

const HEAD = "00400000-00402000 r--p 00000000 fe:00 260689 node";

test.each([
  ["nothing", "", "1: no mapping, expected smaps text (dead processes and kernel threads have none)"],
  [
    "maps instead of smaps",
    `${HEAD}\n00402000-00403000 rw-p 00000000 fe:00 0 \n`,
    "1: mapping without Rss, expected smaps (not maps), not cut short",
  ],
  ["smaps_rollup", "00400000-00402000 ---p 00000000 00:00 0 [rollup]\nRss: 4 kB", "1: smaps_rollup, expected smaps"],
  ["a field first", "Rss: 4 kB\n", '1: "Rss: 4 kB", expected a mapping\'s header first'],
  [
    "a foreign line",
    `${HEAD}\nRss: 4 kB\n\u0007oh\n`,
    '3: "\\u0007oh", expected "address-address perms offset dev inode path" or "Field: value"',
  ],
  ["no unit", `${HEAD}\nRss: 4 MB\n`, '2: Rss: "4 MB", expected "N kB"'],
  ["a number too large", `${HEAD}\nRss: 99999999999999999999 kB`, '2: Rss: "99999999999999999999 kB", expected "N kB"'],
  ["a field twice", `${HEAD}\nRss: 4 kB\nRss: 4 kB\n`, "3: Rss again (line 2), expected it once per mapping"],
  ["more than the range holds", `${HEAD}\nRss: 12 kB\n`, "1: Rss 12 kB, expected at most 8 kB"],
  ["a wrong Size", `${HEAD}\nSize: 12 kB\nRss: 4 kB\n`, "1: Size 12 kB, expected 8 kB by its addresses"],
  [
    "page sizes of another world",
    `${HEAD}\nRss: 4 kB\nKernelPageSize: 12 kB`,
    "1: KernelPageSize 12 kB, expected a power of two from 4 kB on",
  ],
  [
    "an empty range",
    "00400000-00400000 r--p 00000000 fe:00 0 \nRss: 0 kB",
    "1: range 00400000-00400000, expected an end above the start",
  ],
  [
    "an address inside a page",
    "00400800-00401000 r--p 00000000 fe:00 0 \nRss: 0 kB",
    "1: address 00400800, expected a multiple of 4 KiB",
  ],
  [
    "kernel addresses",
    "ffffffff80000000-ffffffff80001000 r--p 00000000 fe:00 0 \nRss: 0 kB",
    "1: address ffffffff80000000, expected user space (56-bit addresses at most)",
  ],
  [
    "overlap",
    `${HEAD}\nRss: 4 kB\n00401000-00403000 rw-p 00000000 fe:00 0 \nRss: 0 kB`,
    "3: mapping overlaps that of line 1, expected mappings in ascending order, apart",
  ],
])("refuses %s", (_, text, message) => {
  expect(() => parseSmaps(text, "file")).toThrow(new UsageError(`file:${message}`));
});

test("56-bit addresses keep every bit", () => {
  const { mappings } = parseSmaps("fffffffffff000-100000000000000 rw-p 00000000 00:00 0 \nRss: 4 kB", "file");
  expect(mappings[0]).toMatchObject({ startVpn: 2 ** 44 - 1, pages: 1 });
});
