/** Victims from recordings and smaps texts, built in the machine and torn down on real threads with every check on. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BenchContext } from "../../src/run/bench/context.ts";
import { RaceHost } from "../../src/run/race-host.ts";
import { checkLayout, countLayout, type Layout } from "../../src/scenario/layout.ts";
import { buildLayout } from "../../src/scenario/layouts/index.ts";
import { RECORDED, recordingPath } from "../../src/scenario/layouts/recorded.ts";
import { parseSmaps } from "../../src/scenario/smaps.ts";
import { smapsLayout } from "../../src/scenario/smaps-layout.ts";
import { blocksOf, eras, samples } from "../scenario/smaps-lab.ts";

let context: BenchContext;
beforeAll(async () => {
  context = await BenchContext.open("stress", { progress: () => {}, stopped: () => false, modules: [] });
});
afterAll(() => context.close());

function hostOf(layout: Layout, frames: "sequential" | "random"): RaceHost {
  return new RaceHost(context.kernel, {
    mappings: layout.vmas,
    levels: countLayout(layout).levels,
    frames,
    protocol: "v6.1",
    lockGranularity: "table",
    reaper: "mrelease",
    allocators: 0,
    seed: 77,
    traceEvents: 0,
    lockOrder: true,
  });
}

/** Counters of the staged victim, in pages. */
function counters({ words, map }: RaceHost) {
  const { kernel } = context;
  const rss = kernel.elementOf(map.mms, 0) + kernel.Mm.rss;
  return {
    anon: words[rss + kernel.MM_ANONPAGES],
    file: words[rss + kernel.MM_FILEPAGES],
    shmem: words[rss + kernel.MM_SHMEMPAGES],
    swap: words[rss + kernel.MM_SWAPENTS],
  };
}

async function kill(host: RaceHost): Promise<void> {
  for (const order of ["forward", "reverse"]) await host.trial(await context.crewFor(host), order);
}

const SIZES = ["Rss", "Anonymous", "AnonHugePages", "Private_Hugetlb", "Swap"] as const;

function smapsText(
  ...mappings: readonly [range: string, perms: string, path: string, flags: string, ...kb: number[]][]
) {
  return mappings
    .map(([range, perms, path, flags, ...kb]) => {
      const sizes = SIZES.map((name, i) => `${name}: ${kb[i] ?? 0} kB`);
      return [`${range} ${perms} 00000000 fe:00 7 ${path}`, ...sizes, `VmFlags: ${flags}`].join("\n").concat("\n");
    })
    .join("");
}

const ALL_KINDS = smapsText(
  ["00400000-00800000", "r-xp", "a.so", "rd ex", 800, 40],
  ["00801000-02001000", "rw-p", "", "rd wr hg ac", 8192, 8000, 6144, 0, 2000],
  ["02400000-02c00000", "rw-p", "b.so", "rd wr ac", 4096, 3000, 2048, 0, 400],
  ["02d00000-02e00000", "rw-s", "/memfd:c (deleted)", "rd wr sh", 400, 0, 0, 0, 80],
  ["02e00000-02f00000", "rw-s", "data", "rd wr sh", 200],
  ["03000000-03800000", "rw-p", "/anon_hugepage (deleted)", "rd wr ht", 0, 0, 0, 4096],
  ["03900000-03910000", "rw-s", "/dev/dri/card0", "rd wr sh pf"],
  ["03a00000-03b00000", "rw-p", "", "rd wr lo ac", 1024, 1024],
);

describe.each(["sequential", "random"] as const)("%s frames", (frames) => {
  test("a text with every kind of memory: rss as smaps says, and nothing left behind", async () => {
    const smaps = parseSmaps(ALL_KINDS, "text");
    const host = hostOf(checkLayout(smapsLayout("kinds", "", smaps, () => undefined, 1)), frames);
    // The private mapping without a file has 192 kB that are not anonymous: of a file, as far as can be told.
    expect(counters(host)).toEqual({ anon: 3016, file: 190 + 48 + 274 + 50, shmem: 100, swap: 600 });
    await kill(host);
  });

  test.each(RECORDED)("the recording $name: rss as it was", async ({ name }) => {
    const host = hostOf(buildLayout(name, { seed: 1 }), frames);
    const { mappings } = parseSmaps(readFileSync(recordingPath(name), "utf8"), name);
    const sum = (field: "rssKb" | "anonymousKb" | "swapKb"): number =>
      mappings.reduce((all, mapping) => all + (mapping[field] ?? 0), 0) / 4;
    const { anon, file, shmem, swap } = counters(host);
    expect([anon, swap]).toEqual([sum("anonymousKb"), sum("swapKb")]);
    expect((file as number) + (shmem as number)).toBe(sum("rssKb") - sum("anonymousKb"));
    await kill(host);
  });
});

test("any smaps is a victim that can be built, with the rss and the swap that it says", () => {
  fc.assert(
    fc.property(samples, eras, fc.constantFrom("sequential" as const, "random" as const), (all, era, frames) => {
      const smaps = parseSmaps(blocksOf(all, era).join(""), "generated");
      const host = hostOf(checkLayout(smapsLayout("any", "", smaps, ({ places }) => places ?? undefined, 1)), frames);
      const sum = (pages: (sample: (typeof all)[number]) => number): number =>
        all.reduce((total, sample) => total + pages(sample), 0);
      const { anon, file, shmem, swap } = counters(host);
      expect(anon).toBe(sum(({ mapping }) => mapping.anonymousKb / 4));
      expect((anon as number) + (file as number) + (shmem as number)).toBe(sum(({ mapping }) => mapping.rssKb / 4));
      expect(swap).toBe(sum(({ kind, mapping }) => (kind === "shmem" ? 0 : mapping.swapKb / 4)));
    }),
    { numRuns: 40 },
  );
});
