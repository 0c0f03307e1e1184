import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkLayout, countLayout } from "../../src/scenario/layout.ts";
import { buildLayout } from "../../src/scenario/layouts/index.ts";
import { RECORDED, recordingPath } from "../../src/scenario/layouts/recorded.ts";
import { joinRuns, parseRuns } from "../../src/scenario/page-runs.ts";
import { type RunsOf, recordingOf } from "../../src/scenario/recording.ts";
import { parseSmaps } from "../../src/scenario/smaps.ts";

const PAGES = 60;
const somePages = fc.uniqueArray(fc.nat(PAGES - 1));

/** Runs of a set of pages, and back. */
function runsOf(pages: Iterable<number>): number[] {
  const runs: number[] = [];
  for (const page of [...pages].sort((a, b) => a - b)) {
    if (runs.length > 0 && (runs.at(-2) as number) + (runs.at(-1) as number) === page)
      runs.push((runs.pop() as number) + 1);
    else runs.push(page, 1);
  }
  return runs;
}

function printed(runs: readonly number[]): string {
  return runs.flatMap((offset, i) => (i % 2 === 0 ? [`${offset}+${runs[i + 1]}`] : [])).join(" ");
}

describe("runs", () => {
  test("are read back, and refused where they are out of order, touch, are empty or reach too far", () => {
    fc.assert(
      fc.property(somePages, (pages) => {
        const runs = runsOf(pages);
        fc.pre(runs.length > 0);
        expect(parseRuns(printed(runs), PAGES)).toEqual(runs);
        const end = (runs.at(-2) as number) + (runs.at(-1) as number);
        expect(parseRuns(printed(runs), end - 1)).toBeUndefined();
      }),
    );
    for (const bad of ["", "3", "3+", "+3", "3+0", "3+2 5+1", "9+1 3+1", "-1+2", "1+2,4+1", "1.5+2", "1e1+2", "0+61"]) {
      expect(parseRuns(bad, PAGES), bad).toBeUndefined();
    }
  });

  test("join like the sets of their pages", () => {
    fc.assert(
      fc.property(somePages, somePages, (one, two) => {
        const other = two.filter((page) => !one.includes(page));
        expect(joinRuns(runsOf(one), runsOf(other))).toEqual(runsOf([...one, ...other]));
      }),
    );
  });
});

const SMAPS = `00400000-00408000 r-xp 00001000 fe:00 42                                 /usr/lib/x y/libc.so.6 (deleted)
Size:                 32 kB
Rss:                  20 kB
Anonymous:             8 kB
Swap:                  4 kB
Locked:                0 kB
VmFlags: rd ex mr
00500000-00502000 rw-p 00000000 00:00 0                                  [heap]
Rss:                   0 kB
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
Rss:                   0 kB
`;

test("a recording is the smaps without folders, with the runs of each mapping behind its fields", () => {
  const runs: RunsOf = (kind, { startVpn }) =>
    startVpn !== 0x400 ? [] : { present: "all" as const, anon: [0, 2], file: [3, 3], swapped: [7, 1] }[kind];
  const text = recordingOf(SMAPS, parseSmaps(SMAPS, "smaps"), runs);
  expect(text.split("\n").slice(0, 10)).toEqual([
    "00400000-00408000 r-xp 00001000 fe:00 42                                 libc.so.6 (deleted)",
    "Size:                 32 kB",
    "Rss:                  20 kB",
    "Anonymous:             8 kB",
    "Swap:                  4 kB",
    "VmFlags: rd ex mr",
    "AnonRuns: 0+2",
    "FileRuns: 3+3",
    "SwapRuns: 7+1",
    "00500000-00502000 rw-p 00000000 00:00 0                                  [heap]",
  ]);
  const read = parseSmaps(text, "recording");
  expect([read.recorded, read.skipped]).toEqual([true, ["[vsyscall]"]]);
  expect(read.mappings[0]).toMatchObject({
    path: "libc.so.6 (deleted)",
    rssKb: 20,
    runs: { AnonRuns: [0, 2], FileRuns: [3, 3], SwapRuns: [7, 1] },
  });
  expect(parseSmaps(SMAPS, "smaps").recorded).toBe(false);
});

test("bad runs are refused in one line", () => {
  const text = SMAPS.replace("VmFlags: rd ex mr", "AnonRuns: 0+2 1+4");
  expect(() => parseSmaps(text, "file")).toThrow(
    'file:7: AnonRuns: "0+2 1+4", expected ascending runs "offset+count" within 8 pages',
  );
});

describe.each(RECORDED)("the recording $name", ({ name, idea }) => {
  const text = readFileSync(recordingPath(name), "utf8");
  const { mappings, recorded } = parseSmaps(text, name);

  test("has every page of its Rss in a run, and says nothing of folders, users or commands", () => {
    expect(recorded).toBe(true);
    for (const { rssKb, runs, path, line } of mappings) {
      const present = joinRuns(runs?.AnonRuns ?? [], runs?.FileRuns ?? []);
      const pages = Array.from(present).reduce((sum, count, i) => (i % 2 === 1 ? sum + count : sum), 0);
      expect([line, pages]).toEqual([line, rssKb / 4]);
      expect(path).not.toContain("/");
    }
    expect(text.length).toBeLessThan(400_000);
  });

  test("is a layout on demand, whose pages all lie where they lay", () => {
    const layout = checkLayout(buildLayout(name, { seed: 1 }));
    expect(layout).toMatchObject({ name, idea });
    expect(buildLayout(name, { seed: 2 })).toEqual(layout);
    expect(countLayout(layout).presentPages).toBeGreaterThan(1000);
    expect(layout.notes.join("\n")).not.toContain("seeded spread");
    expect(() => buildLayout(name, { seed: 1, pages: 5 })).toThrow(`layout ${name}: --pages 5 given, expected none`);
  });
});
