import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { parseSmaps } from "../../src/scenario/smaps.ts";
import { blocksOf, eras, samples } from "./smaps-lab.ts";

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
    inode: 0,
    rssKb: heap?.rssKb,
    privateDirtyKb: heap?.rssKb,
    anonymousKb: heap?.rssKb,
    anonHugeKb: 0,
    pmdMappedKb: 0,
    hugetlbKb: 0,
    swapKb: 0,
    lockedKb: 0,
    places: null,
    mappedShmem: false,
    kernelPageKb: 4,
    vmFlags: ["rd", "wr", "mr", "mw", "me", "ac"],
  });
  expect(heap?.rssKb).toBeGreaterThan(0);
  expect(mappings.at(-1)?.path).toBe("[stack]");
});

test("what is printed is read back, whatever the order of fields; mappings out of order are refused", () => {
  fc.assert(
    fc.property(samples, eras, fc.nat(20), (all, era, turn) => {
      const text = blocksOf(all, era, turn).join("");
      const expected = all.map(({ mapping }) => ({
        ...mapping,
        anonymousKb: era.anonymous ? mapping.anonymousKb : null,
        places: era.recorded && Object.values(mapping.places).some((runs) => runs.length > 0) ? mapping.places : null,
        vmFlags: era.vmFlags ? mapping.vmFlags : null,
      }));
      const read = parseSmaps(text, "generated").mappings.map((one) => ({ ...one, line: 0 }));
      expect(read).toEqual(expected);
      expect(parseSmaps(text.replaceAll("\n", "\r\n"), "generated").mappings).toHaveLength(all.length);
      const turned = blocksOf(all.toReversed(), era, turn).join("");
      if (all.length > 1) expect(() => parseSmaps(turned, "generated")).toThrow("ascending");
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

test("any cut of a real file is refused, except between two mappings", () => {
  const lines = REAL.split("\n").slice(0, 52);
  const part = `${lines.join("\n")}\n`;
  const whole = [...part.matchAll(/^VmFlags: .*\n/gm)].map((match) => match.index + match[0].length);
  expect(whole).toHaveLength(2);
  for (let end = 0; end <= part.length; end++) {
    const read = (): number => parseSmaps(part.slice(0, end), "file").mappings.length;
    if (whole.includes(end)) expect(read()).toBe(whole.indexOf(end) + 1);
    // One mapping alone shows no more than where it ends.
    else if (end > (whole[0] as number) || part[end - 1] !== "\n" || end === 0)
      expect(read, `cut at ${end}`).toThrow(UsageError);
    else expectOneLine(part.slice(0, end));
  }
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
  [
    "parts larger than the whole",
    `${HEAD}\nRss: 4 kB\nAnonymous: 8 kB\n`,
    "1: Anonymous 8 kB, expected at most 4 kB (Rss)",
  ],
  ["no end", `${HEAD}\nRss: 4 kB\nVmFlags: rd`, "3: last line without an end, expected a whole text, not cut short"],
  ["half a code", `${HEAD}\nRss: 4 kB\nVmFlags: rd w\n`, '3: VmFlags: "w", expected codes of two letters'],
  [
    "a field that one mapping lacks",
    `${HEAD}\nRss: 4 kB\nSwap: 0 kB\n00402000-00403000 rw-p 00000000 00:00 0 \nRss: 0 kB\n`,
    "4: mapping without Swap, expected it as in line 1, not cut short",
  ],
  [
    "half a huge page",
    "00400000-00800000 rw-p 00000000 00:00 0 \nRss: 4096 kB\nAnonRuns: 0+1024\nHugeRuns: 256+512\n",
    '4: HugeRuns: "256+512", expected whole 2 MiB of AnonRuns',
  ],
  [
    "a page in two runs",
    `${HEAD}\nRss: 8 kB\nAnonRuns: 0+2\nFileRuns: 1+1\n`,
    "1: page 1 in runs of two kinds, expected each page in one",
  ],
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
  const { mappings } = parseSmaps("fffffffffff000-100000000000000 rw-p 00000000 00:00 0 \nRss: 4 kB\n", "file");
  expect(mappings[0]).toMatchObject({ startVpn: 2 ** 44 - 1, pages: 1 });
});
