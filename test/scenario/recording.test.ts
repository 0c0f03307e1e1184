import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { checkLayout, countLayout } from "../../src/scenario/layout.ts";
import { buildLayout } from "../../src/scenario/layouts/index.ts";
import { RECORDED, recordingPath } from "../../src/scenario/layouts/recorded.ts";
import { countRuns } from "../../src/scenario/page-runs.ts";
import type { PageKind, PagePlaces } from "../../src/scenario/pagemap.ts";
import { type PlacesOf, recordingOf } from "../../src/scenario/recording.ts";
import { parseSmaps, type SmapsMapping } from "../../src/scenario/smaps.ts";

const SMAPS = `00400000-00408000 r-xp 00001000 fe:00 42                                 /home/bob/x y/libc.so.6 (deleted)
Size:                 32 kB
Rss:                  20 kB
Anonymous:             8 kB
Swap:                  4 kB
Locked:                0 kB
Future:        /home/bob
VmFlags: rd ex mr
00500000-00502000 rw-p 00000000 00:00 0                                  [heap]
Size:                  8 kB
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  0 kB
Locked:                0 kB
VmFlags: rd wr
00600000-00602000 rw-s 00000000 00:1a 7                                  /dev/shm/a/b
Size:                  8 kB
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
Locked:                0 kB
VmFlags: rd wr sh
00700000-00702000 rw-p 00000000 00:00 0                                  [anon:dalvik-/system/boot.art]
Size:                  8 kB
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  0 kB
Locked:                0 kB
VmFlags: rd wr
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
Size:                  4 kB
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  0 kB
Locked:                0 kB
VmFlags: ex
`;

const RECORDING = `00400000-00408000 r-xp 00001000 fe:00 42                                 libc.so.6 (deleted)
Size:                 32 kB
Rss:                  20 kB
Anonymous:             8 kB
Swap:                  4 kB
AnonRuns: 0+2
FileRuns: 3+3
SwapRuns: 7+1
VmFlags: rd ex mr
00500000-00502000 rw-p 00000000 00:00 0                                  [heap]
Size:                  8 kB
Rss:                   0 kB
VmFlags: rd wr
00600000-00602000 rw-s 00000000 00:1a 7                                  b
Size:                  8 kB
Rss:                   4 kB
Mapped: shmem
FileRuns: 1+1
VmFlags: rd wr sh
00700000-00702000 rw-p 00000000 00:00 0                                  [anon:boot.art]
Size:                  8 kB
Rss:                   0 kB
VmFlags: rd wr
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
Size:                  4 kB
Rss:                   0 kB
VmFlags: ex
`;

const placesOf: PlacesOf = ({ startVpn }) => {
  if (startVpn === 0x400) return { anon: [0, 2], file: [3, 3], swapped: [7, 1] };
  return startVpn === 0x600 ? { anon: [], file: [1, 1], swapped: [] } : undefined;
};

test("a recording is the smaps without folders, with the runs of each mapping above its VmFlags", () => {
  const text = recordingOf(SMAPS, parseSmaps(SMAPS, "smaps"), placesOf);
  expect(text).toBe(RECORDING);
  const { mappings, skipped } = parseSmaps(text, "recording");
  expect(skipped).toEqual(["[vsyscall]"]);
  expect(mappings.map(({ places }) => places)).toEqual([
    { anon: [0, 2], file: [3, 3], swapped: [7, 1] },
    null,
    { anon: [], file: [1, 1], swapped: [] },
    null,
  ]);
  expect(mappings.map(({ mappedShmem }) => mappedShmem)).toEqual([false, false, true, false]);
});

test("without VmFlags the runs come last", () => {
  const old = SMAPS.replaceAll(/^VmFlags.*\n/gm, "");
  expect(recordingOf(old, parseSmaps(old, "smaps"), placesOf)).toBe(RECORDING.replaceAll(/^VmFlags.*\n/gm, ""));
});

test("bad runs are refused in one line", () => {
  const text = RECORDING.replace("AnonRuns: 0+2", "AnonRuns: 0+2 1+4");
  expect(() => parseSmaps(text, "file")).toThrow(
    'file:6: AnonRuns: "0+2 1+4", expected ascending runs "offset+count" within 8 pages',
  );
});

describe.each(RECORDED)("the recording $name", ({ name, idea }) => {
  const text = readFileSync(recordingPath(name), "utf8");
  const { mappings } = parseSmaps(text, name);

  test("has every page of its sizes in a run, and says nothing of folders, users or commands", () => {
    for (const { line, rssKb, anonymousKb, swapKb, places, path } of mappings) {
      const pages = { anon: 0, file: 0, swapped: 0, ...(places && mapValues(places)) };
      const expected = { anon: (anonymousKb ?? 0) / 4, file: (rssKb - (anonymousKb ?? 0)) / 4, swapped: swapKb / 4 };
      expect([line, pages]).toEqual([line, expected]);
      expect(path).not.toContain("/");
    }
    expect(text).not.toMatch(
      /^(?![0-9a-f]+-[0-9a-f]+ |\w+: +\d+(?: kB)?$|VmFlags: |(?:Anon|File|Swap|Huge)Runs: |Mapped: shmem$).+$/m,
    );
    expect(text.length).toBeLessThan(400_000);
  });

  test("is a layout on demand, whose pages all lie where they lay", () => {
    const layout = checkLayout(buildLayout(name, { seed: 1 }));
    expect(layout).toMatchObject({ name, idea });
    expect(buildLayout(name, { seed: 2 })).toEqual(layout);
    const sum = (kb: (mapping: SmapsMapping) => number): number => mappings.reduce((all, one) => all + kb(one), 0) / 4;
    const counts = countLayout(layout);
    expect(counts.presentPages).toBe(sum(({ rssKb }) => rssKb));
    expect(counts.ownPages).toBe(sum(({ anonymousKb }) => anonymousKb ?? 0));
    expect(layout.notes).toEqual(["[vsyscall] skipped: it is no part of the address space"]);
    expect(() => buildLayout(name, { seed: 1, pages: 5 })).toThrow(`layout ${name}: --pages 5 given, expected none`);
  });
});

function mapValues({ anon, file, swapped }: PagePlaces): Record<PageKind, number> {
  return { anon: countRuns(anon), file: countRuns(file), swapped: countRuns(swapped) };
}
