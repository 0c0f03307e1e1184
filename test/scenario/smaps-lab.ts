/** Random smaps texts as kernels print them, and recordings, together with what they must come to. */

import fc from "fast-check";
import { alignedRuns, countRuns, type PageRuns, pickRuns } from "../../src/scenario/page-runs.ts";
import type { PageKind, PagePlaces } from "../../src/scenario/pagemap.ts";
import { HUGE_FIELD, RUN_FIELDS, type SmapsMapping } from "../../src/scenario/smaps.ts";

interface Kind {
  readonly perms: readonly string[];
  readonly paths: readonly string[];
  readonly codes: readonly string[];
  /** Pages that such a mapping may have. */
  readonly pages: readonly (PageKind | "none")[];
}

const KINDS = {
  anon: {
    perms: ["rw-p"],
    paths: ["", "[heap]", "[anon:dalvik-main space (region space)]"],
    codes: ["rd", "wr", "mr", "mw", "me", "ac", "zz"],
    pages: ["none", "anon", "swapped"],
  },
  file: {
    perms: ["rw-p", "r-xp", "---p"],
    paths: ["a b (deleted)", "é-ü.so"],
    codes: ["rd", "ex", "mr", "??"],
    pages: ["none", "anon", "file", "swapped"],
  },
  sharedFile: { perms: ["rw-s"], paths: ["data"], codes: ["rd", "wr", "sh", "ms"], pages: ["none", "file"] },
  shmem: {
    perms: ["rw-s"],
    paths: ["memfd:x (deleted)", "SYSV0020e185 (deleted)", "zero (deleted)"],
    codes: ["rd", "wr", "sh"],
    pages: ["none", "file"],
  },
  hugetlb: { perms: ["rw-p"], paths: ["anon_hugepage (deleted)"], codes: ["rd", "wr", "ht"], pages: ["none"] },
  device: { perms: ["rw-s"], paths: ["dri"], codes: ["rd", "wr", "sh", "pf", "io"], pages: ["none"] },
} as const satisfies Readonly<Record<string, Kind>>;
export type KindName = keyof typeof KINDS;

export interface Sample {
  readonly kind: KindName;
  /** As parsed from a recording; in other texts `places` is null. */
  readonly mapping: SmapsMapping & { readonly places: PagePlaces; readonly anonymousKb: number };
}

/** What a text has for each mapping or for none. */
export interface Era {
  readonly vmFlags: boolean;
  readonly anonymous: boolean;
  readonly recorded: boolean;
}

export const eras: fc.Arbitrary<Era> = fc.record({
  vmFlags: fc.boolean(),
  anonymous: fc.boolean(),
  recorded: fc.boolean(),
});

const shapes = fc.constantFrom(...(Object.keys(KINDS) as KindName[])).chain((kind) => {
  const { perms, paths, codes, pages } = KINDS[kind];
  return fc.record({
    kind: fc.constant(kind),
    gap: fc.nat(2000),
    perms: fc.constantFrom<string>(...perms),
    path: fc.constantFrom<string>(...paths),
    vmFlags: fc.constant<readonly string[]>(codes),
    pieces: fc.array(
      fc.tuple(fc.constantFrom<PageKind | "none">(...pages), fc.oneof(fc.integer({ min: 1, max: 20 }), fc.nat(2000))),
      { minLength: 1, maxLength: 8 },
    ),
    huge: fc.nat(6),
    hugeKnown: fc.boolean(),
    shmemSwapKb: fc.nat(1000).map((pages) => pages * 4),
  });
});

/** Mappings in ascending order, as random as they may be. */
export const samples: fc.Arbitrary<readonly Sample[]> = fc.array(shapes, { minLength: 1, maxLength: 8 }).map((all) => {
  let next = 16;
  return all.map(({ gap, pieces, huge, hugeKnown, shmemSwapKb, kind, ...rest }): Sample => {
    const startVpn = next + gap;
    const { pages, places } = lay(pieces);
    next = startVpn + pages;
    const whole = alignedRuns(places.anon, startVpn, 512);
    const anonHuge = Math.min(huge * 512, countRuns(whole));
    const told = hugeKnown && anonHuge > 0 ? { huge: pickRuns(whole, anonHuge, gap, startVpn, 512) } : {};
    const hugetlb = Math.min(huge * 512, countRuns(alignedRuns([0, pages], startVpn, 512)));
    const anonymousKb = countRuns(places.anon) * 4;
    const mapping = {
      ...rest,
      line: 0,
      startVpn,
      pages,
      inode: kind === "anon" ? 0 : 42,
      rssKb: anonymousKb + countRuns(places.file) * 4,
      privateDirtyKb: anonymousKb,
      anonymousKb,
      anonHugeKb: anonHuge * 4,
      pmdMappedKb: 0,
      hugetlbKb: kind === "hugetlb" ? hugetlb * 4 : 0,
      swapKb: kind === "shmem" ? shmemSwapKb : countRuns(places.swapped) * 4,
      lockedKb: 0,
      places: { ...places, ...told },
      mappedShmem: false,
      kernelPageKb: kind === "hugetlb" ? 2048 : 4,
    };
    return { kind, mapping };
  });
});

function lay(pieces: readonly (readonly [PageKind | "none", number])[]): { pages: number; places: PagePlaces } {
  const places: Record<PageKind, number[]> = { anon: [], file: [], swapped: [] };
  let at = 0;
  for (const [kind, count] of pieces) {
    if (kind !== "none" && count > 0) {
      const runs = places[kind];
      const touches = runs.length > 0 && (runs.at(-2) as number) + (runs.at(-1) as number) === at;
      if (touches) runs.push((runs.pop() as number) + count);
      else runs.push(at, count);
    }
    at += count;
  }
  return { pages: at + 1, places };
}

export function hex(vpn: number): string {
  return `${vpn.toString(16)}000`.padStart(8, "0");
}

export function words(runs: PageRuns): string {
  return Array.from(runs)
    .flatMap((offset, i) => (i % 2 === 0 ? [`${offset}+${runs[i + 1]}`] : []))
    .join(" ");
}

/** The text of some mappings, one block of lines each; `turn` rotates the order of fields. */
export function blocksOf(all: readonly Sample[], era: Era, turn = 0): string[] {
  return all.map(({ mapping: one }) => {
    const head = `${hex(one.startVpn)}-${hex(one.startVpn + one.pages)} ${one.perms} 00000000 fe:00 ${one.inode}`;
    const kb = (name: string, value: number): string => `${`${name}:`.padEnd(16)}${String(value).padStart(8)} kB`;
    const fields = [
      kb("Size", one.pages * 4),
      kb("KernelPageSize", one.kernelPageKb),
      kb("Rss", one.rssKb),
      kb("Private_Dirty", one.privateDirtyKb),
      ...(era.anonymous ? [kb("Anonymous", one.anonymousKb)] : []),
      kb("AnonHugePages", one.anonHugeKb),
      kb("Private_Hugetlb", one.hugetlbKb),
      kb("Swap", one.swapKb),
      kb("Locked", one.lockedKb),
      kb("Future_Field", 7),
      "THPeligible:    0",
      ...(era.recorded ? runLines(one.places) : []),
      ...(era.vmFlags ? [`VmFlags: ${one.vmFlags?.join(" ")} `] : []),
    ];
    const cut = turn % fields.length;
    const rest = [...fields.slice(cut), ...fields.slice(0, cut)];
    return `${[one.path === "" ? `${head} ` : `${head}                  ${one.path}`, ...rest].join("\n")}\n`;
  });
}

function runLines(places: PagePlaces): string[] {
  return Object.entries({ ...RUN_FIELDS, [HUGE_FIELD]: "huge" } as const).flatMap(([name, kind]) =>
    places[kind]?.length ? [`${name}: ${words(places[kind])}`] : [],
  );
}
